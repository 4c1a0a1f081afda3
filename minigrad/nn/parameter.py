"""Parameter: a Tensor that a Module registers when it is assigned to one of its attributes."""

from collections.abc import Iterable

from minigrad import recording
from minigrad.tensor import Tensor


class Parameter(Tensor):
    """A leaf Tensor to be trained; it shares memory with `data`.

    Args:
        data: a Tensor (default: an empty one).
        requires_grad: whether backward gives it a gradient; False for a frozen parameter.
    Errors: TypeError when `data` is not a Tensor; RuntimeError when a gradient is wanted and the dtype is not floating.

    >>> import minigrad as mg
    >>> mg.nn.Parameter(mg.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True):
        data = Tensor() if data is None else data
        if not isinstance(data, Tensor):
            raise TypeError(f"[Parameter] data is {type(data).__name__}, a Tensor was expected")
        self.array = data.array
        self.requires_grad_(requires_grad)

    def __repr__(self):
        return f"Parameter containing:\n{super().__repr__()}"


def clear_grads(tensors: Iterable[Tensor], set_to_none: bool) -> None:
    """Forget the gradients of `tensors`, or fill them with zeros: `zero_grad` of a Module and of an Optimizer."""
    for tensor in tensors:
        if recording.recorder is not None:
            recording.touched(tensor, set_to_none or tensor.grad is None)
        if set_to_none or tensor.grad is None:
            tensor.grad = None
        else:
            tensor.grad = tensor.grad.detach().zero_()
