"""harness: what every op is held to. A test of an op is a `Case`, a row of a table, and `check(case)` does the rest:

forward      float64 against numpy, and with drawn shapes and memory layouts too
gradients    against central differences, of the gradient again, and the two backwards against each other
native       float32 C++ bodies against the reference: size 0, 1, odd, large; any strides; inf, nan, denormals
threads      the same bits from 1, 2 and 4 of them
cuda-sim     CUDA bodies against the reference, on the simulator, every load and store checked; those of halves as next
halves       float16 and bfloat16 against float64, rounded
torch        outputs and gradients against PyTorch, where it is installed

CASES = [Case("exp", mg.exp, numpy=np.exp, torch=lambda torch, x: torch.exp(x), kernels=("exp_forward",))]

@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.autograd import as_tuple
from minigrad.backend import cpu, devices
from minigrad.backend.simulated import SimArray
from minigrad.cuda import build
from minigrad.dtypes import bfloat16, float16
from minigrad.tensor import wrap
from minigrad.testing import check_backwards, gradcheck, gradgradcheck
from tests import device
from tests.ops.inputs import (
    EXTREMES,
    LAYOUTS,
    SMALL,
    UNARY,
    draw,
    elements,
    is_float,
    repeated,
    same,
    same_runs,
    with_extremes,
)
from tests.ops.runs import kernels_run, poison, reference, run, run_torch

COMPILER = build.has_compiler()
_native = pytest.param("native", marks=pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is missing"))
TIERS = pytest.mark.parametrize("tier", [_native, "reference"])  # for a test of both, `with mg.tier(tier):`


@dataclass(frozen=True)
class Case:
    """One row. `shapes` lists sets of inputs: for each input its shape or, for what has no gradient (a mask,
    indices), a function of a numpy Generator that makes the array."""

    name: str
    function: Callable  # of Tensors; gives one, or a tuple of them
    shapes: object = tuple(UNARY)
    drawn: st.SearchStrategy | None = None  # of more such sets: ONE, TWO, or your own
    numpy: Callable | None = None  # the same function of float64 arrays
    torch: Callable | None = None  # the same function of the module torch and its tensors
    values: tuple = (-2.0, 2.0)  # the bounds of random inputs
    differentiable: bool = True
    twice: bool = True  # False where the gradient is constant
    kernels: tuple = ()  # that must run, forward or backward, on the first set
    rtol: float = 2e-6  # of native against reference, in float32
    atol: float = 2e-6  # the same, in units of the largest element
    ulps: float = 1.0  # roundings that halves may be off by: about one for each op inside
    extremes: bool = True

    def __str__(self):
        return self.name


def check(case):
    """Hold a row to everything above that applies to it; with `pytest --device NAME` to what `check_there` says."""
    if device.where:
        return check_there(case)
    check_kernels_run(case, draw(case, case.shapes[0], np.float32))
    for shapes in case.shapes:
        wide, single = draw(case, shapes), draw(case, shapes, np.float32)
        check_native(case, single)
        if elements(shapes) > SMALL:
            check_threads(case, single)
            continue
        check_values(case, wide)
        check_layouts(case, single)
        check_cuda(case, single)
        check_halves(case, single)
        check_extremes(case, single)
    if case.drawn is not None:
        check_drawn(case)
    for shapes in case.shapes if case.torch is not None else ():
        check_torch(case, draw(case, shapes))


def check_kernels_run(case, arrays):
    """A test of a kernel that never ran would prove nothing."""
    ran = kernels_run(case, arrays)
    assert ran.issuperset(case.kernels), f"{sorted(set(case.kernels) - ran)} did not run, only {sorted(ran)}"


def check_values(case, arrays):
    """In float64: outputs against numpy; gradients, and theirs, against central differences."""
    if case.numpy is not None:
        with np.errstate(all="ignore"):
            expected = as_tuple(case.numpy(*[a.copy() for a in arrays]))
        for i, (y, e) in enumerate(zip(as_tuple(case.function(*map(wrap, arrays))), expected, strict=True)):
            same(y.array, e, 1e-12, 1e-13, f"output {i} against numpy")
    if case.differentiable:
        inputs = [wrap(a).requires_grad_(is_float(a)) for a in arrays]
        for checker in (gradcheck, check_backwards, gradgradcheck)[: 3 if case.twice else 2]:
            checker(case.function, inputs)


def check_native(case, arrays, what="native against reference"):
    expected = reference(case, arrays)
    poison(expected)
    same_runs(run(case, arrays), expected, case.rtol, case.atol, what)


def check_cuda(case, arrays, what="cuda-sim against reference"):
    """Where one of the row's kernels has a CUDA body: the row on the simulator, which reports what is out of order."""
    bodies = devices.kernels(SimArray).keys() & kernels_run(case, arrays) if COMPILER else ()
    if not bodies:
        return
    with mg.cuda.simulate(mode="check"):
        found = run(case, [devices.move(a, "cuda-sim") for a in arrays])
        same_runs(found, reference(case, arrays), max(case.rtol, 1e-5), max(case.atol, 1e-5), what)
        if any(f"{name}_float16" in devices.kernels(SimArray) for name in bodies):
            check_halves(case, arrays, "cuda-sim")


def check_there(case):
    """Wholly on the device that was asked for, against the reference on the CPU: dtypes and memory layouts. On a GPU
    large inputs, extremes and the same bits each time too, which take minutes on the simulator."""
    for shapes in case.shapes:
        single, rtol, atol = draw(case, shapes, np.float32), max(case.rtol, 1e-5), max(case.atol, 1e-5)
        if not device.simulated() or elements(shapes) <= SMALL:
            same_runs(run_there(case, single), reference(case, single), rtol, atol, "there")
        if elements(shapes) <= SMALL:
            check_dtypes_there(case, shapes)
            check_layouts_there(case, single)
        if not device.simulated():
            runs = [run_there(case, single) for _ in range(3)]
            assert all(a.tobytes() == b.tobytes() for r in runs[1:] for a, b in zip_runs(r, runs[0])), "other bits"
            check_extremes(case, single, run_there, rtol, atol)


def check_dtypes_there(case, shapes):
    wide = draw(case, shapes)
    same_runs(run_there(case, wide), reference(case, wide), 1e-9, 1e-11, "there, float64")
    check_halves(case, draw(case, shapes, np.float32), device.where)


def check_layouts_there(case, arrays):
    """What repeats has no variance: there the roundings that cancel elsewhere count 1 / sqrt(eps) times."""
    for layout in LAYOUTS:
        there = [layout(devices.move(a, device.where)) for a in arrays]
        expected = reference(case, [np.array(layout(a), order="C") for a in arrays])
        atol = 1e-3 if layout is repeated else 1e-5
        same_runs(
            home(run(case, there)), expected, max(case.rtol, 1e-5), max(case.atol, atol), f"there, {layout.__name__}"
        )


def run_there(case, arrays):
    """`run` on the device; outputs and gradients come back."""
    return home(run(case, [devices.move(a, device.where) for a in arrays]))


def home(parts):
    return [[devices.move(a, "cpu") for a in part] for part in parts]


def zip_runs(*runs):
    return zip(*[[a for part in run for a in part] for run in runs], strict=True)


def check_threads(case, arrays):
    before, bits = cpu.get_num_threads() if cpu.kernels() else 1, []
    for threads in (1, 2, 4) if cpu.kernels() else ():
        cpu.set_num_threads(threads)
        bits.append([a.tobytes() for part in run(case, arrays) for a in part])
        cpu.set_num_threads(before)
    assert all(b == bits[0] for b in bits), "the bits depend on the number of threads"


def check_layouts(case, arrays):
    for layout in LAYOUTS:
        moved = [layout(a) for a in arrays]
        check_native(case, moved, f"native against reference, {layout.__name__}")
        plain = [np.array(a, order="C") for a in moved]
        same_runs(reference(case, moved), reference(case, plain), case.rtol, case.atol, layout.__name__)


def check_extremes(case, arrays, run=run, rtol=None, atol=None):
    """The outputs only: a gradient there may be inf or nan by another way of computing it. Denormals may count as 0."""
    rng, rtol, atol = np.random.default_rng(2), rtol or case.rtol, atol or case.atol
    for value in ([v] for v in EXTREMES) if case.extremes else ():
        mixed, flat = with_extremes(arrays, value, rng)
        outputs = run(case, mixed)[0], reference(case, mixed)[0], reference(case, flat)[0]
        for i, (found, exact, flushed) in enumerate(zip(*outputs, strict=True)):
            right = np.isclose(found, exact, rtol, atol, equal_nan=True)
            same(found, np.where(right, exact, flushed), rtol, atol, f"output {i}, {value} among the inputs")


def check_halves(case, arrays, where="cpu"):
    for dtype, eps in ((float16, 2.0**-10), (bfloat16, 2.0**-7)):
        halves = [a.astype(dtype) if is_float(a) else a for a in arrays]
        found = home(run(case, [devices.move(a, where) for a in halves]))
        exact = run(case, [a.astype(np.float64) if is_float(a) else a for a in halves])
        assert all(a.dtype == dtype for a, b in zip(found[0], exact[0], strict=True) if is_float(b)), "a half widened"
        rounding = 0.51 * eps * case.ulps
        same_runs((found[0], ()), (exact[0], ()), rounding, 0.1 * rounding * case.ulps, f"{dtype}")
        same_runs(((), found[1]), ((), exact[1]), 16 * rounding, 4 * rounding, f"{dtype}")


def check_drawn(case):
    @given(case.drawn, st.sampled_from(LAYOUTS), st.integers(0, 99))
    def on_drawn(shapes, layout, seed):
        check_values(case, [layout(a) for a in draw(case, shapes, seed=seed)])
        check_native(case, [layout(a) for a in draw(case, shapes, np.float32, seed)])

    on_drawn()


def check_torch(case, arrays):
    torch = pytest.importorskip("torch", reason="torch is not installed: checked without this oracle")
    same_runs(run(case, arrays), run_torch(case, torch, arrays), 1e-10, 1e-12, "against torch")
