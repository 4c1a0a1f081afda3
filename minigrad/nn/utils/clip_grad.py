"""clip_grad: bound gradients, all together by their norm or each element by its size. Both change `grad` in place."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite

from minigrad import ops
from minigrad.dtypes import HALVES, float32
from minigrad.grad_mode import no_grad
from minigrad.ops.clip_grad import clip_all, norm_of
from minigrad.tensor import Tensor, wrap


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients by one factor, so that their norm, taken as of one long vector, is at most `max_norm`.

    Formula: g = g · min(1, max_norm / (norm + 1e-6)).
    Args: norm_type: the p of the p-norm, which may be inf. error_if_nonfinite: raise if the norm is inf or nan.
    Returns: the norm before.
    Errors: RuntimeError if the norm is not finite and `error_if_nonfinite`.
    Source: Pascanu, Mikolov and Bengio, On the Difficulty of Training Recurrent Neural Networks, 2013.

    >>> import minigrad as mg
    >>> w = mg.zeros(2, requires_grad=True)
    >>> w.grad = mg.tensor([3.0, 4.0])
    >>> mg.nn.utils.clip_grad_norm_([w], max_norm=1.0), w.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    grads = _gradients(parameters)
    norm = get_total_norm(grads, norm_type, error_if_nonfinite)
    if grads:
        clip_all("clip_grad_norm_", [g.array for g in grads], norm.array, float(max_norm))
    return norm


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring every element of the gradients into [-clip_value, clip_value].

    >>> import minigrad as mg
    >>> w = mg.zeros(2, requires_grad=True)
    >>> w.grad = mg.tensor([0.5, -7.0])
    >>> mg.nn.utils.clip_grad_value_([w], 1.0)
    >>> w.grad
    tensor([ 0.5000, -1.0000])
    """
    with no_grad():
        for g in _gradients(parameters):
            g.clamp_(-clip_value, clip_value)


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """The p-norm of all `tensors` as one long vector.

    >>> import minigrad as mg
    >>> mg.nn.utils.get_total_norm([mg.tensor([3.0]), mg.tensor([-4.0])], norm_type=1)
    tensor(7.)
    """
    tensors = [t for t in tensors if t.numel()]
    if not tensors:
        total = ops.tensor(0.0)
    elif norm_type == 2:
        total = wrap(norm_of([t.array for t in tensors]))
    else:
        with no_grad():
            total = _norm(ops.stack([_norm(t, norm_type) for t in tensors]), norm_type)
    if error_if_nonfinite and not isfinite(total.item()):
        raise RuntimeError(f"[clip_grad_norm_] the {norm_type}-norm is {total.item()}, a finite one was expected")
    return total


def _norm(x, p):
    x = x.to(float32) if x.dtype in HALVES else x
    size = x.abs()
    if p in (inf, -inf):
        return size.max() if p > 0 else size.min()
    if p == 0:
        return (size != 0).sum().to(x.dtype)
    return (size**p).sum() ** (1 / p)


def _gradients(parameters):
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in parameters if p.grad is not None]
