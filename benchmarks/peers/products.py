"""One matrix product as often as asked, by torch (its BLAS, MKL), numpy (OpenBLAS) and oneDNN through torch: reads lines
"OPERATION LIBRARY ROWS OUTPUTS INPUTS LEAST" and answers each with the seconds of one product, the median of runs that
fill LEAST seconds. Threads and instruction sets come from the environment (cases/products.mjs). `info` says what
they are.

linear: y = x Wᵀ + b, W as torch.nn.Linear stores it; oneDNN's reordered beforehand. outer: dW += dyᵀ x."""
import json
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F


def median_seconds(least, body):
    body()
    seen, total = [], 0.0
    while total < least or len(seen) < 3:
        start = time.perf_counter()
        body()
        seen.append(time.perf_counter() - start)
        total += seen[-1]
    return sorted(seen)[len(seen) // 2]


def linear(library, rows, outputs, inputs):
    x, w, b = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
    if library == "torch":
        y = torch.empty(rows, outputs)
        turned = w.t()
        return lambda: torch.addmm(b, x, turned, out=y)
    if library == "onednn":
        packed = torch.ops.mkldnn._reorder_linear_weight(w, rows)
        return lambda: torch.ops.mkldnn._linear_pointwise(x, packed, b, "none", [], "")
    u, v, bias = x.numpy(), w.numpy().T, b.numpy()
    y = np.empty((rows, outputs), np.float32)

    def product():
        np.matmul(u, v, out=y)
        np.add(y, bias, out=y)

    return product


def outer(library, rows, outputs, inputs):
    x, dy, dw = torch.randn(rows, inputs), torch.randn(rows, outputs), torch.zeros(outputs, inputs)
    if library == "torch":
        turned = dy.t()
        return lambda: dw.addmm_(turned, x)
    u, v, w = dy.numpy().T, x.numpy(), dw.numpy()
    y = np.empty_like(w)

    def product():
        np.matmul(u, v, out=y)
        np.add(w, y, out=w)

    return product


def main():
    with torch.no_grad():
        for line in sys.stdin:
            operation, *rest = line.split()
            if operation == "info":
                info = {
                    "torch": torch.__version__,
                    "numpy": np.__version__,
                    "threads": torch.get_num_threads(),
                    "mkl": torch.__config__.show().split("Math Kernel Library Version ")[-1].split(" ")[0],
                    "openblas": np.show_config(mode="dicts")["Build Dependencies"]["blas"]["version"],
                }
                print(json.dumps(info), flush=True)
                continue
            library, rows, outputs, inputs, least = rest
            body = {"linear": linear, "outer": outer}[operation](library, int(rows), int(outputs), int(inputs))
            print(f"{median_seconds(float(least), body):.6g}", flush=True)


main()
