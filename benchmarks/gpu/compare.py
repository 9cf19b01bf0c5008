"""Whole footprints, K = 15, on the same GPU in turn: ours from the command line against PyTorch's fast and recipe modes.

Every measurement is a fresh process; seconds are what the process took, start included, the median of three. Ours needs
`npm run build` first. Prints one JSON record a line; who fails is left out, and said.
"""
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

peer, base, reference, probes, root = sys.argv[1:]
work = tempfile.mkdtemp()
torch = [sys.executable, peer, "--base", base, "--reference", reference, "--probes", probes, "--points", "15", "--device", "cuda",
         "--out", work + "/torch.npy"]
bf16 = "import runpy, sys, torch; sys.argv = sys.argv[1:]\n" \
       "with torch.autocast('cuda', dtype=torch.bfloat16): runpy.run_path(sys.argv[0], run_name='__main__')"
ours = ["node", root + "/dist/bin/warp.js", "footprint", "--base", base, "--reference", reference, "--probes", probes,
        "--points", "15", "--device", "cuda", "-o", work + "/ours", "--force"]
contestants = {
    "warp f32": ours,
    "warp bf16": ours + ["--precision", "bf16"],
    "PyTorch fast": torch + ["--mode", "fast"],
    "PyTorch fast, bf16 autocast": [sys.executable, "-c", bf16] + torch[1:] + ["--mode", "fast"],
    # one probe at a time: a hundred probes stand for all, scaled by their number below
    "PyTorch recipe, 100 probes": torch + ["--mode", "recipe", "--limit", "100"],
}
seconds = {name: [] for name in contestants}
failed = set()
for _ in range(3):
    for name, command in contestants.items():
        if name in failed:
            continue
        began = time.perf_counter()
        ran = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        seconds[name].append(time.perf_counter() - began)
        if ran.returncode != 0:
            failed.add(name)
            print(f"{name} failed with {ran.returncode}: {ran.stderr[-2000:]}", file=sys.stderr)
shutil.rmtree(work)
count = sum(1 for line in open(probes) if line.strip())
median = {name: statistics.median(times) for name, times in seconds.items() if name not in failed}
for name, value in median.items():
    print(json.dumps({"case": "compare", "contestant": name, "seconds": value, "probes": 100 if "recipe" in name else count}))


def ratio(name, left, right, goal, times=1, **more):
    if left in median and right in median:
        print(json.dumps({"case": "compare", name: median[left] * times / median[right], "goal": goal, **more}))


ratio("fastOverOurs", "PyTorch fast", "warp f32", 1.3)
ratio("fastOverOursBf16", "PyTorch fast, bf16 autocast", "warp bf16", 1.3)
ratio("recipeOverOurs", "PyTorch recipe, 100 probes", "warp f32", 40, count / 100, scaledFrom=100)
sys.exit(1 if failed else 0)
