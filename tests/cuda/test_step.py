"""One thread of a kernel, line by line through gdb, and gdb itself at lines of kernels."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad.cuda import debugger


def gdb_works():
    """Whether there is a gdb, and the system lets it run programs."""
    if not shutil.which("gdb"):
        return False
    done = subprocess.run(["gdb", "-nx", "-batch", "-ex", "run", "/bin/true"], capture_output=True, text=True)
    return "exited normally" in done.stdout


with_gdb = pytest.mark.skipif(not gdb_works(), reason="there is no gdb that runs programs")

TURNED = """\
__device__ float twice(float v) {
  return 2.0f * v;
}
extern "C" __global__ void turned(float* y, const float* x, int n) {
  __shared__ float tile[4];
  const int t = threadIdx.x;
  tile[t] = x[blockIdx.x * 4 + t];
  __syncthreads();
  float from = tile[3 - t];
  if (t < n) y[blockIdx.x * 4 + t] += twice(from);
}
"""
WALK = """\
                   y = y + 0
                   x = x + 0
                   n = 2
kernel.cu:5    __shared__ float tile[4];
                   tile = {4, nan, nan, nan}
kernel.cu:6    const int t = threadIdx.x;
                   t = 1
kernel.cu:7    tile[t] = x[blockIdx.x * 4 + t];
                   tile = {4, 5, nan, nan}
kernel.cu:8    __syncthreads();
                   tile = {4, 5, 6, 7}
kernel.cu:9    float from = tile[3 - t];
                   from = 6
kernel.cu:10   if (t < n) y[blockIdx.x * 4 + t] += twice(from);
                     v = 6
kernel.cu:2      return 2.0f * v;
kernel.cu:3      }
kernel.cu:11   }"""


def turned(thread, **options):
    """The walk through a thread of the second block; y is what it was before."""
    kernel = mg.cuda.compile(TURNED)
    x, y = mg.arange(8.0).to("cuda-sim"), mg.ones(8, device="cuda-sim")
    said = mg.cuda.step("turned", lambda: kernel(2, 4, (y, x, 2)), 1, thread, source=TURNED, **options)
    assert y.tolist() == [7.0, 5.0, 1.0, 1.0, 15.0, 13.0, 1.0, 1.0]
    return said


@with_gdb
def test_lines_and_variables():
    """Others run where the thread waits: it finds what they wrote."""
    assert turned(1) == WALK


@with_gdb
def test_no_more_lines_than_were_asked_for():
    lines = turned(1, most=3).split("\n")
    assert lines == [*WALK.split("\n")[:9], ".. and so on: 3 lines were asked for"]


@with_gdb
def test_a_kernel_of_ours():
    x = mg.randn(9, 60).to("cuda-sim")
    said = mg.cuda.step("softmax_forward_warp", lambda: mg.softmax(x, 1), block=1, thread=17)
    row, found = np.asarray(x.array)[4], dict(re.findall(r"^ +(row|cols|c|total) = (.*)$", said, re.MULTILINE))
    assert (found["row"], found["cols"]) == ("4", "60")
    assert re.search(r"^common\.cuh:\d+ +for \(int c = Group::rank\(\);", said, re.MULTILINE)
    shown = [float(v) for v in re.findall(r"^ +x = (-?\d[-+e.\d]*)$", said, re.MULTILINE)]
    assert set(np.array(shown, np.float32)) == {row[17], row[49]}


@with_gdb
def test_structs_with_addresses_hold():
    """The arrays lie where they lay: what a struct points to is there."""
    weight = mg.ones(3).to("cuda-sim").requires_grad_()
    weight.grad = mg.tensor([1.0, 2.0, 4.0], device="cuda-sim")
    optimizer = mg.optim.SGD([weight], lr=0.5, weight_decay=0.25)
    said = mg.cuda.step("sgd_step", optimizer.step, thread=2)
    assert re.search(r" p = 1\n +g = 4\n +weight_decay = 0\.25\n(.*\n)*?.* d = 4\.25\n", said), said
    assert weight.tolist() == [0.375, -0.125, -1.125]


@with_gdb
def test_a_kernel_with_a_fault_can_be_followed():
    source = TURNED.replace("3 - t", "4 - t")
    kernel = mg.cuda.compile(source)
    x, y = mg.arange(4.0).to("cuda-sim"), mg.ones(4, device="cuda-sim")
    said = mg.cuda.step("turned", lambda: kernel(1, 4, (y, x, 4)), thread=3, source=source)
    assert "from = 1" in said
    with pytest.raises(mg.cuda.KernelError, match="index 4 out of bounds"):
        kernel(1, 4, (y, x, 4))


ACCESSES = """\
kernel.cu:7  reads   x[5] = 5.0
kernel.cu:7  writes  shared tile[1] = 5.0
kernel.cu:9  reads   shared tile[2] = 6.0
kernel.cu:10  reads   y[5] = 1.0
kernel.cu:10  writes  y[5] = 13.0"""


def test_without_gdb_its_accesses_are_shown(monkeypatch):
    monkeypatch.setattr(debugger, "is_there", lambda: False)
    assert turned(1) == ACCESSES


@with_gdb
def test_when_gdb_takes_too_long(monkeypatch):
    monkeypatch.setattr(debugger, "SECONDS", 0)
    assert turned(1) == ACCESSES


@with_gdb
def test_a_thread_that_is_not_there():
    with pytest.raises(ValueError, match="thread 9 of block 1 of turned reaches no memory"):
        turned(9)


@with_gdb
def test_gdb_stops_at_a_line_and_knows_the_variables():
    """As `minigrad.cuda.step` documents."""
    lines = (debugger.build.kernel_folder() / "embedding.cu").read_text().split("\n")
    line = 1 + next(n for n, text in enumerate(lines) if text.startswith("    y[i] = "))
    program = "import minigrad as mg; x = mg.nn.functional.embedding; w = mg.ones(5, 3, device='cuda-sim'); "
    program += "print(x(mg.tensor([4], device='cuda-sim'), w).tolist())"
    commands = ["set breakpoint pending on", f"break embedding.cu:{line}", "run", "info locals", "delete", "continue"]
    words = [word for command in commands for word in ("-ex", command)]
    done = subprocess.run(
        ["gdb", "-nx", "-batch", *words, "--args", sys.executable, "-c", program],
        capture_output=True, text=True, env={**os.environ, "MINIGRAD_CUDA_SIM": "debug"},
    )  # fmt: skip
    assert f"embedding.cu:{line}" in done.stdout and "\nall = 3\n" in done.stdout, done.stderr
    assert "[[1.0, 1.0, 1.0]]" in done.stdout
