"""What tensor cores and asynchronous copies do in the simulator: fragments as documented, faults as planted; how tiles
lie in shared memory; and products of two-byte floats by every rung."""

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.devices import kernels
from minigrad.backend.simulated import SimArray
from minigrad.cuda import KernelError, rungs, simulator
from minigrad.cuda import tensor_map as map_module
from minigrad.cuda.launches import LAUNCHES, bodies
from minigrad.cuda.tensor_map import tensor_map
from tests.cuda.test_kernels import there

SOURCE = (Path(__file__).parent / "tensor_cores.cu").read_text()
DTYPES = [mg.float16, mg.bfloat16]
LAYOUTS = [(False, False), (False, True), (True, False), (True, True)]
HALF = [name for name, rung in rungs.RUNGS.items() if "float16" in rung.dtypes and name != rungs.CUBLAS]
rng = np.random.default_rng(0)
bodies()  # which fills LAUNCHES


def launch(name, grid, block, *args, mode="check", shared=0, **settings):
    with mg.cuda.simulate(**settings):
        mg.cuda.compile(SOURCE, file="tensor_cores.cu", mode=mode)[name](grid, block, args, shared=shared)


# Tiles ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns, rows", [(32, 128), (128, 32)])
def test_a_tile_has_a_place_for_each_chunk_and_eight_rows_meet_all_banks(columns, rows):
    chunks = columns // 8
    at = there(np.full((rows, chunks), -1, np.int32))
    launch(f"places_of_{columns}", 1, 64, at, rows)
    at = np.asarray(at)
    assert sorted(at.ravel()) == list(range(0, rows * columns, 8)), "a bijection"
    assert (at // columns == np.arange(rows)[:, None]).all(), "within the row"
    groups = at // 8 % 8  # which 16 of the 128 bytes that the banks have side by side
    for row in range(0, rows, 8):  # what ldmatrix reads at once: one chunk of eight rows
        assert (np.sort(groups[row : row + 8], 0) == np.arange(8)[:, None]).all()
    for first in range(0, groups.size, 8):  # and what eight threads copy side by side
        assert len(set(groups.ravel()[first : first + 8])) == 8


# Fragments: the tables of the PTX ISA, spelled out again -------------------------------------------------------------

LANE = np.arange(32)
GROUP, PAIR = LANE // 4, LANE % 4 * 2


def pairs(x, row, column, step=(0, 1)):
    """Registers that hold the element of x at (row, column) in the lower half, and the next by `step` in the upper."""
    bits = x.view(np.uint16).astype(np.uint32)
    return bits[row, column] | bits[row + step[0], column + step[1]] << 16


@pytest.mark.parametrize("mode", ["fast", "check"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_products_of_fragments(dtype, mode):
    a, b = (rng.normal(size=s).astype(dtype) for s in ((16, 16), (16, 8)))
    c = rng.normal(size=(16, 8)).astype(np.float32)
    rows, columns = (GROUP, GROUP + 8, GROUP, GROUP + 8), (PAIR, PAIR, PAIR + 8, PAIR + 8)
    left = np.stack([pairs(a, r, k) for r, k in zip(rows, columns, strict=True)])
    right = np.stack([pairs(b, PAIR + k, GROUP, (1, 0)) for k in (0, 8)])
    at = [(GROUP + 8 * (i // 2), PAIR + i % 2) for i in range(4)]
    d = there(np.stack([c[i] for i in at]))
    launch(f"product_{dtype}", 1, 32, d, there(left), there(right), mode=mode)
    expected = c + a.astype(np.float64) @ b.astype(np.float64)
    np.testing.assert_allclose(np.asarray(d), np.stack([expected[i] for i in at]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("transposed", [False, True])
def test_matrices_from_shared_memory(transposed):
    x, out = rng.normal(size=(32, 8)).astype(np.float16), there(np.zeros((4, 32), np.uint32))
    launch("matrices", 1, 32, out, there(x), transposed)
    each = [x[8 * i : 8 * i + 8] for i in range(4)]
    expected = [pairs(np.ascontiguousarray(e.T if transposed else e), GROUP, PAIR) for e in each]
    np.testing.assert_array_equal(np.asarray(out), np.stack(expected))


# Copies --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", simulator.ORDERS)
@pytest.mark.parametrize("mode", ["fast", "check"])
def test_copies_come_where_they_are_waited_for(mode, order):
    x, y = rng.normal(size=(64, 4)).astype(np.float32), there(np.zeros((64, 4), np.float32))
    launch("copied", 1, 64, y, there(x), mode=mode, order=order, seed=1)
    x[1::2] = 0
    np.testing.assert_array_equal(np.asarray(y), x[::-1])


FAULTS = {  # kernel: kind, words of the message
    "never_waited_for": ("not waited for", "read of shared `tile` + 1008 bytes"),
    "group_not_committed": ("not waited for", "while a copy to it that thread (63,0,0) began is under way"),
    "too_few_groups": ("not waited for", "read of shared `tile`"),
    "others_not_waited_for": ("race", "no __syncwarp or __syncthreads between them"),
    "copied_over_readers": ("race", "then write at"),
    "copied_askew": ("misaligned", "both need an alignment of 16 bytes"),
    "copied_from_behind": ("out of bounds", "read of 16 bytes, 0 bytes past the end of global `x`"),
    "half_a_warp": ("undefined lane", "needs all 32 lanes of a warp, found ffff0000"),
    "matrices_askew": ("misaligned", "which needs an alignment of 16 bytes"),
}


@pytest.mark.parametrize("kernel", FAULTS)
def test_a_fault_is_reported_with_its_line(kernel):
    reported(kernel, *FAULTS[kernel], there(np.zeros(64, np.float32)), there(np.zeros(256, np.float32)))


def reported(kernel, kind, words, *args, shared=0):
    """Whether a fault of this kind is found in the line that is marked."""
    begin = SOURCE.index(f" {kernel}(")
    with pytest.raises(KernelError, match=re.escape(words)) as caught:
        launch(kernel, 1, 64, *args, shared=shared)
    error = caught.value
    assert (error.kind, error.file) == (kind, "tensor_cores.cu"), str(error)
    assert error.line == SOURCE[: SOURCE.index("// here", begin)].count("\n") + 1, str(error)


# Boxes and barriers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [(0, 0, 0), (64, 64, 1), (0, 64, 0), (192, 0, 1)])
def test_a_box_comes_swizzled_with_zeros_from_outside(at):
    x, y = rng.normal(size=(2, 70, 136)).astype(np.float16), there(np.zeros((64, 8, 8), np.float16))
    launch("boxed", 1, 64, y, tensor_map(there(x)), *at, shared=8192)
    column, row, z = at
    box = np.zeros((64, 64), np.float16)
    inside = x[z, row : row + 64, column : column + 64]
    box[: len(inside), : inside.shape[1]] = inside
    order = np.arange(8) ^ np.arange(64)[:, None] % 8
    np.testing.assert_array_equal(np.take_along_axis(np.asarray(y), order[:, :, None], 1), box.reshape(64, 8, 8))


@pytest.mark.parametrize("order", simulator.ORDERS)
@pytest.mark.parametrize("mode", ["fast", "check"])
def test_barriers_order_a_ring(mode, order):
    y = there(np.zeros(1, np.int32))
    launch("ring", 1, 64, y, 7, mode=mode, order=order, seed=1)
    assert y.item() == 7


FAULTS_OF_BOXES = {
    "box_never_waited_for": ("not waited for", "while a copy to it that thread (0,0,0) began is under way"),
    "box_of_the_other_parity": ("not waited for", "while a copy to it that thread (0,0,0) began is under way"),
    "box_that_others_waited_for": ("race", "write by thread (63,0,0)"),
    "box_of_fewer_bytes": ("deadlock", "wait at mbarrier_wait()"),
    "box_without_fence": ("missing fence", "no fence_mbarrier_init"),
    "box_askew": ("misaligned", "an alignment of 1024 bytes"),
    "barrier_that_is_none": ("uninitialised", "of an mbarrier that is not initialised"),
    "too_many_arrivals": ("mbarrier", "more arrivals"),
    "wgmma_without_fence": ("missing fence", "without a wgmma_fence"),
}


@pytest.mark.parametrize("kernel", FAULTS_OF_BOXES)
def test_a_fault_of_boxes_is_reported_with_its_line(kernel):
    x = there(np.ones((64, 64), np.float16))
    reported(kernel, *FAULTS_OF_BOXES[kernel], there(np.zeros(128, np.float16)), tensor_map(x), shared=8192)


class Driver:
    """Stands for libcuda: keeps what it is asked, and answers with a status."""

    def __init__(self, status):
        self.status, self.asked = status, []

    def cuTensorMapEncodeTiled(self, to, *args):
        assert to.value % 64 == 0
        ctypes.memset(to, 7, 128)
        self.asked.append([a if isinstance(a, int) else getattr(a, "value", None) or list(a) for a in args])
        return self.status


def test_what_the_driver_is_asked_for(monkeypatch):
    driver = Driver(0)
    monkeypatch.setattr(map_module, "driver", lambda: driver)
    map_module.encoded.cache_clear()
    for _ in range(2):
        made = map_module.encoded(4096, (136, 70, 2), (272, 19040), "bfloat16")
    assert made.tobytes() == b"\x07" * 128 and made.dtype == map_module.map_type
    assert driver.asked == [[9, 3, 4096, [136, 70, 2], [272, 19040], [64, 64, 1], [1, 1, 1], 0, 3, 2, 0]]
    driver.status = 1
    with pytest.raises(RuntimeError, match=r"refused boxes of an array of .* elements: error 1"):
        map_module.encoded(16, (8, 1, 1), (16, 16), "float16")
    map_module.encoded.cache_clear()


# Products ------------------------------------------------------------------------------------------------------------

SIZES = {  # m, n, k around the tiles of a rung, and k around what its stages hold
    "plain": [(1, 1, 1), (3, 5, 7), (0, 2, 4), (3, 4, 0)],
    "wmma": [(1, 1, 1), (5, 6, 0), (65, 3, 31), (7, 66, 33)],
    "mma": [(1, 1, 1), (5, 6, 0), (0, 3, 4), (129, 3, 31), (7, 130, 33), *((9, 16, 32 * s) for s in (1, 2, 3, 4)),
            (8, 8, 133)],
    "wgmma": [(8, 8, 8), (0, 8, 8), (8, 8, 0), (5, 6, 7), (136, 264, 72),
              *((16, 24, 64 * s) for s in (2, 3, 4, 5, 9))],
}  # fmt: skip


def stored(shape, transposed, dtype):
    """Numbers for matrices of a shape that lie in columns if `transposed`."""
    *batch, rows, columns = shape
    return rng.normal(size=(*batch, columns, rows) if transposed else shape).astype(dtype)


def check_product(rung, a, b, ta, tb, mode="check", order="forward"):
    """Within one rounding to the dtype of what float64 gives, and what float32 loses over k."""
    left, right = ((x.swapaxes(-1, -2) if t else x).astype(np.float64) for x, t in ((a, ta), (b, tb)))
    expected, y = left @ right, there(np.full((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]),
                                               left.shape[-2], right.shape[-1]), 77, a.dtype))  # fmt: skip
    with mg.cuda.use_matmul(rung), mg.cuda.simulate(mode=mode, order=order, seed=1):
        kernels(SimArray)[f"matmul_forward_{a.dtype}"](y, there(a), there(b), ta, tb)
    rounding = 2.0**-11 if a.dtype == np.float16 else 2.0**-8
    bound = rounding * np.abs(expected) + (left.shape[-1] + 1) * 2.0**-23 * (np.abs(left) @ np.abs(right)) + 2.0**-24
    assert (np.abs(np.asarray(y).astype(np.float64) - expected) <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rung, sizes", [(r, s) for r in SIZES for s in SIZES[r]], ids=str)
def test_every_layout_and_size(rung, sizes, dtype):
    m, n, k = sizes
    for which, (ta, tb) in enumerate(LAYOUTS):
        a, b = stored((m, k), ta, dtype), stored((k, n), tb, dtype)
        check_product(rung, a, b, ta, tb)
        check_product(rung, a, b, ta, tb, "fast", simulator.ORDERS[which % 3])


@pytest.mark.parametrize("rung", HALF)
def test_batches_and_one_matrix_for_all(rung, monkeypatch):
    from minigrad.cuda.launches import matmul_half

    a, b = stored((3, 5, 9), False, mg.float16), stored((3, 9, 6), True, mg.float16)
    for most in (65535, 2):
        monkeypatch.setattr(matmul_half, "MOST", most)
        check_product(rung, a, b, False, True)
        check_product(rung, a[:1], b, False, True)
        check_product(rung, a, b[:1], False, True)


def test_matrices_that_boxes_cannot_be_copied_from_go_another_way():
    def entry(shape, dtype=mg.float16):
        y, a, b = (there(np.zeros(shape, dtype)) for _ in range(3))
        return next(LAUNCHES["matmul_forward_float16"][1](y, a, b, False, True)).entry.split("_")[3]

    assert [entry((n, n)) for n in (16, 24, 64, 65, 72)] == ["plain", "mma", "wgmma", "mma", "wgmma"]
    with mg.cuda.use_matmul("wgmma"):
        assert [entry((n, n)) for n in (8, 9)] == ["wgmma", "mma"]


def test_every_rung_has_sizes():
    assert set(SIZES) == set(HALF)


def test_views_that_begin_anywhere():
    """Rows that are whole chunks, but begin at odd addresses: no copy of 16 bytes, no store of a pair."""
    memory = [there(rng.normal(size=(16 * 24 + 1)).astype(np.float16)) for _ in range(3)]
    y, a, b = (x[1 : 1 + 16 * n].reshape(16, n) for x, n in zip(memory, (16, 24, 24), strict=True))
    with mg.cuda.use_matmul("mma"), mg.cuda.simulate(mode="check"):
        kernels(SimArray)["matmul_forward_float16"](y, a, b, False, True)
    expected = np.asarray(a, np.float64) @ np.asarray(b, np.float64).T
    np.testing.assert_allclose(np.asarray(y), expected, rtol=2e-3, atol=2e-3)


def test_what_an_architecture_lacks(monkeypatch):
    from minigrad.cuda.launches import matmul_half

    monkeypatch.setattr(matmul_half, "architecture", lambda array: 75)
    arrays = [there(stored((32, 32), False, mg.bfloat16)) for _ in range(3)]
    entry = next(matmul_half.product(*arrays, (False, False))).entry
    assert entry == "matmul_forward_bfloat16_plain"
    with mg.cuda.use_matmul("mma"), pytest.raises(RuntimeError, match="which sm_75 has not"):
        next(matmul_half.product(*arrays, (False, False)))


def test_arrays_of_two_dtypes_are_left_to_others():
    y, a, b = (there(stored((4, 4), False, dtype)) for dtype in (mg.float16, mg.float16, np.float32))
    assert LAUNCHES["matmul_forward_float16"][1](y, a, b, False, False) is NotImplemented
