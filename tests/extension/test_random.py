"""Philox: known answers, streams that continue, normal numbers, dropout."""

import numpy as np
import pytest

from tests.extension.helpers import F32, SIZES, blank, normal, run


def test_philox_known_answers(ext):
    """The first 24 bits of the published vector for counter 0 and key 0."""
    y = blank(ext, 8)
    ext.uniform_fill(y, 0, 0)
    assert [int(v * 2**24) for v in y[:4]] == [w >> 8 for w in (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)]


def test_streams_continue(ext):
    whole, part = blank(ext, 100_003), blank(ext, 501)
    for name in ("uniform_fill", "normal_fill"):
        for seed, offset in [(3, 5), (-7, 2**40)]:
            getattr(ext, name)(whole, seed, offset)
            getattr(ext, name)(part, seed, offset + 20_000)
            np.testing.assert_array_equal(part, whole[80_000:80_501])


def test_normal_is_box_muller_of_uniform(ext):
    u, z = blank(ext, 100_000), blank(ext, 100_000)
    ext.uniform_fill(u, 11, 0)
    ext.normal_fill(z, 11, 0)
    u1, u2 = u.reshape(-1, 2).astype(np.float64).T + np.array([[2.0**-24], [0]])
    radius, angle = np.sqrt(-2 * np.log(u1)), 2 * np.pi * u2
    np.testing.assert_allclose(
        z.reshape(-1, 2), np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), rtol=1e-5, atol=2e-6
    )
    assert abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_dropout(ext, p):
    for size in SIZES:
        x, u = normal(size), blank(ext, size)
        ext.uniform_fill(u, 4, 9)
        with np.errstate(all="ignore"):
            expected = np.where(u >= p, x * F32.type(1 / np.float64(1 - p)), F32.type(0))
        for name in ("dropout_forward", "dropout_backward"):
            np.testing.assert_array_equal(run(ext, name, x, p, 4, 9), expected)
