"""The runtime under the kernels: threads, forks, and the buffer pool."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from tests.extension.helpers import F32, blank, normal, run


# Threads -------------------------------------------------------------------------------------------------------------
def everything(ext):
    """One result of every kind of kernel, large enough for many chunks."""
    x, tall, wide = normal(300, 1001), normal(2, 4001, 33), normal(1, 300, 1001)
    y = [
        blank(ext, x.shape),
        blank(ext, (2, 33)),
        blank(ext, (300, 1)),
        blank(ext, (1, 1)),
        blank(ext, (1, 300, 300)),
        blank(ext, (300, 300)),
    ]
    ext.gelu_forward(y[0], x)
    ext.sum_forward(y[1], tall)
    ext.logsumexp_forward(y[2], x[:, :, None])
    ext.var_forward(y[3], blank(ext, (1, 1)), x.reshape(1, -1, 1), 1.0)
    ext.matmul_forward(y[4], wide, wide, False, True)
    ext.linear_forward(y[5], x, x, y[2].reshape(-1))
    return [
        *y,
        run(ext, "cumsum_forward", tall),
        run(ext, "dropout_forward", x, 0.5, 1, 2),
        run(ext, "copy_forward", x.T),
    ]


def test_results_do_not_depend_on_the_threads(ext):
    before = ext.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 4, 3):
            ext.set_num_threads(threads)
            assert ext.get_num_threads() == threads
            results.append(everything(ext))
    finally:
        ext.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_thread_count_is_checked(ext):
    with pytest.raises(ValueError, match="at least 1"):
        ext.set_num_threads(0)


def test_python_threads_may_call_at_once(ext):
    expected, failures = everything(ext), []

    def work():
        for _ in range(3):
            if not all(map(np.array_equal, expected, everything(ext))):
                failures.append(threading.current_thread().name)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


FORK = """
import os, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from minigrad.backend import cpu
ext = cpu._load(sys.argv[1])[0]
ext.set_num_threads(3)
x, y = np.ones((1, 500000, 1), np.float32), ext.empty((1, 1), np.float32)
total = lambda: (ext.sum_forward(y, x), float(y[0, 0]))[1]
assert total() == 500000
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        ok = all(total() == 500000 for _ in range(50)) and ext.get_num_threads() == 3
        os._exit(0 if ok else 1)
    children.append(pid)
    assert total() == 500000
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
assert total() == 500000
"""


def test_forked_children_compute_too(ext):
    done = subprocess.run([sys.executable, "-c", FORK, ext.isa], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# Buffers -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.float32, "float64", np.int64, bool, np.uint8, "bfloat16"])
def test_empty(ext, dtype):
    if dtype == "bfloat16":
        dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    for shape in ((), (0,), (3,), [2, 3], (4, 0, 2), (1000, 1001), 5):
        x, like = ext.empty(shape, dtype), np.empty(shape, dtype)
        assert (x.shape, x.dtype) == (like.shape, like.dtype)
        assert x.ctypes.data % 64 == 0 and x.flags.writeable and x.flags.c_contiguous
        x.fill(1)
        assert (x == 1).all()


def test_buffers_are_reused(ext):
    ext.empty((1000,), F32)
    before = ext.memory_stats()
    for _ in range(10):
        ext.empty((1000,), F32)
    after = ext.memory_stats()
    assert after["reuses"] - before["reuses"] == 10 and after["allocated"] == before["allocated"]


def test_stats_and_empty_cache(ext):
    before = ext.memory_stats()["allocated"]
    x = ext.empty((1 << 20,), F32)
    view = x[5:10]
    assert ext.memory_stats()["allocated"] - before == 4 << 20
    del x
    assert ext.memory_stats()["allocated"] - before == 4 << 20  # the view keeps the buffer
    del view
    stats = ext.memory_stats()
    assert (
        stats["allocated"] == before
        and stats["cached"] >= 4 << 20
        and stats["reserved"] == stats["allocated"] + stats["cached"]
    )
    ext.empty_cache()
    assert ext.memory_stats()["cached"] == 0
    ext.reset_peak()
    assert ext.memory_stats()["peak"] == ext.memory_stats()["allocated"]


def test_the_cache_is_bounded(ext):
    code = f"""
from minigrad.backend import cpu
ext = cpu._load({ext.isa!r})[0]
for size in (1 << 18, 1 << 19, 1 << 20, 3 << 17):
    ext.empty((size,), "float32")
    assert ext.memory_stats()["cached"] <= 3 << 20, ext.memory_stats()
assert ext.memory_stats()["cached"] >= 1 << 20
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "MINIGRAD_CACHE_MB": "3"}
    )
    assert done.returncode == 0, done.stderr
