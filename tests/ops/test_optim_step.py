"""The update kernels: the native body against the reference. Whole trajectories are in tests/optim."""

import itertools

import numpy as np
import pytest

import minigrad.ops.optim_step as steps
from minigrad.backend import cpu
from minigrad.backend.array import Arrays

SIZES = [(0,), (1,), (3,), (15,), (16,), (17,), (4, 8, 1), (1000,), (70001,)]  # in one call

# kernel, how many lists of arrays it writes, and the numbers after the gradients
SGD = [
    (0.1, momentum, dampening, decay, nesterov, maximize, first)
    for momentum, dampening, decay in ((0.0, 0.0, 0.0), (0.9, 0.0, 0.01), (0.9, 0.3, 0.0))
    for nesterov, maximize, first in itertools.product((False, True), repeat=3)
]
ADAGRAD = [(0.1, decay, 1e-10, maximize) for decay in (0.0, 0.01) for maximize in (False, True)]
RMSPROP = [(0.1, 0.9, 1e-8, decay, 0.5, maximize) for decay in (0.0, 0.01) for maximize in (False, True)]
ADAM = [
    (count, 0.01, 0.9, 0.999, 1e-8, decay, decoupled, maximize, corrected)
    for decay, decoupled, maximize in itertools.product((0.0, 0.1), (False, True), (False, True))
    for count, corrected in ((1, False), (1, True), (1000, True))
]
NUMBERS = {"sgd_step": SGD, "adagrad_step": ADAGRAD, "rmsprop_step": RMSPROP, "adam_step": ADAM}
OUTS = {"sgd_step": 2, "adagrad_step": 2, "rmsprop_step": 4, "adam_step": 4}
# of the lists written, those that may be None
OPTIONAL = {"sgd_step": [1], "adagrad_step": [], "rmsprop_step": [2, 3], "adam_step": [3]}
CASES = [(name, numbers) for name, rows in NUMBERS.items() for numbers in rows]
native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is not built")


def arguments(name, numbers, shapes, missing=()):
    """Sums and means of squares are positive, means of gradients so small that no variance comes near 0."""
    rng = np.random.default_rng(0)
    lists = []
    for i in range(OUTS[name] + 1):
        arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
        if (name, i) in {("adagrad_step", 1), ("rmsprop_step", 1), ("adam_step", 2), ("adam_step", 3)}:
            arrays = [np.asarray(a * a + 1) for a in arrays]
        if (name, i) == ("rmsprop_step", 2):
            arrays = [np.asarray(a / 8) for a in arrays]
        lists.append(None if i in missing else Arrays(arrays))
    return [*lists, *numbers]


def written(body, args, outs):
    """What a body makes of copies of the lists that it may write, one array after the other."""
    args = [Arrays(a.copy() for a in arg) if isinstance(arg, Arrays) else arg for arg in args]
    with np.errstate(all="ignore"):
        body(*args)
    return [a for arg in args[:outs] if arg is not None for a in arg]


@native
@pytest.mark.parametrize("all_missing", [False, True])
@pytest.mark.parametrize(("name", "numbers"), CASES)
def test_native_is_the_reference(name, numbers, all_missing):
    for missing in [OPTIONAL[name]] if all_missing else [[], OPTIONAL[name][1:]]:
        args = arguments(name, numbers, SIZES, missing)
        expected = written(getattr(steps, name).reference, args, OUTS[name])
        for e, f in zip(expected, written(cpu.kernels()[name], args, OUTS[name]), strict=True):
            np.testing.assert_allclose(f, e, rtol=5e-6, atol=2e-6)


@native
@pytest.mark.parametrize("name", NUMBERS)
def test_native_bits_do_not_depend_on_threads_or_company(name):
    """Many parameters in one call, or each in a call of its own; on 1, 2 or 4 threads."""
    shapes, outs = [(50001,), (7,), (0,), (200003,), (3, 5)], OUTS[name]
    args = arguments(name, NUMBERS[name][-1], shapes)
    before, results = cpu.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            cpu.set_num_threads(threads)
            results.append([a.tobytes() for a in written(cpu.kernels()[name], args, outs)])
    finally:
        cpu.set_num_threads(before)
    alone = [
        written(cpu.kernels()[name], [Arrays([a[k]]) if isinstance(a, Arrays) else a for a in args], outs)
        for k in range(len(shapes))
    ]
    results.append([a.tobytes() for of_one_list in zip(*alone, strict=True) for a in of_one_list])
    assert results[0] == results[1] == results[2] == results[3]


@pytest.mark.parametrize("name", NUMBERS)
def test_no_kernel_writes_to_the_gradient(name):
    args = arguments(name, NUMBERS[name][-1], [(5,), (40,)])
    grads = args[OUTS[name]]
    before = [g.copy() for g in grads]
    getattr(steps, name)(*args)
    for g, b in zip(grads, before, strict=True):
        np.testing.assert_array_equal(g, b)


@pytest.mark.parametrize("name", NUMBERS)
def test_nan_and_infinity_pass(name):
    args = arguments(name, NUMBERS[name][0], [(4,)])
    args[OUTS[name]][0][:] = [np.nan, np.inf, -np.inf, 1.0]
    expected = written(getattr(steps, name).reference, args, OUTS[name])
    found = written(getattr(steps, name), args, OUTS[name])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))


def few(*shapes):
    return Arrays(np.zeros(shape, np.float32) for shape in shapes)


WRONG = [
    ((few(3), None, few(4)), ValueError, r"a parameter and its arrays have shapes \(3,\) and \(4,\)"),
    ((few(3, 2), None, few(3)), ValueError, "expected a gradient for each parameter"),
    ((few(3), few(3, 3), few(3)), ValueError, "expected a buffer for each parameter"),
    ((few(3)[0], None, few(3)), TypeError, "argument 1: expected a tuple of arrays, found numpy.ndarray"),
    ((few(3), None, None), TypeError, "argument 3: expected a tuple of arrays, found NoneType"),
    ((few((3, 4)), None, Arrays([np.zeros((4, 3), np.float32).T])), TypeError, "argument 3: .* found strided float32"),
    ((few(3), None, Arrays([np.zeros(3)])), TypeError, "argument 3: .* found float64"),
]


@native
@pytest.mark.parametrize(("lists", "error", "message"), WRONG)
def test_what_is_refused(lists, error, message):
    with pytest.raises(error, match=message):
        cpu.kernels()["sgd_step"](*lists, *SGD[0])
