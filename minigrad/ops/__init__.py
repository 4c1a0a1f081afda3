"""ops: what can be computed and differentiated, one file per op family, in order of increasing complexity.

The names here are the functions of `minigrad.<name>`; those that PyTorch keeps in `nn.functional` are listed there. The
formulas of the elementwise tables run on Tensors with this module in the place of numpy.
"""

from minigrad.ops import operators as _operators
from minigrad.ops.batch_norm import batch_norm
from minigrad.ops.batch_norm_relu_pool import batch_norm_relu_pool
from minigrad.ops.binary import add, div, eq, ge, gt, le, lt, maximum, minimum, mul, ne, pow, sub
from minigrad.ops.cast import to
from minigrad.ops.clamp import clamp
from minigrad.ops.conv2d import conv2d
from minigrad.ops.conv2d_relu_pool import conv2d_relu_pool
from minigrad.ops.creation import (
    as_tensor,
    empty_like,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    is_tensor,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from minigrad.ops.creation import empty_tensor as empty
from minigrad.ops.cumulative import cumprod, cumsum
from minigrad.ops.dropout import dropout
from minigrad.ops.extrema import amax, amin, argmax, argmin, max, min
from minigrad.ops.gather import gather, index_select, masked_select, nonzero, scatter, scatter_add, take_along_dim
from minigrad.ops.index_put import index_put
from minigrad.ops.inplace import overwrite
from minigrad.ops.join import cat, concat, concatenate, flip, roll, stack
from minigrad.ops.layer_norm import layer_norm
from minigrad.ops.linear import linear
from minigrad.ops.logic import (
    all,
    allclose,
    any,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    equal,
    isfinite,
    isinf,
    isnan,
    logical_not,
)
from minigrad.ops.logsumexp import logsumexp
from minigrad.ops.matmul import bmm, matmul, mm
from minigrad.ops.max_pool2d import max_pool2d
from minigrad.ops.part import chunk, narrow, select, split, unbind
from minigrad.ops.permute import movedim, permute, t, transpose
from minigrad.ops.random import bernoulli, normal, rand, rand_like, randint, randint_like, randn, randn_like, randperm
from minigrad.ops.reduce import mean, prod, sum, sum_to_size
from minigrad.ops.rms_norm import rms_norm
from minigrad.ops.rounding import floor_divide, remainder
from minigrad.ops.sequence import arange, eye, linspace
from minigrad.ops.shape import (
    broadcast_to,
    clone,
    expand,
    expand_as,
    flatten,
    reshape,
    squeeze,
    unflatten,
    unsqueeze,
)
from minigrad.ops.softmax import log_softmax, softmax
from minigrad.ops.sort import argsort, kthvalue, sort, topk
from minigrad.ops.triangle import diag, tril, triu
from minigrad.ops.unary import abs, erf, exp, gelu, log, neg, relu, sigmoid, sign, silu, sqrt, tanh
from minigrad.ops.variance import std, var
from minigrad.ops.where import masked_fill, where

__all__ = [name for name, value in globals().items() if callable(value) and not name.startswith("_")]
