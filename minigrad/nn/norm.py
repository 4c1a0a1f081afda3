"""norm: BatchNorm1d and BatchNorm2d (over the batch), LayerNorm and RMSNorm (over the features of each sample)."""

from minigrad.dtypes import int64
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops import empty, ones, tensor, zeros


class BatchNorm(Module):
    """What BatchNorm1d and BatchNorm2d share; they differ in the number of dimensions they take.

    Formula: y = (x - mean) / sqrt(var + eps) · weight + bias, for each channel over the batch and all positions.
        In training mean and (biased) variance are the batch's, and the running ones move towards them:
        running = (1 - momentum) running + momentum batch (with the unbiased variance). In evaluation the running ones
        are used.
    """

    dims = ()  # numbers of dimensions an input may have

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        register_affine(self, num_features, affine, bias, device, dtype)
        for name, make in (("running_mean", zeros), ("running_var", ones)):
            statistic = make(num_features, dtype=dtype, device=device) if track_running_stats else None
            self.register_buffer(name, statistic)
        self.register_buffer("num_batches_tracked", tensor(0, dtype=int64) if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the batches seen: mean 0, variance 1."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and the batches seen forgotten."""
        self.reset_running_stats()
        reset_affine(self)

    def forward(self, x):
        return F.batch_norm(*self.arguments(x))

    def arguments(self, x):
        """Those of `F.batch_norm` for an input; in training the batch is counted in."""
        self._check_input(x)
        use_batch = self.training or self.running_mean is None
        momentum = self._count_batch() if self.training and self.track_running_stats else 0.0
        running = (self.running_mean, self.running_var)
        return x, *running, self.weight, self.bias, use_batch, momentum, self.eps

    def _count_batch(self):
        """Count a batch in; the weight of its statistics. Without a momentum all batches weigh the same."""
        self.num_batches_tracked.add_(1)
        return 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum

    def _check_input(self, x):
        if x.ndim not in self.dims:
            name, dims = type(self).__name__, " or ".join(map(str, self.dims))
            raise ValueError(f"[{name}] found an input of shape {tuple(x.shape)}, {dims} dimensions were expected")
        if x.shape[1] != self.num_features:
            name, found = type(self).__name__, tuple(x.shape)
            raise RuntimeError(f"[{name}] found an input of shape {found}, {self.num_features} channels were expected")

    def extra_repr(self):
        head = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
        return f"{head}, bias={self.bias is not None}, track_running_stats={self.track_running_stats}"


class BatchNorm1d(BatchNorm):
    """Batch normalisation of feature vectors, or of channels along a sequence.

    Formula: y = (x - mean) / sqrt(var + eps) · weight + bias, for each feature over the batch (and all positions).
    Args:
        num_features: C.
        eps: added to the variance.
        momentum: weight of the newest batch in the running statistics; None for the plain mean of all batches.
        affine: whether there are weight and bias; bias: False for a weight only.
        track_running_stats: keep running statistics for evaluation; without them the batch's are always used.
    Shape: input (N, C) or (N, C, L), output the same.
    Errors: ValueError for another number of dimensions, or for one value per channel in training; RuntimeError for
        another C.
    Source: Ioffe and Szegedy, Batch Normalization, 2015.

    >>> import minigrad as mg
    >>> mg.nn.BatchNorm1d(2)(mg.tensor([[1.0, 5.0], [3.0, 5.0]])).detach()
    tensor([[-1.0000,  0.0000],
            [ 1.0000,  0.0000]])
    """

    dims = (2, 3)


class BatchNorm2d(BatchNorm):
    """Batch normalisation of images: each channel over the batch and all pixels.

    Formula: y = (x - mean) / sqrt(var + eps) · weight + bias, for each channel.
    Args: as of BatchNorm1d.
    Shape: input (N, C, H, W), output the same.
    Errors: as of BatchNorm1d.
    Source: Ioffe and Szegedy, Batch Normalization, 2015.

    >>> import minigrad as mg
    >>> mg.nn.BatchNorm2d(3)(mg.zeros(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    dims = (4,)


class LayerNorm(Module):
    """Normalisation of each sample over its last dimensions.

    Formula: y = (x - mean) / sqrt(var + eps) · weight + bias, mean and (biased) variance over `normalized_shape`.
    Args:
        normalized_shape: the last dimensions of the input, an int for one.
        eps: added to the variance.
        elementwise_affine: whether there is a weight.
        bias: whether there is a bias too.
    Shape: input (*, normalized_shape), output the same.
    Errors: RuntimeError when the last dimensions of the input are others.
    Source: Ba, Kiros and Hinton, Layer Normalization, 2016.

    >>> import minigrad as mg
    >>> mg.nn.LayerNorm(2, eps=0)(mg.tensor([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        shape = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        self.normalized_shape, self.eps, self.elementwise_affine = tuple(shape), eps, elementwise_affine
        register_affine(self, self.normalized_shape, elementwise_affine, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        reset_affine(self)

    def forward(self, x):
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        bias = self.bias is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={bias}"


class RMSNorm(Module):
    """Division of each sample by its root mean square over the last dimensions.

    Formula: y = x / sqrt(mean(x²) + eps) · weight, the mean over `normalized_shape`.
    Args:
        normalized_shape: the last dimensions of the input, an int for one.
        eps: added to the mean; None for the smallest step above 1 of the input's dtype (float32's for smaller ones).
        elementwise_affine: whether there is a weight.
    Shape: input (*, normalized_shape), output the same.
    Errors: RuntimeError when the last dimensions of the input are others.
    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.

    >>> import minigrad as mg
    >>> mg.nn.RMSNorm(2, eps=0)(mg.tensor([[1.0, 7.0]])).tolist()
    [[0.20000000298023224, 1.399999976158142]]
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        shape = normalized_shape if isinstance(normalized_shape, (tuple, list)) else (normalized_shape,)
        self.normalized_shape, self.eps, self.elementwise_affine = tuple(shape), eps, elementwise_affine
        weight = Parameter(empty(self.normalized_shape, dtype=dtype, device=device)) if elementwise_affine else None
        self.register_parameter("weight", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


def register_affine(module, shape, affine, bias, device, dtype):
    """Weight and bias of a normalisation, each a parameter or None."""
    for name, wanted in (("weight", affine), ("bias", affine and bias)):
        module.register_parameter(name, Parameter(empty(shape, dtype=dtype, device=device)) if wanted else None)


def reset_affine(module):
    """Weight 1, bias 0, where there are any."""
    if module.weight is not None:
        init.ones_(module.weight)
    if module.bias is not None:
        init.zeros_(module.bias)
