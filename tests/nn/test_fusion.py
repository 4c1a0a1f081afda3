"""What Sequential fuses: the same bits as the modules in turn, and nobody who looks in between is left out."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn.fusion import PATTERNS, Fused, plan

MODELS = {
    "mlp": lambda: (nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Linear(4, 3)),
    "gelu": lambda: (nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 4), nn.GELU("tanh")),
    "without bias": lambda: (nn.Linear(6, 5, bias=False), nn.ReLU()),
    "nothing to fuse": lambda: (nn.Linear(6, 5), nn.Tanh(), nn.ReLU()),
}
X = np.random.default_rng(0).standard_normal((7, 6)).astype(np.float32)


def fused(model):
    """The lengths of the runs that a model's plan fuses."""
    model(mg.from_numpy(X))
    return [len(step.modules) for step in model._steps if isinstance(step, Fused)]


def outcome(model, call):
    """Output and gradients of all parameters, as bytes."""
    model.zero_grad()
    y = call(mg.from_numpy(X))
    (y * y).sum().backward()
    return [y.detach().numpy().tobytes(), *(p.grad.numpy().tobytes() for p in model.parameters())]


def in_turn(model):
    def call(x):
        for module in model:
            x = module(x)
        return x

    return call


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_the_bits_are_those_of_the_modules_in_turn(make):
    model = nn.Sequential(*make())
    assert outcome(model, model) == outcome(model, in_turn(model))


IMAGES = {
    "few channels": lambda: (nn.Conv2d(2, 5, 3), nn.ReLU(), nn.MaxPool2d(2)),
    "many channels": lambda: (nn.Conv2d(2, 6, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d((2, 2))),
    "groups": lambda: (nn.Conv2d(2, 6, 3, groups=2), nn.ReLU(), nn.MaxPool2d(2)),
    "other windows": lambda: (nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(3, 2)),
    "odd size kept": lambda: (nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)),
    "normalised": lambda: (nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)),
    "given statistics": lambda: (nn.BatchNorm2d(2).eval(), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
    "normalised, other windows": lambda: (nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(3)),
    "after another": lambda: (nn.Conv2d(2, 3, 2), nn.Tanh(), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
}


@pytest.mark.parametrize("make", IMAGES.values(), ids=IMAGES)
def test_images_come_out_as_from_the_modules_in_turn(make):
    model, x = nn.Sequential(*make()), mg.randn(3, 2, 9, 11)
    twin, found = copy.deepcopy(model), []
    for one, y in ((model, model(x)), (twin, in_turn(twin)(x))):
        found.append([y, *mg.autograd.grad((y * y).sum(), list(one.parameters()))])
    assert [b.tolist() for b in model.buffers()] == [b.tolist() for b in twin.buffers()]
    assert any(isinstance(step, Fused) for step in model._steps)
    assert found[0][0].detach().numpy().tobytes() == found[1][0].detach().numpy().tobytes()
    for a, b in zip(found[0][1:], found[1][1:], strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-5, 1e-4)


def test_relu_in_place_is_seen_in_the_input():
    model, x = nn.Sequential(nn.ReLU(inplace=True), nn.MaxPool2d(2)), mg.tensor([[[-1.0, 2.0], [-3.0, 4.0]]])
    assert model(x).tolist() == [[[4.0]]] and x.tolist() == [[[0.0, 2.0], [0.0, 4.0]]]


def test_the_longest_patterns_of_exactly_these_types_are_planned():
    class OwnReLU(nn.ReLU):
        pass

    first, relu = nn.Linear(6, 6), nn.ReLU()
    assert fused(nn.Sequential(first, relu, first, relu, first)) == [2, 2]
    assert fused(nn.Sequential(first, OwnReLU())) == fused(nn.Sequential(relu, first)) == []
    assert plan([]) == []
    for types in PATTERNS:
        assert all(issubclass(t, nn.Module) for t in types) and len(types) > 1


def test_a_plan_is_made_anew_when_the_members_change():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
    assert fused(model) == [2]
    model.append(nn.Tanh())
    assert fused(model) == [2] and outcome(model, model) == outcome(model, in_turn(model))
    model[1] = nn.Sigmoid()
    assert fused(model) == [] and outcome(model, model) == outcome(model, in_turn(model))
    model.insert(1, nn.ReLU())
    assert fused(model) == [2] and outcome(model, model) == outcome(model, in_turn(model))
    del model[0]
    assert fused(model) == []
    model.add_module("more", nn.Linear(6, 6))
    model.append(nn.ReLU())
    assert fused(model) == [2]
    setattr(model, "0", nn.Linear(6, 6))
    assert fused(model) == [2] and outcome(model, model) == outcome(model, in_turn(model))


def test_hooks_that_come_later_see_everything():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    plain, seen = outcome(model, model), []
    handle = model[0].register_forward_hook(lambda module, args, output: seen.append(output.detach().numpy().min()))
    assert outcome(model, model) == plain and seen[0] < 0
    handle.remove()
    model[1].register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_output[0].shape))
    assert outcome(model, model) == plain and seen[1:] == [(7, 5)]


def test_a_forward_of_its_own_is_called():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
    model(mg.from_numpy(X))
    model[1].forward = lambda x: x * 0 - 1
    assert model(mg.from_numpy(X)).detach().numpy().max() == -1


def test_parameters_that_are_replaced_are_used():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
    model(mg.from_numpy(X))
    model[0].weight = nn.Parameter(mg.zeros(5, 6))
    model[0].bias = None
    assert model(mg.from_numpy(X)).detach().numpy().max() == 0


def test_a_function_may_decline(monkeypatch):
    monkeypatch.setitem(PATTERNS, (nn.Linear, nn.ReLU), lambda x, linear, relu: NotImplemented)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
    assert fused(model) == [2] and outcome(model, model) == outcome(model, in_turn(model))


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_plan_for_themselves(copied):
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU())
    before = outcome(model, model)
    twin = copied(model)
    assert outcome(twin, twin) == before
    twin[0] = nn.Linear(6, 5, bias=False)
    assert outcome(twin, twin) == outcome(twin, in_turn(twin)) != before
    assert outcome(model, model) == before
