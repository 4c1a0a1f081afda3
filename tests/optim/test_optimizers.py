"""Trajectories against PyTorch, and what an Optimizer accepts, refuses and remembers."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn, optim
from minigrad.backend.array import Arrays
from minigrad.kernel import KERNELS

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")

SHAPES = [(3,), (4, 5), (), (0, 2), (67,)]

# class, options, options that PyTorch does not have
TRAJECTORIES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.01, "momentum": 0.5, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.01, "initial_accumulator_value": 0.5}),
    ("Adagrad", {"lr": 0.1, "eps": 1e-3, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.9, "weight_decay": 0.01, "momentum": 0.5}),
    ("RMSprop", {"lr": 0.05, "centered": True, "momentum": 0.9, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "maximize": True}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.2, "amsgrad": True}),
]


def gradients(steps, dtype, seed=0):
    """For every step a gradient of each parameter; the third one's is missing now and then."""
    rng = np.random.default_rng(seed)
    for step in range(steps):
        scale = 10 ** rng.uniform(-2, 1)
        grads = [np.asarray(scale * rng.standard_normal(shape), dtype) for shape in SHAPES]
        yield [None if i == 2 and step % 7 == 3 else g for i, g in enumerate(grads)]


def start(dtype, seed=1):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]


def trajectory(make, tensor_of, steps, dtype, closure=lambda optimizer: optimizer.step()):
    """The parameters after `steps` steps of the optimizer that `make` gives."""
    params = [tensor_of(a.copy(), True) for a in start(dtype)]
    optimizer = make(params)
    for grads in gradients(steps, dtype):
        for p, g in zip(params, grads, strict=True):
            p.grad = None if g is None else tensor_of(g.copy(), False)
        closure(optimizer)
    return params, optimizer


def ours(array, requires_grad):
    return mg.tensor(array).requires_grad_(requires_grad)


def theirs(array, requires_grad):
    return torch.tensor(array, requires_grad=requires_grad)


@needs_torch
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize(("name", "options"), TRAJECTORIES)
def test_trajectory_is_pytorchs(name, options, dtype, tolerance):
    found, optimizer = trajectory(lambda params: getattr(optim, name)(params, **options), ours, 50, dtype)
    expected, other = trajectory(lambda params: getattr(torch.optim, name)(params, **options), theirs, 50, dtype)
    for p, q in zip(found, expected, strict=True):
        np.testing.assert_allclose(p.tolist(), q.tolist(), rtol=tolerance, atol=tolerance)
    for mine, state in zip(found, expected, strict=True):
        assert_same_state(optimizer.state[mine], other.state[state], tolerance)


def assert_same_state(mine, other, tolerance):
    assert set(mine) == set(other)
    for key, value in mine.items():
        value = value.tolist() if isinstance(value, mg.Tensor) else value
        np.testing.assert_allclose(value, other[key].tolist(), rtol=tolerance * 100, atol=tolerance * 100)


@needs_torch
@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"])
def test_defaults_are_pytorchs(name):
    mine = getattr(optim, name)([mg.zeros(1, requires_grad=True)])
    other = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)])
    for option, value in mine.defaults.items():
        assert option == "bias_correction" or value == other.defaults[option], option


def test_adam_without_bias_correction_is_the_plain_form():
    p, m, v = np.array([1.0, -2.0]), 0.0, 0.0
    w = mg.tensor(p).requires_grad_()
    optimizer = optim.Adam([w], lr=0.1, bias_correction=False)
    for t in range(1, 21):
        g = np.array([t, -0.1])
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p = p - 0.1 * m / (np.sqrt(v) + 1e-8)
        w.grad = mg.tensor(g)
        optimizer.step()
    np.testing.assert_allclose(w.tolist(), p, rtol=1e-13)


@pytest.mark.parametrize("dtype", [mg.float16, mg.bfloat16])
@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"])
def test_two_byte_floats_are_computed_wide_and_rounded_once(name, dtype):
    w = mg.tensor([1.0, 2.0]).to(dtype).requires_grad_()
    w.grad = mg.tensor([0.5, -0.25]).to(dtype)
    exact = mg.tensor(w.tolist(), dtype=mg.float32).requires_grad_()
    exact.grad = mg.tensor(w.grad.tolist(), dtype=mg.float32)
    for p in (w, exact):
        getattr(optim, name)([p], lr=0.1).step()
    assert w.dtype == dtype
    assert w.tolist() == exact.detach().to(dtype).tolist()


def test_a_strided_parameter_and_gradient():
    base = np.arange(6.0).reshape(2, 3)
    w = mg.from_numpy(base.T).requires_grad_()
    w.grad = mg.from_numpy(np.ones((2, 3)).T)
    optim.SGD([w], lr=1.0).step()
    assert base.tolist() == [[-1.0, 0.0, 1.0], [2.0, 3.0, 4.0]]


@pytest.mark.cpu_only("looks at what runs for arrays of the CPU")
@pytest.mark.parametrize(("name", "kernel"), [("SGD", "sgd_step"), ("AdamW", "adam_step")])
def test_a_group_is_one_kernel_call(name, kernel, monkeypatch):
    """One for each dtype, and for each count of steps where that matters; strided ones go along."""
    params = [mg.ones(3, 2).requires_grad_() for _ in range(4)] + [mg.ones(2, dtype=mg.float64).requires_grad_()]
    params[1] = mg.from_numpy(np.ones((2, 3), np.float32).T).requires_grad_()
    optimizer, calls = getattr(optim, name)(params), []
    run = KERNELS[kernel].choose(params[0].array)

    def count(*args):
        calls.append(len(args[0]))
        run(*args)

    for p in params[:3]:
        p.grad = mg.ones(*p.shape)
    monkeypatch.setitem(KERNELS[kernel].bodies, (Arrays, mg.float32), count)
    optimizer.step()
    assert calls == [3] and params[1].tolist() == params[0].tolist()
    for p in params[3:]:
        p.grad = mg.ones(*p.shape, dtype=p.dtype)
    optimizer.step()
    assert calls[1:] == ([4] if name == "SGD" else [3, 1])
    assert params[4].tolist()[0] == pytest.approx(params[3].tolist()[0][0], rel=1e-6)


def test_closure_is_called_with_gradients_on_and_its_value_returned():
    w = mg.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with mg.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert w.item() == 1.0


def test_step_after_saving_makes_backward_raise():
    w = mg.tensor([2.0], requires_grad=True)
    loss = (w * w).sum()
    w.grad = mg.ones(1)
    optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match=r"changed in place by \[SGD\]"):
        loss.backward()


def test_parameters_without_gradient_stay():
    used, unused = mg.ones(1, requires_grad=True), mg.ones(1, requires_grad=True)
    optimizer = optim.Adam([used, unused], weight_decay=0.1)
    used.sum().backward()
    optimizer.step()
    assert unused.item() == 1.0 and unused not in optimizer.state


def test_groups_have_options_of_their_own():
    a, b = mg.ones(1, requires_grad=True), mg.ones(1, requires_grad=True)
    optimizer = optim.SGD([{"params": a, "lr": 0.5}], lr=0.1)
    optimizer.add_param_group({"params": [b]})
    (a + b).sum().backward()
    optimizer.step()
    assert [round(p.item(), 6) for p in (a, b)] == [0.5, 0.9]


def test_zero_grad():
    w = mg.ones(2, requires_grad=True)
    optimizer = optim.SGD([w])
    w.sum().backward()
    memory = w.grad.array
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0, 0.0] and w.grad.array is memory
    optimizer.zero_grad()
    assert w.grad is None


leaf = mg.zeros(2, requires_grad=True)
REFUSED = [
    (lambda: optim.SGD([]), ValueError, "empty parameter list"),
    (lambda: optim.SGD(iter([])), ValueError, "empty parameter list"),
    (lambda: optim.SGD(leaf), TypeError, "params is a Tensor"),
    (lambda: optim.SGD({leaf}), TypeError, "has no order"),
    (lambda: optim.SGD([1.0]), TypeError, "one of the params is float"),
    (lambda: optim.SGD([leaf * 2]), ValueError, "non-leaf Tensor of shape .2,."),
    (lambda: optim.SGD([mg.tensor([1])]), ValueError, "dtype int64"),
    (lambda: optim.SGD([leaf, leaf]), ValueError, "appears twice"),
    (lambda: optim.SGD([{"params": [leaf]}, {"params": [leaf]}]), ValueError, "appears twice"),
    (lambda: optim.SGD([leaf]).add_param_group([leaf]), TypeError, "a dict was expected"),
    (lambda: optim.SGD([leaf], lr=-1), ValueError, "lr is -1"),
    (lambda: optim.SGD([leaf], lr=math.nan), ValueError, "lr is nan"),
    (lambda: optim.SGD([{"params": [leaf], "lr": -1}]), ValueError, "lr is -1"),
    (lambda: optim.SGD([leaf], momentum=-0.1), ValueError, "momentum is -0.1"),
    (lambda: optim.SGD([leaf], weight_decay=-0.1), ValueError, "weight_decay is -0.1"),
    (lambda: optim.SGD([leaf], nesterov=True), ValueError, "nesterov needs a momentum"),
    (lambda: optim.SGD([leaf], momentum=0.9, dampening=0.1, nesterov=True), ValueError, "no dampening"),
    (lambda: optim.Adam([leaf], betas=(0.9, 1.0)), ValueError, "betas is .0.9, 1.0., expected 0 <= betas < 1"),
    (lambda: optim.Adam([leaf], betas=(-0.1, 0.9)), ValueError, "betas"),
    (lambda: optim.Adam([leaf], eps=-1), ValueError, "eps"),
    (lambda: optim.Adagrad([leaf], lr_decay=-1), ValueError, "lr_decay"),
    (lambda: optim.Adagrad([leaf], initial_accumulator_value=-1), ValueError, "initial_accumulator_value"),
    (lambda: optim.RMSprop([leaf], alpha=-1), ValueError, "alpha"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(("name", "options"), TRAJECTORIES)
def test_state_dict_takes_training_up_again(name, options):
    def break_off(optimizer):
        optimizer.step()
        params = optimizer.param_groups[0]["params"]
        fresh = getattr(optim, name)(params, lr=123.0)
        saved = copy.deepcopy(optimizer.state_dict())
        fresh.load_state_dict(saved)
        optimizer.__dict__.update(fresh.__dict__)

    def make(params):
        return getattr(optim, name)(params, **options)

    straight, _ = trajectory(make, ours, 6, np.float32)
    broken, _ = trajectory(make, ours, 6, np.float32, break_off)
    assert [p.tolist() for p in straight] == [p.tolist() for p in broken]


@needs_torch
def test_state_dict_has_pytorchs_layout():
    dicts = []
    for library in (mg, torch):
        params = [library.zeros(2, requires_grad=True) for _ in range(3)]
        optimizer = library.optim.Adam([{"params": params[:1]}, {"params": params[1:], "lr": 0.5}])
        params[1].sum().backward()
        optimizer.step()
        dicts.append(optimizer.state_dict())
    mine, other = dicts
    assert list(mine["state"]) == list(other["state"]) == [1]
    assert set(mine["state"][1]) == set(other["state"][1])
    assert [group["params"] for group in mine["param_groups"]] == [group["params"] for group in other["param_groups"]]


def test_a_state_of_other_groups_is_refused():
    one = optim.SGD([mg.zeros(1, requires_grad=True)])
    two = optim.SGD([mg.zeros(1, requires_grad=True), mg.zeros(1, requires_grad=True)])
    with pytest.raises(ValueError, match=r"found groups of \[2\] parameters, expected \[1\]"):
        one.load_state_dict(two.state_dict())


def test_loaded_state_is_a_copy_in_the_parameters_dtype():
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(model.parameters())
    model(mg.ones(1, 2)).sum().backward()
    optimizer.step()
    double = nn.Linear(2, 1, dtype=mg.float64)
    loaded = optim.Adam(double.parameters())
    loaded.load_state_dict(optimizer.state_dict())
    mine, theirs_ = loaded.state[double.weight]["exp_avg"], optimizer.state[model.weight]["exp_avg"]
    assert mine.dtype == mg.float64 and mine.tolist() == theirs_.tolist() and mine.array is not theirs_.array


def test_repr_lists_the_options():
    text = repr(optim.SGD([mg.zeros(1, requires_grad=True)], lr=0.5))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n") and "    lr: 0.5\n" in text


part, small = st.floats(0, 0.99), st.floats(0, 0.3)
COMMON = {"lr": st.floats(1e-4, 0.5), "weight_decay": small, "maximize": st.booleans()}
OPTIONS = {
    "SGD": {"momentum": part, "dampening": part},
    "Adagrad": {"lr_decay": part, "initial_accumulator_value": st.floats(0, 3), "eps": st.floats(1e-10, 1e-2)},
    "RMSprop": {"alpha": part, "momentum": part, "eps": st.floats(1e-8, 1e-2)},
    "Adam": {"betas": st.tuples(part, part), "eps": st.floats(1e-8, 1e-2), "amsgrad": st.booleans()},
    "AdamW": {"betas": st.tuples(part, part), "eps": st.floats(1e-8, 1e-2), "amsgrad": st.booleans()},
}


@needs_torch
@pytest.mark.parametrize("name", OPTIONS)
@given(data=st.data())
def test_any_options_give_pytorchs_trajectory(name, data):
    options = data.draw(st.fixed_dictionaries({**COMMON, **OPTIONS[name]}))
    found, _ = trajectory(lambda params: getattr(optim, name)(params, **options), ours, 8, np.float64)
    expected, _ = trajectory(lambda params: getattr(torch.optim, name)(params, **options), theirs, 8, np.float64)
    for p, q in zip(found, expected, strict=True):
        np.testing.assert_allclose(p.tolist(), q.tolist(), rtol=1e-10, atol=1e-10)
