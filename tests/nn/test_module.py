"""Module: what it registers, how it is walked, its state, modes, conversions, copies and printed form."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.nn.hooks import Hooks


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(3)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(3, 2, bias=False))
        self.scale = nn.Parameter(mg.ones(1))
        self.register_buffer("mask", mg.ones(2), persistent=False)

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale * self.mask


NAMES = ["scale", "first.weight", "first.bias", "norm.weight", "norm.bias", "rest.1.weight"]
BUFFERS = ["mask", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]


def test_the_walks():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_parameters("net", recurse=False)] == ["net.scale"]
    assert [name for name, _ in net.named_buffers()] == BUFFERS
    assert [name for name, _ in net.named_modules()] == ["", "first", "norm", "rest", "rest.0", "rest.1"]
    assert [name for name, _ in net.named_children()] == ["first", "norm", "rest"]
    assert [p.shape for p in net.parameters()] == [(1,), (3, 4), (3,), (3,), (3,), (2, 3)]
    assert next(net.children()) is net.first and next(net.modules()) is net
    assert next(net.buffers()) is net.mask


def test_what_is_shared_is_named_once_unless_asked():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    twice = nn.Sequential(net, net)
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert [name for name, _ in twice.named_children()] == ["0"]
    assert len(list(twice.parameters())) == 3
    assert len(twice.state_dict()) == 8  # under every name, as PyTorch
    assert len(list(twice.named_modules(remove_duplicate=False))) == 7


def test_assignment_registers_and_replaces():
    net = Net()
    net.scale = nn.Parameter(mg.zeros(1))
    assert net.get_parameter("scale").item() == 0.0
    net.mask = mg.zeros(2)
    assert net.get_buffer("mask").tolist() == [0.0, 0.0]
    net.first = None
    assert [name for name, _ in net.named_children()] == ["norm", "rest"]
    net.scale = None
    assert "scale" not in net.state_dict()
    del net.norm
    assert not hasattr(net, "norm") and [name for name, _ in net.named_children()] == ["rest"]
    net.plain = mg.ones(2)  # a Tensor that is no Parameter is an attribute like any other
    assert "plain" not in net.state_dict()


def test_a_buffer_that_becomes_a_parameter():
    net = Net()
    net.mask = nn.Parameter(mg.ones(2))
    assert [name for name, _ in net.named_buffers()] == BUFFERS[1:]
    assert "mask" in net.state_dict()


class TooEarly(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(1, 1)


def assign(name, value):
    return lambda: setattr(Net(), name, value)


REFUSED = [
    (TooEarly, AttributeError, r"cannot assign module 'layer' before super\(\).__init__\(\)"),
    (assign("scale", mg.ones(1)), TypeError, "cannot assign Tensor to parameter 'scale', a Parameter or None"),
    (assign("scale", 3), TypeError, "cannot assign int to parameter 'scale'"),
    (assign("mask", [1]), TypeError, "cannot assign list to buffer 'mask', a Tensor or None"),
    (assign("first", len), TypeError, "to module 'first', a Module or None"),
    (lambda: Net().register_parameter("a.b", None), KeyError, "without '.'"),
    (lambda: Net().register_parameter("", None), KeyError, "non-empty"),
    (lambda: Net().register_parameter(3, None), TypeError, "the name is int, a str was expected"),
    (lambda: Net().register_parameter("forward", None), KeyError, "'forward' already exists"),
    (lambda: Net().register_parameter("w", mg.ones(1)), TypeError, "'w' is Tensor, a Parameter or None"),
    (lambda: Net().register_buffer("w", np.ones(1)), TypeError, "'w' is ndarray, a Tensor or None"),
    (lambda: Net().register_buffer("first", mg.ones(1)), KeyError, "'first' already exists"),
    (lambda: Net().register_module("w", 3), TypeError, "'w' is int, a Module or None"),
    (lambda: Net().get_submodule("rest.7"), AttributeError, r"Sequential has no module '7' \(path 'rest.7'\)"),
    (lambda: Net().get_parameter("rest.1.bias2"), AttributeError, "Linear has no parameter 'bias2'"),
    (lambda: Net().get_buffer("first.weight"), AttributeError, "Linear has no buffer 'weight'"),
    (lambda: nn.Module()(1), NotImplementedError, "Module has no forward"),
    (lambda: Net().train(1), ValueError, "mode is 1, True or False"),
    (lambda: Net().to(mg.int64), TypeError, "found int64"),
    (lambda: Net().to("tpu"), RuntimeError, "tpu"),
    (lambda: nn.Parameter([1.0]), TypeError, "data is list, a Tensor was expected"),
    (lambda: nn.Parameter(mg.tensor([1])), RuntimeError, "int64"),
    (lambda: Net().load_state_dict([1]), TypeError, "state_dict is list, a dict was expected"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_get_by_path():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("rest.1") is net.rest[1]
    assert net.get_parameter("rest.1.weight") is net.rest[1].weight
    assert net.get_buffer("norm.running_mean") is net.norm.running_mean


# State ---------------------------------------------------------------------------------------------------------------


def test_state_dict_shares_memory_and_is_detached():
    net = Net()
    state = net.state_dict()
    assert list(state) == [*NAMES[:5], *BUFFERS[1:], NAMES[5]]
    assert state["scale"].array is net.scale.array and not state["scale"].requires_grad
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert next(iter(net.norm.state_dict(prefix="norm."))) == "norm.weight"


def test_load_state_dict_copies():
    a, b = Net(), Net()
    memory = a.scale.array
    b.scale.data = mg.tensor([5.0])
    assert repr(a.load_state_dict(b.state_dict())) == "<All keys matched successfully>"
    assert a.scale.array is memory and a.scale.item() == 5.0 and a.scale.requires_grad
    assert a.first.weight.tolist() == b.first.weight.tolist()


def test_load_state_dict_converts_the_dtype():
    net = nn.Linear(2, 1)
    net.load_state_dict(nn.Linear(2, 1, dtype=mg.float64).state_dict())
    assert net.weight.dtype == mg.float32


def test_load_state_dict_lists_all_problems_and_changes_nothing():
    net = Net()
    before = {name: value.tolist() for name, value in net.state_dict().items()}
    state = {name: mg.zeros(*value.shape) for name, value in net.state_dict().items() if name != "scale"}
    state |= {"first.weight": mg.ones(2, 4), "norm.bias": 3, "extra": mg.ones(1)}
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    assert str(error.value).splitlines() == [
        "[load_state_dict] the state does not fit Net:",
        "    missing key(s): 'scale'",
        "    unexpected key(s): 'extra'",
        "    first.weight: found shape (2, 4), expected (3, 4)",
        "    norm.bias: found int, expected a Tensor",
    ]
    assert before == {name: value.tolist() for name, value in net.state_dict().items()}


def test_load_state_dict_not_strict():
    net = nn.Linear(2, 1)
    keys = net.load_state_dict({"weight": mg.ones(1, 2), "other": mg.ones(1)}, strict=False)
    assert keys == (["bias"], ["other"]) and keys.missing_keys == ["bias"]
    assert "missing_keys=['bias']" in repr(keys)
    assert net.weight.tolist() == [[1.0, 1.0]]
    with pytest.raises(RuntimeError, match="found shape"):
        net.load_state_dict({"weight": mg.ones(2)}, strict=False)


def test_saved_graph_notices_a_load():
    net = nn.Linear(2, 1)
    x = mg.ones(1, 2, requires_grad=True)
    loss = net(x).sum()
    net.load_state_dict(nn.Linear(2, 1).state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


# Modes and conversions -----------------------------------------------------------------------------------------------


def test_train_and_eval_reach_all():
    net = Net()
    assert net.eval() is net and not any(module.training for module in net.modules())
    assert net.train() is net and all(module.training for module in net.modules())


def test_requires_grad_and_zero_grad():
    net = Net()
    net(mg.ones(2, 4)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.scale.grad.tolist() == [0.0]
    net.zero_grad()
    assert net.scale.grad is None
    net.first.requires_grad_(False)
    assert [p.requires_grad for p in net.first.parameters()] == [False, False] and net.scale.requires_grad


def test_apply_goes_from_children_to_parents():
    seen = []
    net = Net().apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "BatchNorm1d", "ReLU", "Linear", "Sequential", "Net"] and isinstance(net, Net)


CONVERSIONS = [
    (lambda net: net.double(), mg.float64),
    (lambda net: net.double().float(), mg.float32),
    (lambda net: net.half(), mg.float16),
    (lambda net: net.bfloat16(), mg.bfloat16),
    (lambda net: net.to(mg.float64), mg.float64),
    (lambda net: net.to(dtype=mg.float64), mg.float64),
    (lambda net: net.to("cpu", mg.float64), mg.float64),
    (lambda net: net.to(mg.ones(1, dtype=mg.float64)), mg.float64),
    (lambda net: net.cpu(), mg.float32),
]


@pytest.mark.parametrize(("convert", "dtype"), CONVERSIONS)
def test_conversions_keep_the_parameters_and_convert_the_gradients(convert, dtype):
    net = Net()
    net(mg.ones(2, 4)).sum().backward()
    parameters = list(net.parameters())
    assert convert(net) is net
    assert all(p is q and p.dtype == dtype and p.is_leaf for p, q in zip(parameters, net.parameters(), strict=True))
    assert all(p.grad is None or p.grad.dtype == dtype for p in parameters) and net.scale.grad is not None
    assert net.norm.running_mean.dtype == dtype and net.norm.num_batches_tracked.dtype == mg.int64
    net.zero_grad()
    net(mg.ones(2, 4, dtype=dtype)).sum().backward()
    assert net.scale.grad.dtype == dtype


# Copies --------------------------------------------------------------------------------------------------------------


def same(a, b):
    return all(p.tolist() == q.tolist() for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_deep_copies_are_apart(duplicate):
    net = Net()
    net.tied = net.first
    twin = duplicate(net)
    assert same(net, twin) and repr(twin) == repr(net) and twin.tied is twin.first
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in twin.parameters())
    twin.scale.data = mg.tensor([7.0])
    twin.extra = nn.ReLU()
    assert net.scale.item() == 1.0 and not hasattr(net, "extra")
    twin(mg.ones(1, 4)).sum().backward()
    assert net.scale.grad is None and twin.scale.grad is not None


def test_a_shallow_copy_shares_parameters_but_not_names():
    net = Net()
    twin = copy.copy(net)
    twin.extra = nn.ReLU()
    del twin.norm
    assert twin.scale is net.scale
    assert [name for name, _ in net.named_children()] == ["first", "norm", "rest"]


def test_parameter_copies_stay_parameters():
    p = nn.Parameter(mg.ones(2), requires_grad=False)
    twin = copy.deepcopy(p)
    assert type(twin) is nn.Parameter and not twin.requires_grad and twin.array is not p.array
    assert repr(p) == "Parameter containing:\ntensor([1., 1.])"
    assert nn.Parameter().shape == (0,)
    assert type(p + 1) is mg.Tensor


# The printed form ----------------------------------------------------------------------------------------------------


class Described(nn.Module):
    def __init__(self, extra, *children):
        super().__init__()
        self.extra = extra
        for i, child in enumerate(children):
            self.add_module(f"child{i}", child)

    def extra_repr(self):
        return self.extra


PRINTED = [
    (Described(""), "Described()"),
    (Described("a=1"), "Described(a=1)"),
    (Described("a=1\nb=2"), "Described(\n  a=1\n  b=2\n)"),
    (Described("a=1", nn.ReLU()), "Described(\n  a=1\n  (child0): ReLU()\n)"),
    (Described("", Described("", nn.ReLU())), "Described(\n  (child0): Described(\n    (child0): ReLU()\n  )\n)"),
    (Described("", None), "Described(\n  (child0): None\n)"),
]


@pytest.mark.parametrize(("module", "text"), PRINTED)
def test_printed_form(module, text):
    assert repr(module) == text


# The call ------------------------------------------------------------------------------------------------------------


def test_a_call_without_hooks_is_forward():
    layer = nn.Identity()
    assert layer._hooks is None and "_hooks" not in vars(layer)
    layer.register_forward_hook(lambda *args: None)
    assert isinstance(layer._hooks, Hooks) and nn.Identity()._hooks is None
