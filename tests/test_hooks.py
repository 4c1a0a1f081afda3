"""Hooks on tensors: gradients seen, replaced, kept, and announced as final."""

import numpy as np
import pytest

import minigrad as mg


def leaf(*values):
    return mg.tensor([float(v) for v in values], requires_grad=True)


def test_a_hook_sees_the_finished_gradient_once():
    x, seen = leaf(1, 2), []
    h = x * 2
    h.register_hook(lambda g: seen.append(g.tolist()))
    (h * 3 + h * 4).sum().backward()
    assert seen == [[7, 7]]


def test_a_hook_replaces_the_gradient():
    x = leaf(1, 2)
    h = x * 2
    h.register_hook(lambda g: g * 10)
    h.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: -g)
    h.sum().backward()
    assert x.grad.tolist() == [-22, -22]


def test_hooks_can_be_removed():
    x = leaf(1)
    first, second = x.register_hook(lambda g: g * 2), x.register_hook(lambda g: g * 5)
    first.remove()
    first.remove()
    (x * 1).backward()
    assert x.grad.tolist() == [5]
    second.remove()
    x.grad = None
    (x * 1).backward()
    assert x.grad.tolist() == [1]


def test_a_replacement_must_fit():
    for wrong in (mg.ones(3), 1.0, [1.0]):
        x = leaf(1, 2)
        x.register_hook(lambda g, wrong=wrong: wrong)
        with pytest.raises(RuntimeError, match=r"\[hook\] must return None or a Tensor of shape \(2,\), found"):
            x.sum().backward()


def test_what_a_hook_keeps_is_not_changed_later():
    x, kept = leaf(1), []
    x.register_hook(kept.append)
    (x * 2).backward()
    (x * 2).backward()
    assert [g.tolist() for g in kept] == [[2], [2]]
    assert x.grad.tolist() == [4]


def test_a_hook_may_return_what_it_was_given():
    x = leaf(1)
    x.register_hook(lambda g: g)
    for _ in range(2):
        (x * 2).backward()
    assert x.grad.tolist() == [4]


def test_hooks_run_in_grad_and_on_each_output():
    x = leaf(3, 1, 2)
    values, _ = x.view(1, 3).max(1)
    values.register_hook(lambda g: g * 5)
    assert mg.autograd.grad(values, x)[0].tolist() == [5, 0, 0]


def test_hooks_differentiate_with_create_graph():
    x = leaf(2)
    h = x * x
    h.register_hook(lambda g: g * x)
    (dx,) = mg.autograd.grad(h, x, create_graph=True)
    assert dx.tolist() == [8]
    assert mg.autograd.grad(dx, x)[0].tolist() == [8]


def test_hooks_record_nothing_otherwise():
    x, tracked = leaf(2), []
    h = x * x
    h.register_hook(lambda g: tracked.append((mg.is_grad_enabled(), (g * x).requires_grad)))
    h.backward()
    assert tracked == [(False, False)]


def test_retain_grad():
    x = leaf(1, 2)
    h = x * 3
    h.retain_grad()
    h.retain_grad()
    (h * h).sum().backward(retain_graph=True)
    assert h.grad.tolist() == [6, 12]
    (h * h).sum().backward()
    assert h.grad.tolist() == [12, 24]
    assert x.grad.tolist() == [36, 72]
    x.retain_grad()


def test_retained_gradients_are_those_after_the_hooks():
    x = leaf(1)
    h = x * 3
    h.register_hook(lambda g: g * 10)
    h.retain_grad()
    h.backward()
    assert (h.grad.tolist(), x.grad.tolist()) == ([10], [30])


def test_tensors_without_gradient_have_no_hooks():
    with pytest.raises(RuntimeError, match=r"\[register_hook\] the tensor does not require a gradient"):
        mg.ones(1).register_hook(print)
    for x in (mg.ones(1), leaf(1) * 2):
        with pytest.raises(RuntimeError, match=r"\[register_post_accumulate_grad_hook\] only for leaf tensors"):
            x.register_post_accumulate_grad_hook(print)


# The hook that says that a leaf's gradient is final ------------------------------------------------------------------


def test_final_comes_before_the_end():
    """The last layer's gradient is announced while those of the layers below are still to come."""
    layers, order, unfinished = [leaf(2) for _ in range(4)], [], []
    for i, w in enumerate(layers):

        def final(tensor, i=i, w=w):
            assert tensor is w
            order.append(i)
            unfinished.append([j for j, other in enumerate(layers) if other.grad is None])

        w.register_post_accumulate_grad_hook(final)
    h = mg.ones(1)
    for w in layers:
        h = h * w
    h.backward()
    assert order == [3, 2, 1, 0]
    assert unfinished == [[0, 1, 2], [0, 1], [0], []]


def test_final_comes_once_for_a_leaf_used_often():
    x, seen = leaf(2), []
    x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.tolist()))
    h = x
    for _ in range(3):
        h = h * x
    h.backward()
    assert seen == [[32]]
    (x * 1).backward()
    assert seen == [[32], [33]]


def test_final_hooks_may_step_and_clear():
    """An optimizer step inside backward: the gradient need not live on."""
    x = leaf(1)

    def step(tensor):
        with mg.no_grad():
            tensor.sub_(tensor.grad * 0.1)
        tensor.grad = None

    handle = x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    assert x.grad is None
    np.testing.assert_allclose(x.tolist(), [0.8])
    handle.remove()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2]


def test_final_hooks_run_for_the_inputs_asked_for():
    x, y, seen = leaf(1), leaf(2), []
    for t in (x, y):
        t.register_post_accumulate_grad_hook(seen.append)
    (x * y).backward(inputs=[y])
    assert seen == [y]
    mg.autograd.grad(x * y, [x, y])
    assert seen == [y]


def test_a_preassigned_buffer_is_complete_when_announced():
    flat, seen = mg.zeros(2), []
    x = leaf(1, 2)
    x.grad = flat
    x.register_post_accumulate_grad_hook(lambda t: seen.append(flat.tolist()))
    (x * x).sum().backward()
    assert seen == [[2, 4]]
