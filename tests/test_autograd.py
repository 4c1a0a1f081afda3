"""The engine: how gradients walk back, where they end up, what is freed, what is refused (the graph: test_graph.py)."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import Op, grad
from minigrad.tensor import wrap


def leaf(*values, dtype=None):
    return mg.tensor([float(v) for v in values], dtype=dtype, requires_grad=True)


# backward and its arguments ------------------------------------------------------------------------------------------


def test_gradients_accumulate():
    x = leaf(1, 2)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4]
    first = x.grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [4, 8]
    assert x.grad is first


def test_a_gradient_to_start_from():
    x = leaf(1, 2)
    (x * x).backward(mg.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 40]
    x.grad = None
    (x * x).backward(mg.tensor([1, 10]))  # converted
    assert x.grad.tolist() == [2, 40]
    assert not x.grad.requires_grad


def test_several_roots():
    x, y = leaf(1, 2), leaf(3, 4)
    z = x * y
    mg.autograd.backward([z, z.sum(), x * 2], [mg.ones(2), None, mg.ones(2)])
    assert (x.grad.tolist(), y.grad.tolist()) == ([8, 10], [2, 4])


def test_a_root_below_another():
    x = leaf(3)
    h = x * x
    mg.autograd.backward([h, (h * h).sum()], [mg.ones(1), None])
    assert x.grad.tolist() == [6 + 4 * 27]


def test_backward_of_a_leaf():
    x = leaf(3)
    x.backward(mg.tensor([5.0]))
    assert x.grad.tolist() == [5]
    (g,) = grad(x, x, mg.tensor([7.0]))
    assert (g.tolist(), x.grad.tolist()) == ([7], [5])


def test_diamonds_and_repeated_use():
    x = leaf(2)
    a = x * 3
    b, c = a * a, a + x
    (b * c + b + a * x * x).backward()
    torch = pytest.importorskip("torch")
    t = torch.tensor([2.0], requires_grad=True)
    ta = t * 3
    tb, tc = ta * ta, ta + t
    (tb * tc + tb + ta * t * t).backward()
    assert x.grad.tolist() == t.grad.tolist()


def test_inputs_take_the_gradient_alone():
    x, y = leaf(1), leaf(2)
    h = x * y
    (h * h).backward(inputs=[x, h])
    assert (x.grad.tolist(), h.grad.tolist(), y.grad) == ([8], [4], None)


def test_retain_graph():
    x = leaf(3)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12]
    message = (
        r"\[backward\] second backward through \[Mul\]: the first freed the arrays it needs\. "
        r"Call the first with retain_graph=True, or run the forward pass again"
    )
    with pytest.raises(RuntimeError, match=message):
        y.backward()
    with pytest.raises(RuntimeError, match="second backward"):
        (y * 2).backward()
    with pytest.raises(RuntimeError, match="second backward"):
        grad(y, x)
    with pytest.raises(RuntimeError, match="second backward"):
        grad(y, x, allow_unused=True)
    assert x.grad.tolist() == [12]


def test_a_freed_graph_may_be_where_the_walk_ends():
    x = leaf(3)
    h = x * x
    h.backward()
    assert grad(h * 2, h)[0].tolist() == [2]


def test_split_backward():
    """First the upper part by `grad`, then the lower by `backward`: the graph below the cut stays."""
    x = leaf(2, 3)
    h = x * x
    loss = (h * h).sum()
    (dh,) = grad(loss, h)
    h.backward(dh)
    np.testing.assert_allclose(x.grad.numpy(), 4 * np.array([2.0, 3.0]) ** 3)


def test_unused_branches_cost_nothing():
    x, y = leaf(1), leaf(1)
    used, unused = x * 2, (y * 2).exp()
    used.backward()
    assert y.grad is None
    unused.backward()
    assert y.grad is not None


# grad ----------------------------------------------------------------------------------------------------------------


def test_grad_leaves_grad_alone():
    x, y = leaf(1, 2), leaf(3, 4)
    dx, dy = grad((x * y).sum(), [x, y])
    assert (dx.tolist(), dy.tolist(), x.grad, y.grad) == ([3, 4], [1, 2], None, None)
    assert isinstance(grad((x * y).sum(), x), tuple)


def test_grad_of_several_outputs():
    x = leaf(1, 2)
    (dx,) = grad([x * x, x * 3], [x], [mg.ones(2), mg.tensor([1.0, 0.0])])
    assert dx.tolist() == [5, 4]


def test_allow_unused():
    x, y = leaf(1), leaf(1)
    with pytest.raises(
        RuntimeError, match=r"\[grad\] an input was not used to compute the outputs: pass allow_unused=True"
    ):
        grad(x * 2, [x, y])
    dx, dy = grad(x * 2, [x, y], allow_unused=True)
    assert (dx.tolist(), dy) == ([2], None)


def test_higher_orders():
    x = leaf(2)
    y = x**5
    for expected in (5 * 16, 20 * 8, 60 * 4, 120 * 2, 120):
        (y,) = grad(y, x, create_graph=True)
        assert y.tolist() == [expected]


def test_create_graph_in_backward():
    x = leaf(3)
    (x**3).backward(create_graph=True)
    assert x.grad.requires_grad
    (d2,) = grad(x.grad, x)
    assert d2.tolist() == [18]


def test_gradient_penalty_against_torch():
    torch = pytest.importorskip("torch")
    w0, x0 = np.random.default_rng(0).standard_normal((2, 4, 4))

    def penalty(lib, w, x):
        y = lib.tanh(x @ w).sum()
        (dx,) = lib.autograd.grad(y, x, create_graph=True)
        ((dx * dx).sum() + y).backward()
        return w.grad.numpy(), x.grad.numpy()

    ours = penalty(mg, mg.tensor(w0, requires_grad=True), mg.tensor(x0, requires_grad=True))
    theirs = penalty(torch, torch.tensor(w0, requires_grad=True), torch.tensor(x0, requires_grad=True))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_create_graph_works_under_no_grad():
    x = leaf(3)
    y = x**3
    with mg.no_grad():
        (dx,) = grad(y, x, create_graph=True)
        assert not mg.is_grad_enabled()
    assert grad(dx, x)[0].tolist() == [18]


# Memory of gradients -------------------------------------------------------------------------------------------------


def test_grad_has_memory_of_its_own():
    x, seed = leaf(1, 2), mg.ones(2)
    (x + 0).backward(seed)
    x.grad.mul_(5)
    assert seed.tolist() == [1, 1]
    a, b = leaf(1, 2), leaf(3, 4)
    (a + b).backward(seed)
    a.grad.mul_(5)
    assert (a.grad.tolist(), b.grad.tolist()) == ([5, 5], [1, 1])
    c = leaf(1, 2)
    (c.expand(3, 2).sum()).backward()
    c.grad.add_(1)
    assert c.grad.tolist() == [4, 4]


def test_an_array_that_serves_two_arguments_is_not_added_into():
    """A backward that returns one new array twice: accumulating into one must not change the other."""

    class Both(Op):
        def forward(self, a, b):
            return a + b

        def backward(self, dy):
            g = dy * 1
            return g, g

    a, b = leaf(1), leaf(1)
    s, t = a * 1, b * 1
    (Both.apply(s, t) + s * 10 + t * 100).backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([11], [101])


def test_a_preassigned_grad_is_added_into():
    """As views of one flat buffer, for an all-reduce over all gradients at once."""
    flat = mg.zeros(5)
    x, y = leaf(1, 2), mg.ones(3, requires_grad=True)
    x.grad, y.grad = flat[:2], flat[2:]
    for _ in range(2):
        ((x * x).sum() + (y * 3).sum()).backward()
    assert flat.tolist() == [4, 8, 6, 6, 6]
    assert np.shares_memory(x.grad.array, flat.array)


def test_gradients_of_expanded_and_strided_inputs():
    x = mg.rand(3, 4, dtype=mg.float64).requires_grad_()
    y = (x.T.expand(2, 4, 3) * x.T).sum(0).T[:, ::2]
    y.sum().backward()
    expected = np.zeros((3, 4))
    expected[:, ::2] = 4 * x.detach().numpy()[:, ::2]
    np.testing.assert_allclose(x.grad.numpy(), expected)


# What is refused -----------------------------------------------------------------------------------------------------

X = mg.ones(2, requires_grad=True)
WRONG = [
    (
        lambda: mg.ones(1).backward(),
        RuntimeError,
        r"\[backward\] the tensor of shape \(1,\) does not require a gradient: nothing was",
    ),
    (
        lambda: (X * 2).backward(),
        RuntimeError,
        r"\[backward\] a gradient can be left out for one element only, found an output of",
    ),
    (
        lambda: (X * 2).backward(mg.ones(3)),
        RuntimeError,
        r"\[backward\] the gradient has shape \(3,\), expected that of the output",
    ),
    (lambda: (X * 2).backward([1, 1]), RuntimeError, r"\[backward\] found 2 gradients for 1 outputs, expected as many"),
    (lambda: (X * 2).backward(2.0), TypeError, r"\[backward\] the gradient must be a Tensor, found float"),
    (lambda: mg.autograd.backward([X.sum()], [None, None]), RuntimeError, r"found 2 gradients for 1 outputs"),
    (
        lambda: X.sum().backward(inputs=[mg.ones(2)]),
        RuntimeError,
        r"\[backward\] an input of shape \(2,\) and dtype float32 does not",
    ),
    (
        lambda: grad(X.sum(), mg.tensor([1])),
        RuntimeError,
        r"\[grad\] an input of shape \(1,\) and dtype int64 does not require a grad",
    ),
    (lambda: grad(X.sum(), [1.0]), TypeError, r"\[grad\] inputs must be Tensors, found float"),
    (lambda: grad(mg.ones(1), X), RuntimeError, r"\[grad\] the tensor of shape \(1,\) does not require a gradient"),
    (
        lambda: (X > 0).sum().backward(),
        RuntimeError,
        r"\[backward\] the tensor of shape \(\) does not require a gradient",
    ),
    (
        lambda: mg.argmax(X).backward(),
        RuntimeError,
        r"\[backward\] the tensor of shape \(\) does not require a gradient",
    ),
    (
        lambda: X.long().sum().backward(),
        RuntimeError,
        r"\[backward\] the tensor of shape \(\) does not require a gradient",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_masks_gradient_is_an_error_not_zeros():
    x = leaf(1, -1)
    mask = x > 0
    y = mg.where(mask, x, 0)
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        grad(y.sum(), mask)


def test_graph_nodes_can_be_walked():
    x = leaf(1)
    y = (x * 2).exp()
    ((mul, slot),) = y.grad_fn.next_functions
    assert (repr(y.grad_fn), repr(mul), slot) == ("<Exp>", "<Mul>", 0)
    assert repr(mul.next_functions[0][0]) == "<Leaf>"
    assert wrap(y.array).grad_fn is None
