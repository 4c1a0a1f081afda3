"""Kernels' forms for halves: stored in two bytes, computed in float32, rounded once.

Each row of test_kernels.py whose kernel has them is run on the simulator, every load and store checked, against the
reference in float32 on the same numbers.
"""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.devices import kernels
from minigrad.backend.simulated import SimArray
from minigrad.cuda.launches import LAUNCHES, wide_places
from minigrad.cuda.source import HALVES, dtype_of
from minigrad.kernel import KERNELS, widened
from tests.cuda.test_kernels import CASES as ROWS
from tests.cuda.test_kernels import copies, outputs, there
from tests.ops.inputs import same

CASES = [row for row in ROWS if f"{row[0]}_float16" in kernels(SimArray)]
DTYPES = [(mg.float16, 2.0**-10), (mg.bfloat16, 2.0**-7)]


def narrow(value, dtype):
    if isinstance(value, list):
        return [narrow(a, dtype) for a in value]
    return value.astype(dtype) if getattr(value, "dtype", None) == np.float32 else value


def as_halves(row, dtype):
    """A row's arguments in a half, but for those that stay wide."""
    name, *args = row
    wide = wide_places(LAUNCHES[name][1])
    return [a if i in wide else narrow(a, dtype) for i, a in enumerate(args)]


@pytest.mark.parametrize("dtype, eps", DTYPES, ids=["float16", "bfloat16"])
@pytest.mark.parametrize("row", CASES, ids=lambda row: row[0])
def test_a_form_for_halves_rounds_once(row, dtype, eps):
    name, args = row[0], as_halves(row, dtype)
    kernel, expected, found = KERNELS[name], copies(args), copies(args, there)
    widened(kernel.reference, kernel.outs)(*expected)
    with mg.cuda.simulate(mode="check", order="reverse"):
        assert kernels(SimArray)[f"{name}_{dtype}"](*found) is None, "refused"
    for i, (f, e) in enumerate(zip(outputs(kernel, found), outputs(kernel, expected), strict=True)):
        rounding = eps if e.dtype == dtype else 2e-5
        same(f, e, 1.01 * rounding, 2e-6 + 1e-3 * rounding, f"{name}, output {i}")


def test_mixed_floats_are_refused_and_then_widened():
    y, x = np.zeros((2, 3, 1), mg.bfloat16), np.ones((2, 3, 1), np.float32)
    y, x = there(y), there(x)
    assert kernels(SimArray)["softmax_forward_bfloat16"](y, x) is NotImplemented
    KERNELS["softmax_forward"](y, x)
    same(y, np.full((2, 3, 1), 1 / 3), 2.0**-8, 0, "softmax of floats into halves")


WIDENED = {  # kernels without such forms, and why halves may well be widened for them
    "recurrence_forward": "carried in double; halves lose what a scan is for",
    "cumsum_forward": "the same", "cumsum_backward": "the same",
    "cumprod_forward": "the same", "cumprod_backward": "the same",
    "prod_backward": "where a product leaves the range, dx holds half of the result for a while",
    "int8_linear_forward": "its scales are float32 whatever the input is",
    "conv2d_relu_pool_forward": "made for small float32 nets",
    "conv2d_relu_pool_backward": "made for small float32 nets",
    "conv2d_relu_pool_spread": "made for small float32 nets",
    "linear_gelu_forward": "stands in one file with the products, whose halves are in matmul_half.cu",
    "linear_gelu_backward": "stands in one file with the products, whose halves are in matmul_half.cu",
    "sort_forward": "sorts numbers with their places; halves are few values, and rarely sorted",
    "topk_forward": "the same",
    "linear_relu_backward": "stands in one file with the products, whose halves are in matmul_half.cu",
    "linear_backward_bias": "stands in one file with the products, whose halves are in matmul_half.cu",
}  # fmt: skip


def test_kernels_without_forms_for_halves_are_known():
    plain = {name for name in LAUNCHES if dtype_of(name) is None}
    for dtype in HALVES:
        assert {name for name in plain if f"{name}_{dtype}" not in kernels(SimArray)} - set(WIDENED) == set()
