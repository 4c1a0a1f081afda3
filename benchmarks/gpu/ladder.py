"""ladder: every rung of the matrix product at 2048, 4096 and 8192 against cuBLAS in the same dtype, checked first.

`minigrad.cuda.matmul_rungs()` names them; cuBLAS is CuPy's product, PyTorch's beside it.
"""

import numpy as np

import minigrad as mg
from benchmarks.gpu.kernels import drawn
from benchmarks.measure import Work
from minigrad.backend import devices

SIZES = (4096, 2048, 8192)
SLOW = ("naive", "coalesced", "tiled")  # not at 8192


def rows(place, torch):
    for n in SIZES if place.real else (33,):
        for dtype in (mg.float32, mg.bfloat16, mg.float16):
            for rung in mg.cuda.matmul_rungs(dtype):
                if rung != "cublas" and not (n > 4096 and rung in SLOW):
                    yield from rung_rows(place, torch, rung, dtype, n)


def rung_rows(place, torch, rung, dtype, n):
    a, b = (drawn((n, n), seed).astype(dtype) for seed in (0, 1))
    x, y = (mg.tensor(v).to(place.name) for v in (a, b))
    theirs = {"cuBLAS": lambda: place.xp.matmul(x.array, y.array)}
    if torch and place.real:
        s, t = (torch.tensor(v.astype(np.float32), device="cuda").to(getattr(torch, str(dtype))) for v in (a, b))
        theirs["torch"] = lambda: s @ t
    with mg.cuda.use_matmul(rung, dtype), mg.no_grad():
        check(rung, devices.move((x @ y).array, "cpu"), a, b)
        yield from place.contest(
            "ladder", f"{rung} {dtype} {n}^3", {"": lambda: x @ y}, theirs, work=Work(flops=2 * n**3)
        )


def check(rung, found, a, b):
    """A few rows against float64."""
    some = np.linspace(0, len(a) - 1, 8).astype(int)
    exact = a[some].astype(np.float64) @ b.astype(np.float64)
    error = float(np.abs(found[some].astype(np.float64) - exact).max() / np.abs(exact).max())
    limit = 1e-5 if a.dtype == mg.float32 else 1e-2
    assert error < limit, f"rung {rung}, {a.dtype}: the product is off by {error:.1e}"
