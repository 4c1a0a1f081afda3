"""ceilings: what the GPU can do at best, measured: bytes copied, cuBLAS's products, starting a kernel.

    copy       bytes read and written per second, by the driver and by a kernel of 16-byte loads, at several sizes
    cuBLAS     operations per second of square products, by CuPy (and PyTorch): float32, float16, bfloat16
    launch     host time to start a kernel that does nothing: by our launcher, by CuPy; and of a small op, with PyTorch

The score of a kernel that is bound by memory is its least bytes over its time, over the copy's rate.
"""

import time
from math import inf

import numpy as np

import minigrad as mg
from benchmarks.ceilings import Ceilings
from benchmarks.measure import row_of
from minigrad.backend import devices
from minigrad.cuda import launcher, simulator

MIB = 1 << 20
COPY = """
extern "C" __global__ void copy16(float4* y, const float4* x, long long n) {
  const long long first = blockIdx.x * 1024ll + threadIdx.x;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (first + 256 * i < n) y[first + 256 * i] = x[first + 256 * i];
  }
}
extern "C" __global__ void nothing(float* y) {}
"""


def starter(place, entry, way=None):
    """start(grid, block, args) of a kernel above; `way` is CuPy's class of launches, else the one that is in use."""
    if place.name != "cuda":
        library = simulator.load(COPY, "ceilings.cu", "fast")
        return lambda *launch: library.launch(entry, *launch)
    if way is None:
        return launcher.starter(COPY, "ceilings.cu", entry)
    return way(COPY, "ceilings.cu", launcher.Arguments(entry, launcher.signatures(COPY)[entry].parameters))


def copies(place):
    sizes = (64, 256, 1024, 2048) if place.real else (1 / 64,)
    start = starter(place, "copy16")
    for size in sizes:
        n = int(size * MIB) // 4
        x, y = place.array(np.random.default_rng(0).random(n, np.float32)), place.empty((n,))
        ways = {"driver": lambda y=y, x=x: y.__setitem__(Ellipsis, x)}
        ways["16-byte kernel"] = lambda y=y, x=x, n=n: start(-(-n // 4096), 256, (y, x, n // 4))
        for way, call in ways.items():
            yield place.rate("ceilings", f"copy of {size:g} MiB, {way}", call, 2 * 4 * n, "GB/s")
        assert bool((x == y).all()), "the copy is wrong"


def products(place, torch):
    """cuBLAS by CuPy, and by PyTorch, whose call costs less."""
    for n in (1024, 4096, 8192) if place.real else (32,):
        for dtype in (mg.float32, mg.float16, mg.bfloat16):
            a, b = (place.array(np.random.default_rng(s).normal(size=(n, n)).astype(dtype)) for s in (0, 1))
            out = a @ b
            yield place.rate("ceilings", f"cuBLAS {dtype} {n}^3, CuPy", _product(place, a, b, out), 2 * n**3, "GFLOP/s")
            if torch and place.real:
                x, y = (torch.randn(n, n, device="cuda").to(getattr(torch, str(dtype))) for _ in "ab")
                call = lambda x=x, y=y: x @ y  # noqa: E731
                yield place.rate("ceilings", f"cuBLAS {dtype} {n}^3, torch", call, 2 * n**3, "GFLOP/s")


def _product(place, a, b, out):
    return lambda: place.xp.matmul(a, b, out=out)


def host_costs(place, torch):
    """Microseconds of the host for each call, of many without waiting."""
    y, x = place.empty((8,)), mg.ones(8).to(place.name)
    calls = {"nothing, our launcher": _started(starter(place, "nothing"), y)}
    if place.name == "cuda":
        calls["nothing, CuPy's launcher"] = _started(starter(place, "nothing", launcher.CupyKernel), y)
    calls |= {"relu of 8 elements, minigrad": lambda: mg.relu(x)}
    if place.name == "cuda":
        calls["maximum of 8 elements, CuPy"] = lambda: place.xp.maximum(x.array, 0)
    if torch and place.real:
        z = torch.ones(8, device="cuda")
        calls["relu of 8 elements, torch"] = lambda: torch.relu(z)
    for name, call in calls.items():
        yield row_of("ceilings", f"launch: {name}", "us", [_host(place, call) for _ in range(place.rounds[0])])


def _started(start, y):
    return lambda: start(1, 32, (y,))


def _host(place, call):
    """Few enough calls that the queue never fills up."""
    count = 400 if place.real else 2
    place.wait()
    begin = time.perf_counter()
    for _ in range(count):
        call()
    end = time.perf_counter()
    place.wait()
    return (end - begin) / count


def rows(place, torch):
    found = []
    for part in (copies(place), products(place, torch), host_costs(place, torch)):
        for row in part:
            found.append(row)
            yield row
    place.ceilings = ceilings_of(found)


def ceilings_of(rows):
    """The best copy and the best float32 product among the rows, for floors."""
    copy, product = (
        max((1e9 * r.ours for r in rows if r.row.startswith(word)), default=inf) for word in ("copy", "cuBLAS float32")
    )
    return Ceilings(product, ((inf, copy),))


def measure_few(place):
    """The ceilings for the floors of other groups: one copy and one product."""
    n = 64 * MIB if place.real else 1024
    x, y = place.array(np.random.default_rng(0).random(n, np.float32)), place.empty((n,))
    side = 4096 if place.real else 32
    a = place.array(np.random.default_rng(0).normal(size=(side, side)).astype(np.float32))
    start, out = starter(place, "copy16"), a @ a
    found = [
        place.rate("ceilings", "copy, driver", lambda: y.__setitem__(Ellipsis, x), 8 * n, "GB/s"),
        place.rate("ceilings", "copy, kernel", lambda: start(-(-n // 4096), 256, (y, x, n // 4)), 8 * n, "GB/s"),
        place.rate("ceilings", "cuBLAS float32", _product(place, a, a, out), 2 * side**3, "GFLOP/s"),
    ]
    assert devices.device_of(y) == place.name
    place.ceilings = ceilings_of(found)
