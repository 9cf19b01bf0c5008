#!/usr/bin/env python3
"""Makes test/fixtures/paths/mergekit.safetensors: what mergekit (0.1.5) writes for five small tensors.

Needs torch, safetensors and mergekit, with `mergekit-pytorch` beside this Python (development only; the result is
committed). Tensors `base/NAME`, `reference/NAME`, and for each family `FAMILY/NAME` at lambda = 0.4:

  linear        weights 0.6 and 0.4
  slerp         t = 0.4; of the zero vector `nothing` too
  ties          density 0.6, weight 0.4, not normalized
  breadcrumbs   density 0.6, gamma 0.05, weight 0.4, not normalized, not rescaled
  nearswap      t = 0.4 max |reference - base| of the tensor
"""
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

TARGET = pathlib.Path(__file__).resolve().parent.parent / "test/fixtures/paths/mergekit.safetensors"
LAMBDA = 0.4


def pair():
    generator = torch.Generator().manual_seed(4)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    base = {"matrix": draw(60, 40) * 0.05, "vector": draw(50), "far": draw(8, 9), "same": draw(7, 3), "nothing": torch.zeros(6, 4)}
    reference = {name: value.clone() for name, value in base.items()}
    reference["matrix"] += draw(60, 40) * 0.004
    reference["vector"] += draw(50) * 0.1
    reference["far"] = draw(8, 9)
    reference["nothing"] = draw(6, 4)
    return base, reference


def configurations(base, reference):
    limits = [{"filter": name, "value": LAMBDA * float((reference[name] - base[name]).abs().max())} for name in base]
    task = {"normalize": False, "rescale": False}
    return {
        "linear": {"merge_method": "linear", "weights": (1 - LAMBDA, LAMBDA)},
        "slerp": {"merge_method": "slerp", "parameters": {"t": LAMBDA}},
        "ties": {"merge_method": "ties", "parameters": task, "own": {"weight": LAMBDA, "density": 0.6}},
        "breadcrumbs": {"merge_method": "breadcrumbs", "parameters": task, "own": {"weight": LAMBDA, "density": 0.6, "gamma": 0.05}},
        "nearswap": {"merge_method": "nearswap", "parameters": {"t": limits}},
    }


def run(folder, family, wanted):
    import yaml

    left, right = str(folder / "base.safetensors"), str(folder / "reference.safetensors")
    config = {"merge_method": wanted["merge_method"], "parameters": wanted.get("parameters", {}), "dtype": "float32"}
    if family == "linear":
        config["models"] = [{"model": m, "parameters": {"weight": w}} for m, w in zip((left, right), wanted["weights"])]
    else:
        config["models"] = [{"model": right, "parameters": wanted.get("own", {})}]
        config["base_model"] = left
    if family in ("slerp", "nearswap"):
        config["models"].insert(0, {"model": left})
    file = folder / f"{family}.yml"
    file.write_text(yaml.safe_dump(config))
    tool = pathlib.Path(sys.executable).parent / "mergekit-pytorch"
    subprocess.run([tool, file, folder / family], check=True)
    return load_file(folder / family / "model.safetensors")


def main():
    base, reference = pair()
    golden = {f"base/{name}": value for name, value in base.items()}
    golden |= {f"reference/{name}": value for name, value in reference.items()}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        save_file(base, folder / "base.safetensors")
        save_file(reference, folder / "reference.safetensors")
        for family, wanted in configurations(base, reference).items():
            golden |= {f"{family}/{name}": value.contiguous() for name, value in run(folder, family, wanted).items()}
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    save_file(golden, TARGET)


if __name__ == "__main__":
    main()
