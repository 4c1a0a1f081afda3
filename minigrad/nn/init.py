"""init: first values of parameters, written in place and outside the graph.

Reading order: the plain fills, then the laws that keep the variance of activations or gradients from layer to layer
(`xavier_*`, `kaiming_*`), which set the width of a uniform or normal distribution by the fans of the weight.
"""

import math

from minigrad import ops
from minigrad.dtypes import float32, float64
from minigrad.grad_mode import no_grad
from minigrad.tensor import Tensor

_LINEAR = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)
_GAINS = {**dict.fromkeys(_LINEAR, 1.0), "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What a layer's deviation is multiplied by, so that the nonlinearity behind it keeps the variance.

    Formula: 1 for linear, convolution and sigmoid, 5/3 for tanh, sqrt(2) for relu, 3/4 for selu,
        sqrt(2 / (1 + slope²)) for leaky_relu (slope = `param`, 0.01 unless given).
    Errors: ValueError for an unknown nonlinearity or a slope that is no number.
    Source: He et al., Delving Deep into Rectifiers, 2015, eq. 10 and 15 (relu, leaky_relu).

    >>> from minigrad import nn
    >>> nn.init.calculate_gain("leaky_relu", 1)
    1.0
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"[calculate_gain] the slope is {slope!r}, a number was expected")
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        expected = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"[calculate_gain] unknown nonlinearity {nonlinearity!r}, expected one of {expected}")
    return _GAINS[nonlinearity]


def _fill(tensor, values):
    with no_grad():
        return tensor.copy_(values)


def _drawn(draw, tensor, generator):
    """Random numbers for `tensor`, of its shape; two-byte floats are drawn as float32 and rounded once, by the copy."""
    return draw(tensor.shape, generator=generator, dtype=float64 if tensor.dtype == float64 else float32)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator=None) -> Tensor:
    """Fill with values drawn uniformly from [a, b).

    >>> import minigrad as mg
    >>> bool((mg.nn.init.uniform_(mg.zeros(100), 2, 3) >= 2).all())
    True
    """
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator=None) -> Tensor:
    """Fill with values drawn from N(mean, std²).

    >>> import minigrad as mg
    >>> mg.nn.init.normal_(mg.zeros(2), mean=4, std=0)
    tensor([4., 4.])
    """
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator=None
) -> Tensor:
    """Fill with values drawn from N(mean, std²) on condition that they lie in [a, b].

    Candidates are drawn until all elements have one: from the normal distribution where enough of it lies in [a, b],
    else uniformly from [a, b], each kept with a probability in proportion to its density.

    Errors: ValueError when a > b or std is negative.
    Source: von Neumann, Various Techniques Used in Connection with Random Digits, 1951 (rejection).

    >>> import minigrad as mg
    >>> w = mg.nn.init.trunc_normal_(mg.zeros(100), std=2.0, a=-1.0, b=1.0)
    >>> bool((w.abs() <= 1).all())
    True
    """
    if not (a <= b and std >= 0):
        raise ValueError(f"[trunc_normal_] found a={a}, b={b} and std={std}, a <= b and std >= 0 were expected")
    if std == 0 or a == b:
        return constant_(tensor, min(max(mean, a), b))
    likely = (math.erf((b - mean) / std / math.sqrt(2)) - math.erf((a - mean) / std / math.sqrt(2))) / 2
    draw = _normal_candidates if likely > 0.3 else _uniform_candidates
    values, kept = draw(tensor, mean, std, a, b, generator)
    while not kept.all():
        more, kept_more = draw(tensor, mean, std, a, b, generator)
        values, kept = ops.where(kept, values, more), kept | kept_more
    return _fill(tensor, values.clamp(a, b))


def _normal_candidates(tensor, mean, std, a, b, generator):
    values = _drawn(ops.randn, tensor, generator) * std + mean
    return values, (values >= a) & (values <= b)


def _uniform_candidates(tensor, mean, std, a, b, generator):
    values = _drawn(ops.rand, tensor, generator) * (b - a) + a
    densest = (min(max(mean, a), b) - mean) / std
    density = ((densest**2 - ((values - mean) / std) ** 2) / 2).exp()
    return values, _drawn(ops.rand, tensor, generator) < density


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value.

    >>> import minigrad as mg
    >>> mg.nn.init.constant_(mg.zeros(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity, so that a linear layer passes on as many inputs as it can.

    Errors: ValueError when it has not two dimensions.

    >>> import minigrad as mg
    >>> mg.nn.init.eye_(mg.zeros(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ValueError(f"[eye_] found a tensor of shape {tuple(tensor.shape)}, two dimensions were expected")
    return _fill(tensor, ops.eye(*tensor.shape, dtype=tensor.dtype))


# Laws that keep the variance -----------------------------------------------------------------------------------------


def _fans(op, tensor):
    """How many inputs feed an output of this weight, and how many outputs an input feeds."""
    if tensor.ndim < 2:
        raise ValueError(f"[{op}] found a tensor of shape {tuple(tensor.shape)}, at least two dimensions were expected")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator=None) -> Tensor:
    """Uniform in ±gain · sqrt(6 / (fan_in + fan_out)): activations and gradients both keep their variance, roughly.

    Errors: ValueError for less than two dimensions.
    Source: Glorot and Bengio, Understanding the Difficulty of Training Deep Feedforward Neural Networks, 2010, eq. 16.

    >>> import minigrad as mg
    >>> w = mg.nn.init.xavier_uniform_(mg.zeros(3, 3))
    >>> bool((w.abs() <= 1).all())
    True
    """
    bound = math.sqrt(3) * _xavier_std("xavier_uniform_", tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator=None) -> Tensor:
    """N(0, gain² · 2 / (fan_in + fan_out)): activations and gradients both keep their variance, roughly.

    Errors: ValueError for less than two dimensions.
    Source: Glorot and Bengio, Understanding the Difficulty of Training Deep Feedforward Neural Networks, 2010, eq. 12.

    >>> import minigrad as mg
    >>> mg.nn.init.xavier_normal_(mg.zeros(3, 3), gain=0).abs().max()
    tensor(0.)
    """
    return normal_(tensor, 0.0, _xavier_std("xavier_normal_", tensor, gain), generator)


def _xavier_std(op, tensor, gain):
    return gain * math.sqrt(2 / max(1, sum(_fans(op, tensor))))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator=None
) -> Tensor:
    """Uniform in ±gain · sqrt(3 / fan): keeps the variance through rectifiers.

    Args:
        a: negative slope of the leaky_relu behind the layer.
        mode: "fan_in" keeps the variance of the activations, "fan_out" that of the gradients.
        nonlinearity: what is behind the layer, see `calculate_gain`.
    Errors: ValueError for an unknown mode or nonlinearity, or less than two dimensions.
    Source: He et al., Delving Deep into Rectifiers, 2015, eq. 10 to 15.

    >>> import minigrad as mg
    >>> w = mg.nn.init.kaiming_uniform_(mg.zeros(4, 6))
    >>> bool((w.abs() <= 1).all())
    True
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator=None
) -> Tensor:
    """N(0, gain² / fan): keeps the variance through rectifiers.

    Arguments, errors and source as in `kaiming_uniform_`.

    >>> import minigrad as mg
    >>> mg.nn.init.kaiming_normal_(mg.zeros(4, 6), mode="fan_out", nonlinearity="relu").shape
    (4, 6)
    """
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def _kaiming_std(op, tensor, a, mode, nonlinearity):
    fans = dict(zip(("fan_in", "fan_out"), _fans(op, tensor), strict=True))
    if mode not in fans:
        raise ValueError(f"[{op}] mode is {mode!r}, 'fan_in' or 'fan_out' was expected")
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, fans[mode]))
