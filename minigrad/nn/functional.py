"""functional: the ops that PyTorch keeps in `torch.nn.functional`. An explicit list; the code is in `minigrad.ops`."""

from minigrad.ops import gelu, linear, log_softmax, relu, sigmoid, softmax, tanh
from minigrad.ops.embedding import embedding

__all__ = ["embedding", "gelu", "linear", "log_softmax", "relu", "sigmoid", "softmax", "tanh"]
