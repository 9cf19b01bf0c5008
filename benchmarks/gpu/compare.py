"""Whole footprints, K = 15, on the same GPU in turn: ours from the command line against PyTorch's fast and recipe modes.

Every measurement is a fresh process; seconds are what the process took, start included, the median of three. Ours needs
`npm run build` first. Prints one JSON record a line.
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
for _ in range(3):
    for name, command in contestants.items():
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds[name].append(time.perf_counter() - began)
shutil.rmtree(work)
count = sum(1 for line in open(probes) if line.strip())
median = {name: statistics.median(times) for name, times in seconds.items()}
for name, value in median.items():
    print(json.dumps({"case": "compare", "contestant": name, "seconds": value, "probes": 100 if "recipe" in name else count}))
recipe = median["PyTorch recipe, 100 probes"] / 100 * count
print(json.dumps({"case": "compare", "fastOverOurs": median["PyTorch fast"] / median["warp f32"], "goal": 1.3}))
print(json.dumps({"case": "compare", "fastOverOursBf16": median["PyTorch fast, bf16 autocast"] / median["warp bf16"], "goal": 1.3}))
print(json.dumps({"case": "compare", "recipeOverOurs": recipe / median["warp f32"], "goal": 40, "scaledFrom": 100}))
