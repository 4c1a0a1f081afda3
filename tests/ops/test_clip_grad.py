"""The kernels of gradient clipping: native against reference. What users call is tested in tests/nn/test_utils.py."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import mutation
from minigrad.backend import cpu
from minigrad.backend.array import Arrays
from minigrad.ops.clip_grad import clip_all, clip_norm, norm_of, total_norm

native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is not built")
SIZES = [(0,), (1,), (), (7,), (4, 8), (33,), (40001,), (2, 70003)]


def some(*shapes, scale=1.0, dtype=np.float32):
    rng = np.random.default_rng(len(shapes))
    return Arrays(np.asarray(scale * rng.standard_normal(shape), dtype) for shape in shapes)


def norm_by(body, arrays):
    norm = np.zeros((), np.float32)
    body(norm, arrays)
    return norm.item()


@native
@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e25])
@pytest.mark.parametrize("shapes", [SIZES, [(3,)], [(0,)], [(100000,)]], ids=str)
def test_norm(shapes, scale):
    """Also of numbers whose squares are no floats."""
    arrays = some(*shapes, scale=scale)
    expected = norm_by(total_norm.reference, arrays)
    assert norm_by(cpu.kernels()["total_norm"], arrays) == pytest.approx(expected, rel=1e-6)


@native
@pytest.mark.parametrize("max_norm", [0.0, 1.0, 1e6])
def test_clipping(max_norm):
    norm, runs = np.float32(250), []
    for body in (clip_norm.reference, cpu.kernels()["clip_norm"]):
        runs.append(Arrays(a.copy() for a in some(*SIZES)))
        body(runs[-1], np.asarray(norm), max_norm)
    for found, expected, before in zip(*runs, some(*SIZES), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert max_norm != 1e6 or (found == before).all()


@native
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_norm_that_is_no_number_passes(value):
    for body in (clip_norm.reference, cpu.kernels()["clip_norm"]):
        arrays = some((40,))
        body(arrays, np.asarray(value, np.float32), 1.0)
        assert np.isnan(arrays[0]).all() if np.isnan(value) else (arrays[0] == 0).all()


@native
def test_bits_do_not_depend_on_the_threads():
    before, bits = cpu.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            cpu.set_num_threads(threads)
            arrays = some(*SIZES, (300001,))
            norm = norm_by(cpu.kernels()["total_norm"], arrays)
            cpu.kernels()["clip_norm"](arrays, np.asarray(norm, np.float32), 1.0)
            bits.append((norm, [a.tobytes() for a in arrays]))
    finally:
        cpu.set_num_threads(before)
    assert bits[0] == bits[1] == bits[2]


def test_many_dtypes_and_strides_in_one_norm():
    """float64 wins; a strided array and a half are scaled in place too, and every write is noted."""
    arrays = [a for dtype in (np.float32, np.float64, mg.bfloat16) for a in some((3, 5), (4,), dtype=dtype)]
    arrays[0] = arrays[0].T
    wide = [a.astype(np.float64) for a in arrays]
    norm, versions = norm_of(arrays), [mutation.version(a) for a in arrays]
    assert norm.dtype == np.float64
    assert norm == pytest.approx(np.sqrt(sum((w**2).sum() for w in wide)), rel=1e-6)
    clip_all("clip", arrays, norm, 0.5)
    for a, w in zip(arrays, wide, strict=True):
        np.testing.assert_allclose(a.astype(np.float64), w * 0.5 / norm, rtol=1e-2 if a.dtype == mg.bfloat16 else 1e-6)
    assert [mutation.version(a) for a in arrays] == [v + 1 for v in versions]


@native
def test_what_is_refused():
    x, two = Arrays([np.zeros(3, np.float32)]), np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="a norm of one element"):
        cpu.kernels()["total_norm"](two, x)
    with pytest.raises(ValueError, match="a norm of one element"):
        cpu.kernels()["clip_norm"](x, two, 1.0)
