#!/usr/bin/env python3
"""Seconds mergekit takes for each of COUNT models along a path, import excluded: merge_peer.py FAMILY BASE REFERENCE OUT COUNT.

Runs what `mergekit-pytorch` runs, one model after the other in one process, F32 in and out.
"""
import json
import logging
import pathlib
import sys
import time

from mergekit.options import MergeOptions
from mergekit.scripts import merge_raw_pytorch as raw

logging.disable(logging.CRITICAL)


def config(family, base, reference, weight):
    models = {
        "linear": [{"model": base, "parameters": {"weight": 1 - weight}}, {"model": reference, "parameters": {"weight": weight}}],
        "ties": [{"model": reference, "parameters": {"weight": weight, "density": 0.9}}],
    }[family]
    more = {"base_model": base, "parameters": {"normalize": False}} if family == "ties" else {}
    return raw.RawPyTorchMergeConfig.model_validate({"merge_method": family, "models": models, "dtype": "float32", **more})


def main():
    family, base, reference, out, count = sys.argv[1:]
    seconds = []
    for k in range(int(count)):
        start = time.perf_counter()
        settings = config(family, base, reference, (k + 1) / (int(count) + 1))
        tasks = raw.plan_flat_merge(settings, str(pathlib.Path(out) / str(k)), tensor_union=False, tensor_intersection=False,
                                    options=MergeOptions())
        raw.Executor(tasks, math_device="cpu", storage_device="cpu").execute()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
