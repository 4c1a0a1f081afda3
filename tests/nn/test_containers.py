"""Containers against Python's own lists and dicts, and their printed form against PyTorch's."""

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")

index = st.integers(-4, 4)
OPERATIONS = st.one_of(
    st.tuples(st.just("append")),
    st.tuples(st.just("insert"), index),
    st.tuples(st.just("pop"), index),
    st.tuples(st.just("delete"), index),
    st.tuples(st.just("delete slice"), index, index),
    st.tuples(st.just("set"), index),
    st.tuples(st.just("extend"), st.integers(0, 2)),
)


def perform(members, operation, new):
    """One operation on a list or on a container; what it raises or gives."""
    name, *numbers = operation
    actions = {
        "append": lambda: members.append(new()),
        "insert": lambda i: members.insert(i, new()),
        "pop": lambda i: members.pop(i),
        "delete": lambda i: members.__delitem__(i),
        "delete slice": lambda i, j: members.__delitem__(slice(i, j)),
        "set": lambda i: members.__setitem__(i, new()),
        "extend": lambda n: members.extend([new() for _ in range(n)]),
    }
    try:
        return actions[name](*numbers)
    except IndexError:
        return IndexError


@pytest.mark.parametrize("kind", [nn.ModuleList, nn.Sequential, nn.ParameterList])
@given(operations=st.lists(OPERATIONS, max_size=8), start=st.integers(0, 3))
def test_a_list_of_modules_is_a_list(kind, operations, start):
    def new():
        return nn.Parameter(mg.zeros(1)) if kind is nn.ParameterList else nn.Identity()

    plain = [new() for _ in range(start)]
    container = kind(*plain) if kind is nn.Sequential else kind(plain)
    for operation in operations:
        made = [new() for _ in range(2)]
        outside = operation[0] == "insert" and not -len(plain) <= operation[1] <= len(plain)
        expected = IndexError if outside else perform(plain, operation, iter(made).__next__)
        found = perform(container, operation, iter(made).__next__)
        assert (found is expected) or found is container
        assert [id(member) for member in container] == [id(member) for member in plain]
        named = container.named_parameters() if kind is nn.ParameterList else container.named_children()
        assert [name for name, _ in named] == [str(i) for i in range(len(plain))]


def test_sequential_calls_in_order():
    net = nn.Sequential(OrderedDict(twice=Times(2.0), shift=Plus(3.0)))
    assert net(mg.tensor(5.0)).item() == 13.0
    assert net.twice is net[0] and list(net.state_dict()) == []
    assert repr(net[1:]) == "Sequential(\n  (shift): Plus()\n)"
    assert (net + [Plus(1.0)])(mg.tensor(5.0)).item() == 14.0
    assert (net * 2)(mg.tensor(5.0)).item() == 29.0
    assert nn.Sequential()(mg.tensor(5.0)).item() == 5.0
    net += [Plus(1.0)]
    assert len(net) == 3 and net(mg.tensor(5.0)).item() == 14.0
    net[0] = Times(10.0)
    assert net(mg.tensor(5.0)).item() == 54.0 and [name for name, _ in net.named_children()] == ["twice", "shift", "2"]


class Times(nn.Module):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def forward(self, x):
        return x * self.number


class Plus(Times):
    def forward(self, x):
        return x + self.number


def test_slices_of_lists():
    modules = nn.ModuleList(Times(i) for i in range(5))
    assert [m.number for m in modules[1:4:2]] == [1, 3] and type(modules[:1]) is nn.ModuleList
    assert [m.number for m in modules + [Times(9)]] == [0, 1, 2, 3, 4, 9]
    assert modules[-1].number == 4


def test_parameter_list_makes_parameters():
    values = nn.ParameterList([mg.ones(2), nn.Parameter(mg.zeros(1))])
    assert all(isinstance(v, nn.Parameter) for v in values) and len(list(values.parameters())) == 2
    assert list(values.state_dict()) == ["0", "1"]


def test_module_dict():
    modules = nn.ModuleDict([("a", nn.ReLU()), ("b", nn.Tanh())])
    modules["c"] = nn.Linear(1, 1)
    modules.update({"a": nn.Sigmoid()})
    assert list(modules) == list(modules.keys()) == ["a", "b", "c"] and len(modules) == 3 and "b" in modules
    assert [repr(m) for m in modules.values()][:2] == ["Sigmoid()", "Tanh()"]
    assert dict(modules.items())["c"] is modules["c"] and list(modules.state_dict()) == ["c.weight", "c.bias"]
    assert repr(modules.pop("b")) == "Tanh()" and "b" not in modules
    del modules["a"]
    modules.clear()
    assert len(modules) == 0
    with pytest.raises(KeyError):
        modules["a"]


REFUSED = [
    (lambda: nn.ModuleList([1]), TypeError, "member of type int, a Module was expected"),
    (lambda: nn.ModuleList(3), TypeError, "found int, an iterable"),
    (lambda: nn.Sequential(len), TypeError, "a Module was expected"),
    (lambda: nn.Sequential({"a": 1}), TypeError, "a Module was expected"),
    (lambda: nn.Sequential() * 0, ValueError, "a positive number of times, found 0"),
    (lambda: nn.Sequential({"1": nn.ReLU()}).append(nn.ReLU()), KeyError, "'1' is there already"),
    (lambda: nn.ParameterList([1.0]), TypeError, "a Tensor was expected"),
    (lambda: nn.ModuleList()[0], IndexError, "index 0 is out of range, 0 members"),
    (lambda: nn.ModuleDict({"keys": nn.ReLU()}), KeyError, "'keys' already exists"),
    (lambda: nn.ModuleDict({"a": 1}), TypeError, "'a' is int"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


PRINTED = [
    lambda nn: nn.Sequential(),
    lambda nn: nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU()),
    lambda nn: nn.Sequential(nn.Sequential(nn.ReLU(), nn.Tanh()), nn.Sequential()),
    lambda nn: nn.ModuleList(),
    lambda nn: nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh(), nn.ReLU()]),
    lambda nn: nn.ModuleList([nn.Sequential(nn.Tanh()) for _ in range(12)]),
    lambda nn: nn.ModuleDict({"one": nn.ReLU(), "two": nn.Sequential(nn.Tanh())}),
    lambda nn: nn.Linear(4, 5),
    lambda nn: nn.Identity(),
    lambda nn: nn.Conv2d(4, 2, 3),
    lambda nn: nn.Conv2d(4, 2, (3, 5), stride=2, padding=(1, 2), dilation=2, groups=2, bias=False),
    lambda nn: nn.Conv2d(4, 2, 3, padding="same"),
    lambda nn: nn.MaxPool2d(2),
    lambda nn: nn.MaxPool2d((2, 3), stride=1, padding=1, ceil_mode=True),
    lambda nn: nn.BatchNorm1d(3),
    lambda nn: nn.BatchNorm2d(3, momentum=None, affine=False, track_running_stats=False),
    lambda nn: nn.LayerNorm(3),
    lambda nn: nn.LayerNorm((3, 4), eps=1e-3, bias=False),
    lambda nn: nn.Embedding(10, 3),
    lambda nn: nn.Embedding(10, 3, padding_idx=-1),
    lambda nn: nn.Dropout(0.1, inplace=True),
    lambda nn: nn.Flatten(),
    lambda nn: nn.Unflatten(1, (2, 3)),
    lambda nn: nn.ReLU(inplace=True),
    lambda nn: nn.GELU("tanh"),
    lambda nn: nn.Softmax(dim=1),
    lambda nn: nn.LogSoftmax(dim=-1),
    lambda nn: nn.Sigmoid(),
    lambda nn: nn.MSELoss(),
    lambda nn: nn.CrossEntropyLoss(label_smoothing=0.1),
    lambda nn: nn.NLLLoss(),
    lambda nn: nn.BCELoss(),
    lambda nn: nn.BCEWithLogitsLoss(),
]


@needs_torch
@pytest.mark.parametrize("make", PRINTED)
def test_printed_form_is_pytorchs(make):
    assert repr(make(nn)) == repr(make(torch.nn))


def test_printed_form_of_a_parameter_list():
    assert repr(nn.ParameterList([mg.ones(2, 3)])) == (
        "ParameterList(\n  (0): Parameter containing: [float32 of size 2x3]\n)"
    )
