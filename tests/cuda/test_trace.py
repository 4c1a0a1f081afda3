"""Accesses that are kept one by one, and what those of a warp cost: patterns whose cost is known."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.cuda.trace import tracing

PATTERNS = """
extern "C" __global__ void patterns(float* y, const float* x, int step, int width) {
  __shared__ float tile[32 * 33];
  const int t = threadIdx.x;
  for (int i = t; i < 32 * 33; i += 32) tile[i] = 0.0f;
  __syncthreads();
  y[t] =
      x[t * step] +
      tile[t * width];
}
"""


@pytest.fixture
def patterns():
    """{line: Cost} of a launch."""
    kernel = mg.cuda.compile(PATTERNS)
    x, y = (mg.zeros(n, device="cuda-sim") for n in (2048, 32))

    def run(step=1, width=1):
        with tracing("patterns", source=PATTERNS) as trace:
            kernel(1, 32, (y, x, step, width))
        assert (trace.grid, trace.block) == ((1, 1, 1), (32, 1, 1))
        return {cost.name + " " + cost.verb: cost for cost in trace.costs() if cost.line != 5}

    return run


@pytest.mark.parametrize("step, sectors", [(0, 1), (1, 4), (2, 8), (3, 12), (8, 32), (32, 32)])
def test_sectors_of_strides(patterns, step, sectors):
    found = patterns(step=step)
    assert found["x read"][3:] == ("global", "read", 1, sectors, 1 if step == 0 else 4)
    assert found["y write"][3:] == ("global", "write", 1, 4, 4)


@pytest.mark.parametrize("width, passes", [(0, 1), (1, 1), (2, 2), (3, 1), (8, 8), (32, 32), (33, 1)])
def test_bank_conflicts(patterns, width, passes):
    """A row of 32 floats puts a column into one bank; one float of padding undoes that; one word is told to all."""
    assert patterns(width=width)["tile read"][3:] == ("shared", "read", 1, passes, 1)


def test_turns_of_a_loop_are_apart():
    with tracing("softmax_forward_warp") as trace:
        mg.softmax(mg.zeros(8, 64, device="cuda-sim"), 1)
    assert {(c.file, c.name, c.verb, c.accesses, c.each) for c in trace.costs()} == {
        ("softmax.cu", "x", "read", 16, 4.0),
        ("softmax.cu", "y", "write", 16, 4.0),
    }


def test_nothing_is_kept_outside_of_the_block_or_of_other_kernels():
    x = mg.zeros(2, 4, device="cuda-sim")
    with tracing("softmax_forward_warp") as trace:
        mg.log_softmax(x, 1)
    assert len(trace.events) == 0 and trace.costs() == []
    with tracing("softmax_forward_warp", most=3) as trace:
        mg.softmax(x, 1)
    assert len(trace.events) == 3


def test_one_thread_step_by_step():
    x = mg.tensor([[0.0, 0.0], [5.0, 5.0]], device="cuda-sim")
    said = mg.cuda.step("softmax_forward_warp", lambda: mg.softmax(x, 1), thread=33, gdb=False).split("\n")
    assert [line.split("  ", 1)[1] for line in said] == [
        "reads   x[3] = 5.0",
        "reads   x[3] = 5.0",
        "writes  y[3] = 0.5",
    ]


def test_shared_memory_step_by_step():
    x = mg.tensor(np.full((1, 2000), 2.0, np.float32), device="cuda-sim")
    said = mg.cuda.step("sum_forward_block", lambda: x.sum(1), thread=32, gdb=False)
    assert "writes  shared parts[1] = 64.0" in said or "writes  shared parts[1] = 512.0" in said


def test_a_thread_that_does_nothing():
    x = mg.zeros(2, 4, device="cuda-sim")
    with pytest.raises(ValueError, match="thread 5 of block 0 of softmax_forward_warp reaches no memory"):
        mg.cuda.step("softmax_forward_warp", lambda: mg.softmax(x, 1), thread=5, gdb=False)
    with pytest.raises(KeyError, match="no kernel 'nothing'"):
        mg.cuda.step("nothing", lambda: None)


def test_a_transposed_copy_moves_whole_sectors():
    """Read along one dimension and written along the other, by way of tiles whose columns lie in all banks."""
    x = mg.zeros(64, 64, device="cuda-sim")
    with tracing("copy_forward_turned") as trace:
        x.T.contiguous()
    assert {(c.kind, c.verb, c.each) for c in trace.costs()} == {
        ("global", "read", 4.0),
        ("global", "write", 4.0),
        ("shared", "read", 1.0),
        ("shared", "write", 1.0),
    }
