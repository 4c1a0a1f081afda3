"""vector: many parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from minigrad import ops
from minigrad.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters one after the other in one vector; differentiable.

    >>> import minigrad as mg
    >>> mg.nn.utils.parameters_to_vector([mg.zeros(1, 2), mg.ones(3)])
    tensor([0., 0., 1., 1., 1.])
    """
    return ops.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make `vec` the memory of the parameters, one after the other; what is written to it later is seen by them.

    Errors: TypeError when `vec` is no Tensor; RuntimeError when it has not as many elements as the parameters.

    >>> import minigrad as mg
    >>> layer = mg.nn.Linear(2, 1)
    >>> mg.nn.utils.vector_to_parameters(mg.tensor([1.0, 2.0, 3.0]), layer.parameters())
    >>> layer.weight.tolist(), layer.bias.tolist()
    ([[1.0, 2.0]], [3.0])
    """
    parameters = list(parameters)
    if not isinstance(vec, Tensor):
        raise TypeError(f"[vector_to_parameters] vec is {type(vec).__name__}, a Tensor was expected")
    total = sum(p.numel() for p in parameters)
    if vec.shape != (total,):
        raise RuntimeError(f"[vector_to_parameters] vec has shape {tuple(vec.shape)}, ({total},) was expected")
    start, values = 0, vec.detach()
    for p in parameters:
        p.data = values[start : start + p.numel()].reshape(p.shape).to(p.dtype)
        start += p.numel()
