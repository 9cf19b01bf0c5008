#!/usr/bin/env python3
"""Makes test/fixtures/experts/alignment-ag.json: the alignment matrix of every 317th AG News text (24 of them) between
minilm-l6 and expert-ag, five points, as the PyTorch peer computes it in both of its modes. Needs torch and
transformers, the shared folder (data, peers) and the models that its models/fetch puts in the cache."""
import csv
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

shared, models = map(pathlib.Path, sys.argv[1:3])
step, points = 317, 5
rows = list(csv.reader((shared / "data/ag_news_test.csv").open(encoding="utf-8")))
out = {"step": step, "points": points}
with tempfile.TemporaryDirectory() as folder:
    probes = pathlib.Path(folder, "probes.jsonl")
    probes.write_text("".join(json.dumps({"text": f"{r[1]} {r[2]}", "label": int(r[0]) - 1}) + "\n" for r in rows[::step]))
    for mode in ("recipe", "fast"):
        result = pathlib.Path(folder, f"{mode}.npy")
        subprocess.run([sys.executable, shared / "peers/warp_torch.py", "--base", models / "minilm-l6", "--base-head", "zeros",
                        "--reference", models / "expert-ag", "--probes", probes, "--out", result, "--mode", mode,
                        "--points", str(points)], check=True)
        out[mode] = [[float(f"{x:.9g}") for x in row] for row in np.load(result)]
target = pathlib.Path(__file__).resolve().parent.parent / "test/fixtures/experts/alignment-ag.json"
target.write_text(json.dumps(out) + "\n")
