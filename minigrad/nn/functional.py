"""functional: the ops that PyTorch keeps in `torch.nn.functional`. An explicit list; the code is in `minigrad.ops`."""

from minigrad.ops import gelu, linear, log_softmax, relu, sigmoid, softmax, tanh

__all__ = ["gelu", "linear", "log_softmax", "relu", "sigmoid", "softmax", "tanh"]
