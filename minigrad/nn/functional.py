"""functional: the ops that PyTorch keeps in `torch.nn.functional`. An explicit list; the code is in `minigrad.ops`."""

from minigrad.ops import dropout, gelu, linear, log_softmax, relu, sigmoid, silu, softmax, tanh
from minigrad.ops.attention import scaled_dot_product_attention
from minigrad.ops.batch_norm import batch_norm
from minigrad.ops.binary_cross_entropy import binary_cross_entropy, binary_cross_entropy_with_logits
from minigrad.ops.conv2d import conv2d
from minigrad.ops.cross_entropy import cross_entropy
from minigrad.ops.embedding import embedding
from minigrad.ops.layer_norm import layer_norm
from minigrad.ops.max_pool2d import max_pool2d
from minigrad.ops.mse_loss import mse_loss
from minigrad.ops.nll_loss import nll_loss
from minigrad.ops.rms_norm import rms_norm

__all__ = [
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cross_entropy",
    "dropout",
    "embedding",
    "gelu",
    "layer_norm",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "relu",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "softmax",
    "tanh",
]
