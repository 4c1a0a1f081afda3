"""Copies between arrays of the simulator in any strides; tiles are turned over where neighbours change."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.array import assign
from minigrad.cuda import launches
from minigrad.dtypes import bfloat16, float16, float32

TURNED = [  # (shape, the order of its dimensions in the copy)
    ((65, 33), (1, 0)), ((8, 9), (1, 0)), ((3, 64, 40), (0, 2, 1)), ((2, 9, 4, 33), (2, 0, 3, 1)),
    ((2, 35, 5, 9), (0, 2, 3, 1)),
]  # fmt: skip
STRAIGHT = [((7, 9), (1, 0)), ((0, 40), (1, 0)), ((40, 1), (1, 0)), ((3, 4, 50), (1, 0, 2))]
MODES = [("check", "forward"), ("fast", "reverse"), ("fast", "random")]


def numbers(shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) % 251


@pytest.mark.parametrize("dtype", [float32, float16, bfloat16], ids=str)
@pytest.mark.parametrize("shape, order", TURNED + STRAIGHT)
def test_permuted_copies(shape, order, dtype):
    x = numbers(shape)
    there = mg.tensor(x, dtype=dtype, device="cuda-sim").permute(order)
    for mode, threads in MODES:
        with mg.cuda.simulate(mode=mode, order=threads):
            y = there.contiguous()
        assert y.dtype == dtype and y.is_contiguous()
        np.testing.assert_array_equal(y.float().cpu().numpy(), x.transpose(order))


@pytest.mark.parametrize("rows", [TURNED, STRAIGHT], ids=["turned", "straight"])
def test_which_are_turned_over(rows):
    plan = launches.LAUNCHES["copy_forward"][1]
    for shape, order in rows:
        there = mg.zeros(*shape, device="cuda-sim").permute(order)
        (launch,) = plan(mg.zeros(*there.shape, device="cuda-sim").array, there.array)
        assert (launch.entry == "copy_forward_turned") == (rows is TURNED), (shape, order)


def test_parts_are_written_into_parts():
    """Of one array too, where what is read may be what was written before."""
    x, y = mg.tensor(numbers((40, 50)), device="cuda-sim"), mg.zeros(60, 70, device="cuda-sim")
    assign(y.array[5:55, 3:43], x.array.T)
    np.testing.assert_array_equal(y[5:55, 3:43].cpu().numpy(), numbers((40, 50)).T)
    assert float(y.sum()) == float(x.sum())
    assign(x.array[1:], x.array[:-1])
    np.testing.assert_array_equal(x.cpu().numpy(), numbers((40, 50))[[0, *range(39)]])
