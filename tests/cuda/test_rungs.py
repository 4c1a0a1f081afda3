"""The ladder of matrix products: every rung gives numpy's numbers, for all layouts and sizes, and is what it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from benchmarks.ladder.gemm_cuda import run as ladder
from minigrad.backend.devices import kernels, move
from minigrad.backend.simulated import SimArray
from minigrad.cuda import rungs
from minigrad.cuda.trace import tracing
from minigrad.kernel import KERNELS
from tests.cuda import stand_in

rng = np.random.default_rng(0)
FLOAT = [name for name, rung in rungs.RUNGS.items() if "float32" in rung.dtypes and name != rungs.CUBLAS]
ORDERS = [("check", "forward"), ("fast", "reverse"), ("fast", "random")]
SIZES = {  # m, n, k around the tiles of a rung
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


SIDES = st.integers(0, 40)


@settings(max_examples=40)
@given(st.sampled_from(FLOAT), SIDES, SIDES, SIDES, st.booleans(), st.booleans(), st.sampled_from(ORDERS))
def test_any_size(rung, m, n, k, ta, tb, way):
    close(*product(rung, stored((m, k), ta), stored((k, n), tb), ta, tb, *way))


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


@pytest.mark.parametrize("transposed", [(False, False), (False, True), (True, False), (True, True)], ids=str)
def test_no_banks_conflict_in_the_last_rung(transposed):
    entry = "matmul_forward_warp_tiled" + "".join("_columns" if t else "_rows" for t in transposed)
    a, b = stored((128, 8), transposed[0]), stored((8, 128), transposed[1])
    with tracing(entry, block=0) as trace:
        product("warp_tiled", a, b, *transposed)
    shared = [cost for cost in trace.costs() if cost.kind == "shared"]
    assert {c.name for c in shared} == {"a_slabs", "b_slabs"} and {c.verb for c in shared} == {"read", "write"}
    assert all(c.each == c.least for c in shared)


def test_the_ladder_without_a_gpu(capsys):
    """The figures that each rung improves, in order; and no time."""
    assert ladder.main([]) == 0
    shown = capsys.readouterr().out
    assert "nothing here was timed" in shown and ("no GPU is at hand" in shown) != mg.cuda.is_available()
    rows = {row.rung: row for row in ladder.ladder_rows("90")}
    assert list(rows) == FLOAT
    assert [rows[r].bytes for r in FLOAT] == [33.0, 5.0, 0.5, 0.125, 0.0625, 0.0625]
    assert [rows[r].reads for r in FLOAT] == [0, 0, 2, 0.5, 0.25, 0.25]
    assert rows["vectorized"].passes > 2 and rows["warp_tiled"].passes == 1
    assert all(0.2 < row.occupancy <= 1 and row.registers <= 128 for row in rows.values())


def test_the_ladder_on_a_gpu(monkeypatch):
    """On the stand-in for CuPy: every rung is run and checked; a wrong one is found."""
    with stand_in.installed():
        lines = list(ladder.timed_table([20]))
        assert [line.split()[1] for line in lines[2:]] == [*FLOAT, "cublas"]
        assert all("(100%)" in line for line in lines[2:])  # each takes as long, by the stand-in's clock
        monkeypatch.setattr(mg.Tensor, "__matmul__", lambda a, b: a + b)
        with pytest.raises(AssertionError, match="rung naive: the product is wrong"):
            ladder.timed(20)
