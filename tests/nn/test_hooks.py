"""Hooks around a call of a Module, forwards and backwards; PyTorch as the oracle of the latter."""

import pytest

import minigrad as mg
from minigrad import nn

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")


class Scale(nn.Module):
    def forward(self, x, factor=1.0):
        return x * factor


def test_forward_hooks_see_and_replace():
    layer, seen = Scale(), []
    layer.register_forward_pre_hook(lambda module, args: seen.append(("pre", module is layer, len(args))))
    layer.register_forward_pre_hook(lambda module, args: args[0] + 1)
    layer.register_forward_hook(lambda module, args, output: seen.append(("post", args[0].item(), output.item())))
    layer.register_forward_hook(lambda module, args, output: output * 10)
    assert layer(mg.tensor([1.0]), factor=2.0).item() == 40.0
    assert seen == [("pre", True, 1), ("post", 2.0, 4.0)]


def test_hooks_with_kwargs():
    layer = Scale()
    layer.register_forward_pre_hook(lambda module, args, kwargs: (args, {"factor": 3.0}), with_kwargs=True)
    layer.register_forward_hook(lambda module, args, kwargs, output: output + kwargs["factor"], with_kwargs=True)
    assert layer(mg.tensor([1.0])).item() == 6.0
    layer.register_forward_pre_hook(lambda module, args, kwargs: args, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"None or \(args, kwargs\) was expected"):
        layer(mg.tensor([1.0]))


def test_order_prepend_and_removal():
    layer, seen = Scale(), []
    handles = [layer.register_forward_hook(lambda *_, i=i: seen.append(i), prepend=i == 2) for i in range(3)]
    layer(mg.ones(1))
    handles[0].remove()
    handles[0].remove()
    layer(mg.ones(1))
    assert seen == [2, 0, 1, 2, 1]


def test_a_hook_may_remove_itself():
    layer, seen = Scale(), []
    handle = layer.register_forward_hook(lambda *_: (seen.append(1), handle.remove())[1])
    layer(mg.ones(1))
    layer(mg.ones(1))
    assert seen == [1]


# Backwards -----------------------------------------------------------------------------------------------------------


def two_in_two_out(library):
    class Two(library.nn.Module):
        def forward(self, a, b, flag):
            return a * b, a * 3, flag

    return Two()


def record(library, replace):
    """Gradients that a full backward hook sees, and those that reach the inputs when it replaces them."""
    layer, seen = two_in_two_out(library), []

    def hook(module, grad_input, grad_output):
        for grads in (grad_input, grad_output):
            seen.append([None if g is None else g.tolist() for g in grads])
        return tuple(None if g is None else g * 2 for g in grad_input) if replace else None

    layer.register_full_backward_hook(hook)
    a, b = library.tensor([1.0, 2.0], requires_grad=True), library.tensor([3.0, 4.0], requires_grad=True)
    one, two, flag = layer(a, b, "flag")
    assert flag == "flag"
    (one.sum() + (two * two).sum()).backward()
    return seen, a.grad.tolist(), b.grad.tolist()


@needs_torch
@pytest.mark.parametrize("replace", [False, True])
def test_full_backward_hook_is_pytorchs(replace):
    assert record(mg, replace) == record(torch, replace)


def test_full_backward_hook_by_hand():
    seen, da, db = record(mg, replace=True)
    assert seen == [[[3.0 + 18.0, 4.0 + 36.0], [1.0, 2.0], None], [[1.0, 1.0], [6.0, 12.0], None]]
    assert (da, db) == ([42.0, 80.0], [2.0, 4.0])


def record_pre(library, needs_input_grad):
    """A backward pre-hook that triples, then what the full hook sees; with and without a gradient of the input."""
    layer, seen = library.nn.Linear(1, 1, bias=False), []
    layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 3,))
    layer.register_full_backward_hook(
        lambda module, grad_input, grad_output: seen.append((grad_input[0] is None, grad_output[0].tolist()))
    )
    layer(library.ones(1, 1, requires_grad=needs_input_grad)).sum().backward()
    return seen, layer.weight.grad.tolist()


@needs_torch
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # PyTorch's, without a gradient of the input
@pytest.mark.parametrize("needs_input_grad", [False, True])
def test_full_backward_pre_hook_is_pytorchs(needs_input_grad):
    expected = ([(not needs_input_grad, [[3.0]])], [[3.0]])
    assert record_pre(mg, needs_input_grad) == record_pre(torch, needs_input_grad) == expected


def test_backward_hooks_do_not_change_the_result():
    x = mg.randn(5, 4, requires_grad=True)
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    net(x).sum().backward()
    expected = [x.grad.tolist(), *(p.grad.tolist() for p in net.parameters())]
    x.grad = None
    net.zero_grad()
    calls = []
    for module in net.modules():
        module.register_full_backward_hook(lambda module, gi, go: calls.append(type(module).__name__))
    net(x).sum().backward()
    assert [x.grad.tolist(), *(p.grad.tolist() for p in net.parameters())] == expected
    assert calls == ["Linear", "Tanh", "Linear", "Sequential"]


def second_order(library):
    x = library.tensor([0.5], dtype=library.float64, requires_grad=True)
    layer = library.nn.Tanh()
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 2,))
    (first,) = library.autograd.grad(layer(x).sum(), x, create_graph=True)
    (second,) = library.autograd.grad(first.sum(), x)
    return [first.item(), second.item()]


@needs_torch
def test_second_order_through_backward_hooks_is_pytorchs():
    assert second_order(mg) == pytest.approx(second_order(torch), rel=1e-12)


def test_backward_hooks_without_gradients_or_with_a_wrong_output():
    layer = nn.Identity()
    layer.register_full_backward_hook(lambda *_: None)
    assert not layer(mg.ones(1)).requires_grad
    with mg.no_grad():
        assert not layer(mg.ones(1, requires_grad=True) * 2).requires_grad
    with pytest.raises(TypeError, match="Identity returned dict, a Tensor or a tuple was expected"):
        layer({})
    layer.register_full_backward_hook(lambda *_: (None, None))
    with pytest.raises(RuntimeError, match="returned 2 gradients, 1 were expected"):
        layer(mg.ones(1, requires_grad=True)).backward()
