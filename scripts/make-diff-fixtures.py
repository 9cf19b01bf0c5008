"""Makes test/fixtures/diff: pairs of matrices and the singular values of their differences by numpy (LAPACK).

Development only; needs numpy, torch and safetensors. python3 scripts/make-diff-fixtures.py
"""

import json
import os

import numpy as np
import torch
from safetensors.torch import save_file

folder = os.path.join(os.path.dirname(__file__), "..", "test", "fixtures", "diff")
generator = np.random.default_rng(7)


def with_spectrum(rows, columns, values):
    left, _ = np.linalg.qr(generator.standard_normal((rows, rows)))
    right, _ = np.linalg.qr(generator.standard_normal((columns, columns)))
    k = len(values)
    return (left[:, :k] * values) @ right[:, :k].T


k = np.arange(1, 97)
# name: rows, columns, stored as, difference
cases = {
    "slow": (96, 160, torch.float32, with_spectrum(96, 160, 0.05 * k**-0.5)),
    "steep": (160, 96, torch.float32, with_spectrum(160, 96, 0.05 * 0.8**k)),
    "flat": (128, 96, torch.float16, 1e-3 * generator.standard_normal((128, 96))),
    "wide": (24, 200, torch.bfloat16, with_spectrum(24, 200, 0.3 * k[:24] ** -1.0)),
}
base, reference, golden = {}, {}, {}
for name, (rows, columns, dtype, difference) in cases.items():
    start = torch.tensor(0.05 * generator.standard_normal((rows, columns))).to(dtype)
    end = (start.double() + torch.tensor(difference)).to(dtype)
    base[name], reference[name] = start, end
    golden[name] = np.linalg.svd((end.double() - start.double()).numpy(), compute_uv=False)[:64].tolist()
os.makedirs(folder, exist_ok=True)
save_file(base, os.path.join(folder, "base.safetensors"))
save_file(reference, os.path.join(folder, "reference.safetensors"))
with open(os.path.join(folder, "golden.json"), "w") as file:
    json.dump(golden, file)
    file.write("\n")
