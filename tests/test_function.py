"""autograd.Function: users' own ops, in PyTorch's form; where PyTorch is installed, the same classes run there too."""

import gc
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import Function, once_differentiable
from minigrad.testing import check_backwards, gradcheck, gradgradcheck


def cube(module):
    class Cube(module.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * 3 * x**2

    return Cube.apply


def split_form(module):
    class Cube(module.autograd.Function):
        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * 3 * x**2

    return Cube.apply


def from_the_result(module):
    class Exp(module.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, dy):
            return dy * ctx.saved_tensors[0]

    return Exp.apply


def with_plain_values(module):
    class Scale(module.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor, names):
            ctx.factor, ctx.inputs = factor, names  # any name will do
            return x * factor

        @staticmethod
        def backward(ctx, dy):
            assert ctx.needs_input_grad == (True, False, False)
            return dy * ctx.factor, None, None

    return lambda x: Scale.apply(x, 2.5, ["x"]) * x


def two_results(module):
    class Both(module.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b, None)
            return a * b, a + b

        @staticmethod
        def backward(ctx, d_product, d_sum):
            a, b, nothing = ctx.saved_tensors
            assert nothing is None
            return d_product * b + d_sum, d_product * a + d_sum

    return lambda x: sum(y.tanh() for y in Both.apply(x, x.sin() if hasattr(x, "sin") else x * 2))


def one_of_two_results(module):
    """The gradient of the other comes as zeros, and the broadcast argument's is summed."""

    class Both(module.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b, a + b

        @staticmethod
        def backward(ctx, d_product, d_sum):
            a, b = ctx.saved_tensors
            return d_product * b + d_sum, d_product * a + d_sum

    return lambda x: Both.apply(x, x[:1])[1] * x


FUNCTIONS = [cube, split_form, from_the_result, with_plain_values, two_results, one_of_two_results]
each = pytest.mark.parametrize("make", FUNCTIONS, ids=lambda f: f.__name__)


@each
def test_gradients(make):
    x = mg.tensor(np.random.default_rng(0).uniform(0.5, 1.5, (3, 4)), requires_grad=True)
    for checker in (gradcheck, check_backwards, gradgradcheck):
        checker(make(mg), x)


@each
def test_against_torch(make):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    found = []
    for module in (mg, torch):
        x = module.tensor(np.random.default_rng(0).uniform(0.5, 1.5, (3, 4)), requires_grad=True)
        y = make(module)(x)
        (dx,) = module.autograd.grad((y * y).sum(), x, create_graph=True)
        (dx * dx).sum().backward()
        found.append([t.detach().numpy() for t in (y, dx, x.grad)])
    if make is not two_results:  # sin is only there
        for ours, theirs in zip(*found, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_nothing_is_recorded_without_need():
    x = mg.ones(2)
    assert not cube(mg)(x).requires_grad
    with mg.no_grad():
        assert not cube(mg)(x.requires_grad_()).requires_grad
    y = cube(mg)(x)
    assert y.requires_grad and repr(y.grad_fn) == "<Cube>"


def test_results_without_a_gradient():
    class Sort(Function):
        @staticmethod
        def forward(ctx, x):
            order = mg.tensor(np.argsort(x.detach().numpy()))
            fixed = x.detach() * 1
            ctx.mark_non_differentiable(fixed)
            ctx.save_for_backward(order)
            return x[order], order, fixed, "label"

        @staticmethod
        def backward(ctx, dy, d_order, d_fixed, d_label):
            assert d_order.tolist() == [0, 0, 0] and d_fixed.tolist() == [0, 0, 0] and d_label is None
            dx = mg.zeros(3)
            dx[ctx.saved_tensors[0]] = dy
            return dx

    x = mg.tensor([3.0, 1.0, 2.0], requires_grad=True)
    y, order, fixed, label = Sort.apply(x)
    assert (y.requires_grad, order.requires_grad, fixed.requires_grad, label) == (True, False, False, "label")
    (y * mg.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [100, 1, 10]


def test_gradients_can_stay_none():
    seen = []

    class Two(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, da, db):
            seen.append(db)
            return da * 2

    x = mg.ones(2, requires_grad=True)
    Two.apply(x)[0].sum().backward()
    assert seen == [None] and x.grad.tolist() == [2, 2]


def identity_with(grad):
    """A Function y = 1 x + 0 k whose backward returns what `grad` makes of dy."""

    class Identity(Function):
        @staticmethod
        def forward(ctx, x, k):
            return x * 1

        @staticmethod
        def backward(ctx, dy):
            return grad(dy)

    return Identity.apply


@pytest.mark.parametrize(
    ("grad", "error", "message"),
    [
        (
            lambda dy: dy,
            RuntimeError,
            r"\[Identity\] backward gave 1 gradients, expected 2, one per argument of forward",
        ),
        (lambda dy: (dy, None, dy), RuntimeError, "gave 3 gradients, expected 2"),
        (lambda dy: (dy.tolist(), None), TypeError, r"\[Identity\] gradient 0 must be a Tensor or None, found list"),
        (lambda dy: (dy, dy), RuntimeError, "argument 1 is no Tensor, expected None for its gradient"),
        (lambda dy: (dy[:1], None), RuntimeError, r"gradient 0 has shape \(1,\), expected the argument's, \(2,\)"),
    ],
)
def test_wrong_gradients(grad, error, message):
    y = identity_with(grad)(mg.ones(2, requires_grad=True), 0.0)
    with pytest.raises(error, match=message):
        y.sum().backward()


def test_gradients_that_can_be_made_to_fit():
    x = mg.ones(2, requires_grad=True)
    identity_with(lambda dy: (dy.double().expand(3, 2), None, None))(x, 0.0).sum().backward()
    assert x.grad.tolist() == [3, 3] and x.grad.dtype is mg.float32
    unused = mg.ones(2, requires_grad=True)
    identity_with(lambda dy: (None, None))(unused, 0.0).sum().backward()
    assert unused.grad is None


def test_what_is_missing_is_named():
    class Empty(Function):
        pass

    class Forward(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

    with pytest.raises(NotImplementedError, match="forward is missing"):
        Empty.apply(mg.ones(1))
    with pytest.raises(NotImplementedError, match="backward is missing"):
        Forward.apply(mg.ones(1, requires_grad=True)).backward()


def test_saved_tensors():
    x = mg.ones(2, requires_grad=True)
    y = cube(mg)(x * 1)
    y.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="can be read in backward only"):
        _ = y.grad_fn.ctx.saved_tensors
    y.sum().backward()
    with pytest.raises(RuntimeError, match=r"second backward through \[\w+\]"):
        y.sum().backward()
    with pytest.raises(TypeError, match="only Tensors can be saved, found float"):
        mg.function.Context().save_for_backward(1.0)


def test_a_saved_tensor_that_changed_is_noticed():
    a = mg.ones(2, requires_grad=True)
    for make in (cube, from_the_result):
        x = a * 2
        y = make(mg)(x)
        (x if make is cube else y).add_(1)
        with pytest.raises(RuntimeError, match=r"\[(Cube|Exp)\] .* was changed in place by \[add_\]"):
            y.sum().backward()


def test_a_result_that_is_an_argument():
    class Reverse(Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, dy):
            return -dy

    x = mg.ones(2, requires_grad=True) * 2
    x.retain_grad()
    y = Reverse.apply(x)
    y.mul_(3)
    assert x.tolist() == [2, 2] and y.tolist() == [6, 6]
    y.sum().backward()
    assert x.grad.tolist() == [-3, -3]


def test_once_differentiable():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, dy):
            assert not mg.is_grad_enabled()
            return mg.tensor(2 * dy.numpy() * ctx.saved_tensors[0].detach().numpy())

    x = mg.tensor([3.0], requires_grad=True)
    assert mg.autograd.grad(Square.apply(x), x)[0].item() == 6
    (dx,) = mg.autograd.grad(Square.apply(x), x, create_graph=True)
    assert dx.item() == 6
    with pytest.raises(RuntimeError, match="differentiable once only"):
        dx.backward()


def test_nothing_is_kept_alive():
    x = mg.ones(2, requires_grad=True)
    for make in (cube, from_the_result, two_results):
        y = make(mg)(x * 1)
        node = weakref.ref(y.grad_fn)
        gc.disable()
        try:
            del y
            assert node() is None, "a cycle holds the graph"
        finally:
            gc.enable()
