"""The graph: what is recorded and when, ops with several outputs, how deep it may be and when it dies."""

import gc
import threading
import weakref

import pytest

import minigrad as mg
from minigrad.autograd import Op, grad


def leaf(*values, dtype=None):
    return mg.tensor([float(v) for v in values], dtype=dtype, requires_grad=True)


# What is recorded ----------------------------------------------------------------------------------------------------


def test_only_tracked_inputs_are_recorded():
    assert not (mg.ones(2) * 2).requires_grad
    x = leaf(1)
    y = x * mg.ones(1)
    assert y.requires_grad
    assert [node is not None for node, _ in y.grad_fn.next_functions] == [True, False]


def test_modes():
    x = leaf(1)
    with mg.no_grad():
        assert not (x * 2).requires_grad
        with mg.enable_grad():
            assert (x * 2).requires_grad
            with mg.set_grad_enabled(False):
                assert not (x * 2).requires_grad
            assert mg.is_grad_enabled()
        assert not mg.is_grad_enabled()
    with mg.inference_mode():
        assert not (x * 2).requires_grad
    mg.set_grad_enabled(False)
    assert not mg.is_grad_enabled()
    mg.set_grad_enabled(True)
    with pytest.raises(ZeroDivisionError), mg.no_grad():
        1 / 0
    assert mg.is_grad_enabled()


def test_modes_as_decorators():
    x = leaf(1)

    @mg.no_grad()
    def silent(depth=2):
        inner = silent(depth - 1) if depth else x
        assert not mg.is_grad_enabled()
        return inner * 2

    @mg.no_grad
    def bare():
        return x * 2

    @mg.set_grad_enabled(False)
    def switched(depth=2):
        inner = switched(depth - 1) if depth else x
        assert not mg.is_grad_enabled()
        return inner * 2

    @mg.enable_grad()
    def loud():
        return x * 2

    for function in (silent, bare, switched):
        assert not function().requires_grad
        assert mg.is_grad_enabled()
    with mg.no_grad():
        assert loud().requires_grad
        assert not mg.is_grad_enabled()
    assert (silent.__name__, bare.__name__) == ("silent", "bare")


def test_modes_are_each_threads_own():
    entered, done, seen = threading.Event(), threading.Event(), []

    @mg.no_grad()
    def wait():
        entered.set()
        done.wait(10)
        seen.append(mg.is_grad_enabled())

    thread = threading.Thread(target=wait)
    thread.start()
    entered.wait(10)
    assert mg.is_grad_enabled()
    with mg.no_grad():
        done.set()
        thread.join()
    assert mg.is_grad_enabled()
    assert seen == [False]


def test_threads_build_and_walk_graphs_at_once():
    shared, results = mg.ones(1000, requires_grad=True), {}

    def work(i):
        for _ in range(20):
            x = leaf(*range(i, i + 50))
            y = (x * x).sum() + (shared.detach() * 2).sum()
            y.backward()
        results[i] = x.grad.tolist()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {i: [2 * v for v in range(i, i + 50)] for i in range(4)}


# Ops with several outputs --------------------------------------------------------------------------------------------


class SumAndProduct(Op):
    """s = a + b, p = a b"""

    def forward(self, a, b):
        self.saved = (a, b)
        return a + b, a * b

    def gradient(self, ds, dp):
        a, b = self.input(0, self.saved[0]), self.input(1, self.saved[1])
        da = db = None
        for dy, of_a, of_b in ((ds, 1, 1), (dp, b, a)):
            if dy is not None:
                da, db = (dy * of_a if da is None else da + dy * of_a), (dy * of_b if db is None else db + dy * of_b)
        return da, db


@pytest.mark.parametrize("used", [(1, 0), (0, 1), (1, 1)])
def test_several_outputs(used):
    x, y = leaf(2, dtype=mg.float64), leaf(5, dtype=mg.float64)
    s, p = SumAndProduct.apply(x, y)
    assert (s.slot, p.slot) == (0, 1)
    (s * s * used[0] + p * p * used[1]).backward()
    ds, dp = 14 * used[0], 20 * used[1]
    assert (x.grad.tolist(), y.grad.tolist()) == ([ds + 5 * dp], [ds + 2 * dp])


def test_several_outputs_by_grad():
    x, y = leaf(2), leaf(5)
    s, p = SumAndProduct.apply(x, y)
    z = s * p
    ds, dp, dx = grad(z, [s, p, x], create_graph=True)
    assert (ds.tolist(), dp.tolist(), dx.tolist()) == ([10], [7], [10 + 5 * 7])
    assert grad(dx, y)[0].tolist() == [2 * 2 + 2 * 5]


def test_an_op_on_an_output_that_is_not_the_first():
    x = leaf(3)
    _, square = SumAndProduct.apply(x, x)
    (square * square).exp().log().backward()
    assert x.grad.tolist() == pytest.approx([4 * 27], rel=1e-5)


def test_ops_without_higher_orders_say_so():
    class Once(Op):
        def forward(self, x):
            return x * 2

        def backward(self, dy):
            return dy * 2

    x = leaf(1)
    assert grad(Once.apply(x), x)[0].tolist() == [2]
    with pytest.raises(
        RuntimeError, match=r"\[Once\] can be differentiated once only: it has neither gradient nor composed"
    ):
        grad(Once.apply(x), x, create_graph=True)


def test_composed_gives_higher_orders():
    class Cube(Op):
        composed = staticmethod(lambda x: x * x * x)

        def forward(self, x):
            self.saved = (x,)
            return x**3

        def backward(self, dy):
            return 3 * self.saved[0] ** 2 * dy

    x = leaf(2, dtype=mg.float64)
    assert mg.testing.gradcheck(Cube.apply, x) and mg.testing.gradgradcheck(Cube.apply, x)
    assert mg.testing.check_backwards(lambda x: Cube.apply(Cube.apply(x) * x), x)
    y, z = Cube.apply(x), x
    for expected in (12, 12, 6):
        (z,) = grad(y if z is x else z, x, create_graph=True)
        assert z.tolist() == [expected]


# Depth and life ------------------------------------------------------------------------------------------------------

DEEP = 100_000


def chain(x, n=DEEP):
    for _ in range(n):
        x = x + 1
    return x


def test_a_chain_of_100_000_ops():
    x = leaf(0)
    y = chain(x)
    y.backward()
    assert (y.tolist(), x.grad.tolist()) == ([DEEP], [1])


def test_a_deep_chain_by_grad():
    x = leaf(0)
    assert grad(chain(x), x)[0].tolist() == [1]


def test_a_deep_graph_dropped_without_backward():
    y = chain(leaf(0))
    del y
    y = leaf(0)
    for _ in range(DEEP):
        y = y.view(1)  # views remember their base too
    base = weakref.ref(y.base)
    del y
    gc.collect()
    assert base() is None


def test_graphs_die_with_their_tensors():
    """No cycles: a training loop must not need the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        x = mg.rand(10, 10).requires_grad_()
        h = (x @ x).relu().softmax(-1)
        h.register_hook(lambda g: None)
        h.retain_grad()
        loss = (h[0] * h.max(1).values).sum() + h.std()
        alive = [weakref.ref(t.array) for t in (h, loss)] + [weakref.ref(h.node)]
        loss.backward()
        del h, loss
        assert [ref() for ref in alive] == [None] * 3
        y = (x * 2)[0]
        node = weakref.ref(y.node)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_backward_frees_what_was_saved():
    x = leaf(1, 2)
    h = x * 1
    y = (h * h).sum()
    saved = weakref.ref(h.array)
    del h
    assert saved() is not None
    y.backward()
    assert saved() is None
