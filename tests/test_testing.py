"""The checkers, tested with planted faults: each must be caught, and what is right must pass."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import Op
from minigrad.backend import cpu
from minigrad.backend.array import empty_like
from minigrad.kernel import KERNELS, kernel
from minigrad.testing import check_backwards, check_kernel, gradcheck, gradgradcheck
from tests.ops import harness
from tests.ops.harness import Case


class Cube(Op):
    """y = x^3, with two backwards that the faults below break one at a time."""

    def forward(self, x):
        self.saved = (x,)
        return x**3

    def backward(self, dy):
        (x,) = self.saved
        return 3 * x**2 * dy

    def gradient(self, dy):
        x = self.input(0, *self.saved)
        return 3 * x**2 * dy


def broken(**parts):
    return type("Broken", (Cube,), parts).apply


def data(op):
    """The saved array as a constant: a gradient written with it cannot be differentiated again."""
    return mg.tensor(op.saved[0])


GRADIENTS = {  # first gradients with a fault
    "scaled": lambda self, dy: 3.001 * self.saved[0] ** 2 * dy,
    "sign": lambda self, dy: -3 * self.saved[0] ** 2 * dy,
    "power": lambda self, dy: 3 * self.saved[0] ** 1 * dy,
    "transposed": lambda self, dy: (3 * self.saved[0] ** 2 * dy).T.copy(),
    "forgets dy": lambda self, dy: 3 * self.saved[0] ** 2,
    "missing": lambda self, dy: None,
    "nan": lambda self, dy: np.full_like(dy, np.nan),
    "one element": lambda self, dy: 3 * self.saved[0] ** 2 * dy + (np.arange(dy.size).reshape(dy.shape) == dy.size - 1),
}
SECOND = {  # gradients whose value is right and whose own gradient is not
    "constant": lambda self, dy: 3 * data(self) ** 2 * dy,
    "half constant": lambda self, dy: 3 * data(self) * self.input(0, *self.saved) * dy,
    "not of dy": lambda self, dy: 3 * self.input(0, *self.saved) ** 2 * dy.detach(),
}
X = mg.tensor(np.random.default_rng(0).uniform(0.5, 1.5, (3, 3)), requires_grad=True)


def test_what_is_right_passes():
    for checker in (gradcheck, gradgradcheck, check_backwards):
        assert checker(Cube.apply, X)
    assert gradcheck(Cube.apply, X, full=True)
    assert gradgradcheck(Cube.apply, X, full=True)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("fault", GRADIENTS)
def test_wrong_gradients_are_caught(fault, full):
    with pytest.raises(
        AssertionError, match=r"\[gradcheck\] input 0 of shape \(3, 3\): backward gives .* central differences give"
    ):
        gradcheck(broken(backward=GRADIENTS[fault]), X, full=full)


@pytest.mark.parametrize("fault", GRADIENTS)
def test_two_backwards_that_differ_are_caught(fault):
    with pytest.raises(AssertionError, match=r"\[check_backwards\] gradient 0"):
        check_backwards(broken(backward=GRADIENTS[fault]), X)


@pytest.mark.parametrize("fault", SECOND)
def test_wrong_second_gradients_are_caught(fault):
    function = broken(gradient=SECOND[fault])
    assert gradcheck(function, X)
    assert check_backwards(function, X)
    with pytest.raises(AssertionError, match=r"\[gradcheck\] input \d of shape"):
        gradgradcheck(function, X)


def test_a_gradient_that_is_cut_off_is_caught():
    with pytest.raises(AssertionError, match=r"\[gradcheck\] no output requires a gradient, although an input does"):
        gradcheck(lambda x: (x * 2).detach(), X)
    with pytest.raises(AssertionError, match="central differences give"):
        gradcheck(lambda x: x * 2 + (x * x).detach(), X)


def test_only_the_wrong_input_is_named():
    class Mixed(Op):
        def forward(self, a, b):
            return a * 2 + b * 3

        def backward(self, dy):
            return dy * 2, dy * 3.01

    with pytest.raises(AssertionError, match=r"\[gradcheck\] input 1 of shape \(3, 3\)"):
        gradcheck(Mixed.apply, [X, X])


def test_every_output_is_checked():
    with pytest.raises(AssertionError, match="central differences give"):
        gradcheck(lambda x: (x * 2, broken(backward=GRADIENTS["sign"])(x)), X)


def test_functions_that_change_from_run_to_run_are_caught():
    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError, match="central differences give"):
        gradcheck(lambda x: x * float(rng.random()), X)


def test_a_jump_is_caught():
    with pytest.raises(AssertionError, match="central differences give"):
        gradcheck(
            lambda x: mg.where(x > 1, x + 5, x), mg.tensor([1.0, 0.5], dtype=mg.float64, requires_grad=True), full=True
        )


def test_a_function_that_writes_to_its_input_is_seen():
    with pytest.raises((AssertionError, RuntimeError)):
        gradcheck(lambda x: (x.data.mul_(1.1), x * x)[1], X)


def test_nothing_to_check_is_an_error():
    with pytest.raises(ValueError, match=r"\[gradcheck\] no input requires a gradient: there is nothing to check"):
        gradcheck(mg.exp, mg.ones(2))
    for checker in (gradgradcheck, check_backwards):
        with pytest.raises(ValueError, match="no input requires a gradient"):
            checker(mg.exp, mg.ones(2))


def test_inputs_stay_as_they_were():
    x = mg.ones(3, requires_grad=True)
    index = mg.tensor([0, 2])
    gradcheck(lambda x, i: x[i] ** 2, [x, index])
    assert (x.dtype, x.grad, x.tolist()) == (mg.float32, None, [1] * 3)


# Kernels -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def doubling(monkeypatch):
    """Install a native body beside a reference that doubles; returns a function that installs one."""

    def doubling_forward(y, x):
        y[...] = 2 * x

    made, natives = kernel()(doubling_forward), dict(cpu.kernels())
    monkeypatch.setattr(cpu, "kernels", lambda: natives)

    def install(body):
        natives["doubling_forward"] = body
        mg.use_backend("cpu")
        return made

    yield install
    del KERNELS["doubling_forward"]
    monkeypatch.undo()
    mg.use_backend("cpu" if cpu.kernels() else "numpy")


def _assign(y, value):
    y[...] = value


BODIES = {
    "scaled": lambda y, x: _assign(y, 2.001 * x),
    "forgets the tail": lambda y, x: _assign(y[:-1], 2 * x[:-1]),
    "one off": lambda y, x: _assign(y, 2 * np.roll(x, 1)),
    "ignores strides": lambda y, x: _assign(y, 2 * np.ravel(x.base if x.base is not None else x)[: x.size]),
    "nan as 0": lambda y, x: _assign(y, np.nan_to_num(2 * x)),
    "writes nothing": lambda y, x: None,
}


def values(body):
    x = np.arange(1, 18, dtype=np.float32)
    if body == "nan as 0":
        x[3] = np.nan
    return np.repeat(x, 2)[::2] if body == "ignores strides" else x


@pytest.mark.parametrize("fault", BODIES)
def test_wrong_kernels_are_caught(doubling, fault):
    if fault == "ignores strides":
        x = np.arange(34, dtype=np.float32)[::2]
    else:
        x = values(fault)
    k = doubling(BODIES[fault])
    with pytest.raises(AssertionError, match=r"\[doubling_forward\] out 0"):
        check_kernel(k, np.zeros(17, np.float32), x)


def test_a_right_kernel_passes(doubling):
    k = doubling(lambda y, x: _assign(y, x + x))
    assert check_kernel(k, np.zeros(17, np.float32), values(""))
    assert check_kernel("doubling_forward", np.zeros((0,), np.float32), np.zeros((0,), np.float32))


def test_a_kernel_without_native_body_is_an_error(doubling):
    with pytest.raises(RuntimeError, match=r"\[check_kernel\] sign_backward has no native body here"):
        check_kernel("sign_backward", np.zeros(1, np.float32), np.ones(1, np.float32), np.ones(1, np.float32))


# The harness of the op tests -----------------------------------------------------------------------------------------


class Doubled(Op):
    def forward(self, x):
        y = empty_like(x)
        KERNELS["doubling_forward"](y, x)
        return y

    def gradient(self, dy):
        return dy * 2


SHAPES = [((17,),), ((3, 5),), ((100_003,),)]
ROW = {"numpy": lambda x: 2 * x, "kernels": ("doubling_forward",)}


def test_the_harness_passes_what_is_right(doubling):
    doubling(lambda y, x: _assign(y, x + x))
    harness.check(Case("double", Doubled.apply, SHAPES, torch=lambda torch, x: 2 * x, **ROW))


def test_the_harness_poisons_memory(doubling):
    """What the reference has just computed must not be there for a native body that forgets to write."""
    doubling(lambda y, x: None)
    case = Case("double", Doubled.apply, SHAPES, **ROW)
    for shapes in SHAPES:
        with pytest.raises(AssertionError, match="nan location mismatch"):
            harness.check_native(case, harness.draw(case, shapes, np.float32))


@pytest.mark.parametrize("fault", ["scaled", "forgets the tail", "one off", "writes nothing", "nan as 0"])
@pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is not built")
def test_the_harness_catches_wrong_kernels(doubling, fault):
    doubling(BODIES[fault])
    with pytest.raises(AssertionError):
        harness.check(Case("double", Doubled.apply, SHAPES, **ROW))


@pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is not built")
def test_the_harness_catches_bits_that_depend_on_the_threads(doubling):
    def body(y, x):
        y[...] = 2 * x
        y.reshape(-1)[:1] += 1e-7 * cpu.get_num_threads()

    doubling(body)
    with pytest.raises(AssertionError, match="the bits depend on the number of threads"):
        harness.check(Case("double", Doubled.apply, [((100_003,),)], **ROW))


FAULTS = {
    "numpy": Case("exp", mg.exp, [((3,),)], numpy=np.exp2),
    "torch": Case("exp", mg.exp, [((3,),)], torch=lambda torch, x: torch.exp2(x)),
    "gradient of torch": Case("exp", mg.exp, [((3,),)], torch=lambda torch, x: torch.exp(x) - x + x.detach()),
    "shape": Case("sum", lambda x: x.sum(0, keepdim=True), [((3,),)], numpy=lambda x: x.sum(0)),
    "outputs": Case("max", lambda x: x.max(0), [((3,),)], numpy=lambda x: x.max(0)),
    "kernel": Case("exp", mg.exp, [((3,),)], kernels=("log_forward",)),
    "half widened": Case("exp", lambda x: mg.exp(x.float()) if x.dtype == mg.float16 else mg.exp(x), [((3,),)]),
    "half coarse": Case("exp", lambda x: (x.bfloat16().to(x.dtype) if x.dtype == mg.float16 else x).exp(), [((9,),)]),
    "drawn": Case("sum", lambda x: x.sum(), [((1,),)], drawn=harness.st.just(((2, 2),)), numpy=lambda x: x[:1].sum()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_harness_catches(fault):
    if "torch" in fault:
        pytest.importorskip("torch")
    with pytest.raises((AssertionError, ValueError)):
        harness.check(FAULTS[fault])
