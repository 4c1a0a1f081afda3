"""What the tests of the C++ side share: the modules this processor can run, inputs, and a comparison in ulps."""

import numpy as np

from minigrad.backend import cpu

F32, I64 = np.dtype(np.float32), np.dtype(np.int64)
SIZES = [0, 1, 3, 7, 8, 15, 16, 17, 31, 33, 1000, 70001]  # tails of every width, and enough for several chunks


def runnable():
    baseline, _ = cpu._load("baseline")
    flags = baseline.cpu_flags() if baseline else {}
    modules = [cpu._load(isa)[0] for isa, needs in cpu.ISAS.items() if all(flags.get(need) for need in needs)]
    return [module for module in modules if module]


MODULES = runnable()


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(F32)


def blank(ext, shape, dtype=F32):
    y = ext.empty(shape, dtype)
    y.view(np.uint8).fill(0xA5)
    return y


def run(ext, name, x, *args, out=None):
    y = blank(ext, np.shape(x)) if out is None else out
    getattr(ext, name)(y, x, *args)
    return y


def assert_close(y, expected, ulps=4, absolute=1e-38):
    """Within some float32 spacings of the exact values; nan and inf where they belong."""
    exact = np.asarray(expected, np.float64)
    with np.errstate(over="ignore"):
        rounded = exact.astype(F32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(y[~finite], rounded[~finite])
    error = np.abs(y[finite].astype(np.float64) - exact[finite])
    allowed = ulps * np.spacing(np.abs(rounded[finite])).astype(np.float64) + absolute
    assert (error <= allowed).all(), f"off by {(error / allowed).max() * ulps:.1f} ulps"
