"""The update kernels: the native body against the reference. Whole trajectories are in tests/optim."""

import itertools

import numpy as np
import pytest

import minigrad.ops.optim_step as steps
from minigrad.backend import cpu
from minigrad.testing import check_kernel

SIZES = [0, 1, 3, 15, 16, 17, 33, 1000, 70001]

# kernel, how many arrays it writes, which of those may be None, and the numbers after the gradient
SGD = [
    (0.1, momentum, dampening, decay, nesterov, maximize, first)
    for momentum, dampening, decay in ((0.0, 0.0, 0.0), (0.9, 0.0, 0.01), (0.9, 0.3, 0.0))
    for nesterov, maximize, first in itertools.product((False, True), repeat=3)
]
ADAM = [
    (0.01, 0.9, 0.999, 1e-8, decay, decoupled, maximize, *corrections)
    for decay, decoupled, maximize in itertools.product((0.0, 0.1), (False, True), (False, True))
    for corrections in ((1.0, 1.0), (0.1, 0.001))
]
CASES = [("sgd_step", 2, numbers) for numbers in SGD] + [("adam_step", 4, numbers) for numbers in ADAM]


def arguments(outs, size, optional, numbers, dtype=np.float32):
    rng = np.random.default_rng(size)
    arrays = [rng.standard_normal(size).astype(dtype) for _ in range(outs + 1)]
    for i in range(2, outs):
        arrays[i] = arrays[i] ** 2  # means of squares
    if not optional:
        arrays[outs - 1] = None
    return [*arrays, *numbers]


def written(body, args, outs):
    args = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    body(*args)
    return [a for a in args[:outs] if a is not None]


@pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is not built")
@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize(("name", "outs", "numbers"), CASES)
def test_native_is_the_reference(name, outs, numbers, optional):
    for size in SIZES if numbers in (SGD[0], ADAM[-1]) else [33]:
        args = arguments(outs, size, optional, numbers)
        check_kernel(name, *args, rtol=2e-6, atol=2e-6)


@pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is not built")
def test_native_bits_do_not_depend_on_the_threads():
    args = arguments(4, 200001, True, ADAM[-1])
    before = cpu.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 4):
            cpu.set_num_threads(threads)
            results.append([a.tobytes() for a in written(cpu.kernels()["adam_step"], args, 4)])
    finally:
        cpu.set_num_threads(before)
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("name", ["sgd_step", "adagrad_step", "rmsprop_step", "adam_step"])
def test_no_kernel_writes_to_the_gradient(name):
    outs = {"sgd_step": 2, "adagrad_step": 2}.get(name, 4)
    numbers = {
        "sgd_step": SGD[-1],
        "adagrad_step": (0.1, 0.01, 1e-10, True),
        "rmsprop_step": (0.1, 0.9, 1e-8, 0.01, 0.9, True),
        "adam_step": ADAM[-1],
    }[name]
    args = arguments(outs, 5, True, numbers)
    args[outs - 1] = np.abs(args[outs - 1])
    args[1] = np.abs(args[1])
    before = args[outs].copy()
    getattr(steps, name)(*args)
    np.testing.assert_array_equal(args[outs], before)


@pytest.mark.parametrize("name", ["sgd_step", "adam_step"])
def test_nan_and_infinity_pass(name):
    outs, numbers = (2, SGD[0]) if name == "sgd_step" else (4, ADAM[0])
    args = arguments(outs, 4, True, numbers)
    args[outs][:] = [np.nan, np.inf, -np.inf, 1.0]
    with np.errstate(invalid="ignore"):
        expected = written(getattr(steps, name).reference, args, outs)
        found = written(getattr(steps, name), args, outs)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))


@pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is not built")
def test_shapes_that_differ_are_refused():
    p, g = np.zeros(3, np.float32), np.zeros(4, np.float32)
    with pytest.raises(ValueError, match=r"p and g have shapes \(3,\) and \(4,\)"):
        cpu.kernels()["sgd_step"](p, None, g, *SGD[0])
