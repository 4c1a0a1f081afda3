"""Gradient clipping and parameter vectors."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.nn.utils import (
    clip_grad_norm_,
    clip_grad_value_,
    get_total_norm,
    parameters_to_vector,
    vector_to_parameters,
)

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")


def with_gradients(library, arrays):
    """A parameter for each array, which is its gradient (or None)."""
    params = []
    for array in arrays:
        p = library.zeros(array.shape if array is not None else (2,), requires_grad=True)
        if array is not None:
            p.grad = library.tensor(array)
        params.append(p)
    return params


def arrays(seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    found = [(scale * rng.standard_normal(shape)).astype(np.float32) for shape in [(3,), (2, 4), ()]]
    return [*found, None]


NORMS = [2.0, 1.0, 3.5, 0.5, math.inf, -math.inf, 0]


@needs_torch
@pytest.mark.parametrize("norm_type", NORMS)
@pytest.mark.parametrize("max_norm", [0.1, 100.0])
def test_clip_grad_norm_is_pytorchs(norm_type, max_norm):
    mine, other = (with_gradients(library, arrays()) for library in (mg, torch))
    found = clip_grad_norm_(mine, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(other, max_norm, norm_type)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for p, q in zip(mine[:3], other[:3], strict=True):
        np.testing.assert_allclose(p.grad.tolist(), q.grad.tolist(), rtol=1e-5)


@given(scale=st.floats(1e-3, 1e3), max_norm=st.floats(1e-2, 1e2), norm_type=st.sampled_from([1.0, 2.0, math.inf]))
def test_the_norm_afterwards_is_at_most_max_norm(scale, max_norm, norm_type):
    params = with_gradients(mg, arrays(scale=scale))
    before = clip_grad_norm_(iter(params), max_norm, norm_type).item()
    after = get_total_norm([p.grad for p in params[:3]], norm_type).item()
    assert after == pytest.approx(min(before, max_norm * before / (before + 1e-6)), rel=1e-4)


def test_clipping_works_in_place_and_keeps_dtypes():
    wide, narrow = mg.zeros(2, dtype=mg.float64, requires_grad=True), mg.zeros(1, dtype=mg.float16, requires_grad=True)
    wide.grad, narrow.grad = mg.tensor([300.0, 0.0], dtype=mg.float64), mg.tensor([400.0], dtype=mg.float16)
    memory = wide.grad
    assert clip_grad_norm_([wide, narrow], 5.0).item() == pytest.approx(500.0)
    assert wide.grad is memory and wide.grad.tolist() == pytest.approx([3.0, 0.0])
    assert narrow.grad.dtype == mg.float16 and narrow.grad.tolist() == [4.0]


def test_nothing_to_clip():
    assert clip_grad_norm_([], 1.0).item() == 0.0
    assert clip_grad_norm_(mg.zeros(1, requires_grad=True), 1.0).item() == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_norm_that_is_not_finite(value):
    p = with_gradients(mg, [np.array([1.0, value], np.float32)])
    with pytest.raises(RuntimeError, match=r"2.0-norm is (nan|inf), a finite one was expected"):
        clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert p[0].grad.tolist()[0] == 1.0
    assert not math.isfinite(clip_grad_norm_(p, 1.0).item())


def test_clip_grad_value():
    params = with_gradients(mg, [np.array([-3.0, 0.5, 3.0], np.float32), None])
    clip_grad_value_(params, 1.0)
    assert params[0].grad.tolist() == [-1.0, 0.5, 1.0]
    clip_grad_value_(params[0], 0.25)
    assert params[0].grad.tolist() == [-0.25, 0.25, 0.25]


def test_parameters_to_vector_and_back():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = parameters_to_vector(net.parameters())
    assert vector.shape == (13,)
    vector.sum().backward()
    assert net[0].weight.grad.tolist() == [[1.0, 1.0]] * 3
    values = mg.arange(13, dtype=mg.float32)
    vector_to_parameters(values, net.parameters())
    assert net[1].weight.tolist() == [[9.0, 10.0, 11.0]] and net[1].bias.is_leaf
    assert parameters_to_vector(net.parameters()).tolist() == values.tolist()
    values[12] = -1.0
    assert net[1].bias.tolist() == [-1.0]
    with pytest.raises(RuntimeError, match=r"vec has shape \(12,\), \(13,\) was expected"):
        vector_to_parameters(values[:12], net.parameters())
    with pytest.raises(TypeError, match="vec is list"):
        vector_to_parameters([1.0], net.parameters())
