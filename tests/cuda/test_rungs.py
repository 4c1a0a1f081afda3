"""The ladder of matrix products: every rung gives numpy's numbers, for all layouts and sizes, and is what it says."""

from functools import cache

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.devices import kernels, move
from minigrad.backend.simulated import SimArray
from minigrad.cuda import rungs
from minigrad.cuda.launches.matmul import DIRECTED, TILES
from minigrad.cuda.trace import tracing
from minigrad.kernel import KERNELS

rng = np.random.default_rng(0)
FLOAT = [name for name, rung in rungs.RUNGS.items() if "float32" in rung.dtypes and name != rungs.CUBLAS]
ORDERS = [("check", "forward"), ("fast", "reverse"), ("fast", "random")]
SIZES = {  # m, n, k around the tiles of a rung, with a batch for some
    "naive": [(1, 1, 1), (3, 5, 7), (2, 0, 4), (3, 4, 0)],
    "coalesced": [(1, 1, 1), (3, 5, 7), (2, 0, 4), (3, 4, 0), (2, 3, 300)],
    "tiled": [(1, 1, 1), (15, 17, 16), (17, 16, 33), (16, 15, 0), (0, 3, 4), (5, 6, 300)],
    "vectorized": [(1, 1, 1), (127, 129, 9), (129, 128, 8), (8, 7, 0), (0, 4, 3), (5, 6, 300)],
    "warp_tiled": [(1, 1, 1), (127, 129, 9), (129, 128, 8), (128, 132, 16), (8, 7, 0), (0, 4, 3), (5, 8, 300)],
    "register": [(1, 1, 1), (63, 65, 17), (65, 64, 16), (64, 63, 15), (3, 4, 0), (4, 0, 3), (5, 6, 300)],
}


def numbers(*shape):
    return rng.normal(size=shape).astype(np.float32)


def stored(shape, transposed):
    """Numbers for matrices of a shape that lie in columns if `transposed`."""
    *batch, rows, columns = shape
    return numbers(*batch, columns, rows) if transposed else numbers(*shape)


def product(rung, a, b, ta, tb, mode="check", order="forward"):
    """(what the rung makes of a and b, what numpy does)."""
    left, right = (x.swapaxes(-1, -2) if t else x for x, t in ((a, ta), (b, tb)))
    expected = left.astype(np.float64) @ right
    y = move(np.full(expected.shape, 77, np.float32), "cuda-sim")
    with mg.cuda.use_matmul(rung), mg.cuda.simulate(mode=mode, order=order, seed=1):
        kernels(SimArray)["matmul_forward"](y, move(a, "cuda-sim"), move(b, "cuda-sim"), ta, tb)
    return np.asarray(y), expected


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("rung, sizes", [(r, s) for r in SIZES for s in SIZES[r]], ids=str)
def test_every_layout_and_size(rung, sizes):
    m, n, k = sizes
    for which, (ta, tb) in enumerate([(False, False), (False, True), (True, False), (True, True)]):
        mode, order = ORDERS[which % 3]
        close(*product(rung, stored((m, k), ta), stored((k, n), tb), ta, tb, "check"))
        close(*product(rung, stored((m, k), ta), stored((k, n), tb), ta, tb, mode, order))


@pytest.mark.parametrize("rung", FLOAT)
def test_batches_and_one_matrix_for_all(rung):
    a, b = stored((3, 5, 9), False), stored((3, 9, 6), True)
    close(*product(rung, a, b, False, True))
    close(*product(rung, a[:1], b, False, True, "fast", "random"))
    close(*product(rung, a, b[:1], False, True, "fast", "reverse"))


@pytest.mark.parametrize("rung", FLOAT)
def test_pieces_along_k_are_added_up_in_order(rung):
    """Of batches too, with a last piece that is shorter; and the same bits in every order of blocks."""
    a, b = stored((2, 3, 405), False), stored((1, 405, 4), False)
    results = [product(rung, a, b, False, False, *mode) for mode in ORDERS]
    close(*results[0])
    assert all((found == results[0][0]).all() for found, _ in results)


LAYERS = [  # (outs, kernel, what it takes behind the bias)
    (1, "linear_forward", lambda y: ()),
    (1, "linear_relu_forward", lambda y: ()),
    (2, "linear_gelu_forward", lambda y: (False,)),
    (2, "linear_gelu_forward", lambda y: (True,)),
    (1, "linear_add_forward", lambda y: (numbers(*y),)),
]


@pytest.mark.parametrize("rows, columns, k", [(129, 127, 9), (3, 130, 8), (5, 6, 300), (4, 5, 0), (0, 3, 4)])
@pytest.mark.parametrize("rung", ["register", "warp_tiled"])
def test_what_follows_a_layer_in_the_same_launch(rung, rows, columns, k):
    for turn, (outs, name, more) in enumerate(LAYERS):
        mode, order = ORDERS[turn % 3]
        inputs = [numbers(rows, k), numbers(columns, k), numbers(columns) if turn else None]
        inputs += more((rows, columns))
        expected = [np.full((rows, columns), 77, np.float32) for _ in range(outs)]
        found = [move(y, "cuda-sim") for y in expected]
        with mg.cuda.use_matmul(rung), mg.cuda.simulate(mode=mode, order=order, seed=1):
            there = [move(x, "cuda-sim") if isinstance(x, np.ndarray) else x for x in inputs]
            kernels(SimArray)[name](*found, *there)
        KERNELS[name].reference(*expected, *inputs)
        for f, e in zip(found, expected, strict=True):
            close(np.asarray(f), e)


def test_more_matrices_than_a_grid_is_high(monkeypatch):
    from minigrad.cuda.launches import matmul

    monkeypatch.setattr(matmul, "MOST", 2)
    for a_count, b_count in ((5, 5), (1, 5), (5, 1)):
        close(*product("tiled", stored((a_count, 3, 4), False), stored((b_count, 4, 5), False), False, False))


def test_each_rung_says_what_it_improves():
    listed = mg.cuda.matmul_rungs()
    assert list(listed) == list(rungs.RUNGS) and all(len(sentence) > 20 for sentence in listed.values())
    assert list(mg.cuda.matmul_rungs(mg.float32)) == [*FLOAT, "cublas"]
    assert set(SIZES) == set(FLOAT)


def test_a_rung_is_chosen_for_good_or_for_a_block():
    assert rungs.chosen(mg.float32) == "auto"
    with mg.cuda.use_matmul("naive"):
        assert rungs.chosen(mg.float32) == "naive" and rungs.chosen(mg.bfloat16) == "auto"
        with mg.cuda.use_matmul("cublas", mg.bfloat16):
            assert rungs.chosen(mg.float32) == "naive" and rungs.chosen(mg.bfloat16) == "cublas"
        mg.cuda.use_matmul("tiled")
        assert rungs.chosen("float32") == "tiled" and rungs.chosen(mg.bfloat16) == "auto"
        mg.cuda.use_matmul("auto")
        assert rungs.chosen(mg.float32) == "auto"
    assert rungs.chosen(mg.float32) == "auto"


def test_a_rung_that_is_not_there():
    with pytest.raises(ValueError, match=r"\[use_matmul\] unknown rung 'fast', expected one of auto, naive, coalesced"):
        mg.cuda.use_matmul("fast")
    with pytest.raises(ValueError, match=r"\[use_matmul\] rung 'tiled' on bfloat16, expected one of float32"):
        mg.cuda.use_matmul("tiled", mg.bfloat16)
    assert rungs.chosen(mg.float32) == "auto"


@cache
def costs(rung, transpose_a=False, transpose_b=False):
    """{(kind, verb): [Cost]} of one block of a product of 128 x 128 x 16."""
    name = f"matmul_forward_{rung}"
    name += "".join("_columns" if t else "_rows" for t in (transpose_a, transpose_b)) if rung in DIRECTED else ""
    with tracing(name, block=0) as trace:
        product(rung, stored((128, 16), transpose_a), stored((16, 128), transpose_b), transpose_a, transpose_b)
    found = {}
    for cost in trace.costs():
        found.setdefault((cost.kind, cost.verb), []).append(cost)
    return found


def sectors(rung):
    """Of global memory that a block moves for each of its results."""
    return sum(c.accesses * c.each for verb in ("read", "write") for c in costs(rung)["global", verb]) / results(rung)


def reads(rung, kind):
    """How often a block reads global or shared memory for each of its results."""
    return sum(c.accesses for c in costs(rung)[kind, "read"]) / results(rung)


def global_reads(rung):
    return reads(rung, "global")


def shared_reads(rung):
    return reads(rung, "shared")


def passes(rung):
    """How often it goes over the banks of shared memory."""
    return sum(c.accesses * c.each for c in costs(rung)["shared", "read"]) / results(rung)


def results(rung):
    return TILES.get(rung, 16) ** 2


@pytest.mark.parametrize(
    "better, worse, measure, times",
    [
        ("coalesced", "naive", sectors, 6),
        ("tiled", "coalesced", global_reads, 16),
        ("register", "tiled", global_reads, 4),
        ("register", "tiled", shared_reads, 4),
        ("vectorized", "register", global_reads, 2),
        ("vectorized", "register", shared_reads, 2),
        ("warp_tiled", "vectorized", passes, 2.5),
    ],
)
def test_a_rung_improves_what_it_says(better, worse, measure, times):
    """As far as the simulator can tell: how much memory moves, how often it is asked, how long banks are waited for."""
    assert measure(worse) >= times * measure(better)


@pytest.mark.parametrize("transposed", [(False, False), (False, True), (True, False), (True, True)], ids=str)
def test_no_banks_conflict_in_the_last_rung(transposed):
    found = costs("warp_tiled", *transposed)
    assert {c.name for c in found["shared", "read"]} == {"a_slabs", "b_slabs"}
    assert all(c.each == c.least for verb in ("read", "write") for c in found["shared", verb])
