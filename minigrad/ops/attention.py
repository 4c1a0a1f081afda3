"""scaled_dot_product_attention: y = P v, P = softmax(s q k^T + mask) over the keys

    dv = P^T dy        dS = P (dP - rowsum(dy y)) with dP = dy v^T        dq = s dS k, dk = s dS^T q

Kernels: csrc/cpu/attention.cpp, on blocks of query rows. P is never stored: backward computes it again from lse, the
logarithm of the sum of the exponentials of each row. A row that may look at no key gives zeros; its lse is +inf, so
that its P comes out as zero.

Source: Vaswani et al., "Attention is all you need", 2017; Dao et al., "FlashAttention", 2022 (the recomputation).
"""

import math

from minigrad.autograd import Op
from minigrad.backend.array import array_module, contiguous, empty, largest
from minigrad.dtypes import bool_, float32, float64
from minigrad.kernel import kernel
from minigrad.ops.creation import tensor
from minigrad.ops.dropout import dropout
from minigrad.ops.elementwise import broadcast_sizes, check_tensor
from minigrad.ops.loss import check_floating
from minigrad.ops.matmul import matmul
from minigrad.ops.softmax import softmax
from minigrad.ops.where import masked_fill, where
from minigrad.tensor import wrap

# Kernels: q (batch.., L, E), k (batch.., S, E), v (batch.., S, Ev), y (batch.., L, Ev), their rows in one piece, lse
# (batch.., L) in float64. The mask is added to the scores: None, or (batch.., L, S) in any strides.


def _scores(q, k, mask, scale, causal):
    xp = array_module(q)
    s = q.astype(float64) @ k.swapaxes(-1, -2).astype(float64) * scale
    if mask is not None:
        s = s + mask
    return xp.where(xp.tri(*s.shape[-2:], dtype=bool), s, -xp.inf) if causal else s


@kernel(outs=2)
def attention_forward(y, lse, q, k, v, mask, scale, causal):
    xp = array_module(q)
    s = _scores(q, k, mask, scale, causal)
    peak = largest(s, -1)
    e = xp.exp(s - xp.where(peak == -xp.inf, 0, peak))
    total = e.sum(-1, keepdims=True)
    y[...] = e / xp.where(total == 0, 1, total) @ v
    lse[...] = xp.where(total == 0, xp.inf, xp.log(total) + peak)[..., 0]


@kernel(outs=3)
def attention_backward(dq, dk, dv, dy, y, lse, q, k, v, mask, scale, causal):
    xp = array_module(q)
    p = xp.exp(_scores(q, k, mask, scale, causal) - lse[..., None])
    ds = p * (dy @ v.swapaxes(-1, -2) - (dy * y).sum(-1, keepdims=True, dtype=float64)) * scale
    dq[...] = ds @ k
    dk[...] = ds.swapaxes(-1, -2) @ q
    dv[...] = p.swapaxes(-1, -2) @ dy


class Attention(Op):
    """q (..., L, E), k (..., S, E), v (..., S, Ev) with equal batches; mask broadcasts to (..., L, S) or is None."""

    def forward(self, q, k, v, mask, scale, causal):
        q, k, v = map(_in_rows, (q, k, v))
        if mask is not None:
            mask = array_module(q).broadcast_to(mask, (*q.shape[:-1], k.shape[-2]))
        y, lse = _like(q, v.shape[-1]), empty(q.shape[:-1], float64)
        attention_forward(y, lse, q, k, v, mask, scale, causal)
        self.saved, self.options = (y, lse, q, k, v, mask), (scale, causal)
        return y

    def backward(self, dy):
        grads = [_like(x, x.shape[-1]) for x in self.saved[2:5]]
        attention_backward(*grads, _in_rows(dy), *self.saved, *self.options)
        return grads

    @staticmethod
    def composed(q, k, v, mask, scale, causal, dropout_p=0.0):
        s = matmul(q, k.transpose(-1, -2)) * scale
        if mask is not None:
            s = s + mask
        xp = array_module(s.array)
        if causal:
            later = wrap(~xp.tri(*s.shape[-2:], dtype=bool)).to(device=s.device)
            s = masked_fill(s, later, -math.inf)
        blind = wrap(largest(s.array, -1) == -xp.inf)
        p = masked_fill(softmax(masked_fill(s, blind, 0), -1), blind, 0)
        return matmul(dropout(p, dropout_p), v)


def _in_rows(x):
    """`x` with the numbers of each row side by side."""
    return x if x.strides[-1] == x.itemsize else contiguous(x)


def _like(x, cols):
    """An array (..., rows, cols) for x (..., rows, any); where the heads of x lie side by side, within its rows, so do
    its: then neither splitting the heads nor joining them costs a copy."""
    *batch, heads, rows, _ = x.shape if x.ndim > 2 else (1, *x.shape)
    if x.ndim > 2 and 0 < x.strides[-3] < x.strides[-2]:
        return empty((*batch, rows, heads, cols), x.dtype).swapaxes(-3, -2)
    return empty((*x.shape[:-1], cols), x.dtype)


# What the arguments may be -------------------------------------------------------------------------------------------

_OP = "scaled_dot_product_attention"


def _check(q, k, v, mask, causal):
    for name, x in (("query", q), ("key", k), ("value", v)):
        check_floating(_OP, x, name)
    if not q.dtype is k.dtype is v.dtype:
        raise RuntimeError(
            f"[{_OP}] query, key and value must have one dtype, found {q.dtype}, {k.dtype} and {v.dtype}"
        )
    shapes = f"query {q.shape}, key {k.shape}, value {v.shape}"
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise RuntimeError(f"[{_OP}] found {shapes}, expected at least 2 dimensions in each")
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise RuntimeError(f"[{_OP}] found {shapes}, expected (..., L, E), (..., S, E) and (..., S, Ev)")
    if mask is not None and causal:
        raise RuntimeError(f"[{_OP}] found both attn_mask and is_causal=True, expected one of them")


def _repeat_heads(query, x):
    """Each head of `x` for as many neighbouring heads of `query` as there are to one of `x`."""
    if x.ndim < 3 or query.ndim < 3:
        raise IndexError(f"[{_OP}] enable_gqa needs a dimension of heads, found query {query.shape} and {x.shape}")
    times, rest = divmod(query.shape[-3], max(1, x.shape[-3]))
    if rest:
        raise RuntimeError(
            f"[{_OP}] {query.shape[-3]} query heads are no multiple of {x.shape[-3]} heads of key or value"
        )
    shape = x.shape
    spread = x.unsqueeze(-3).expand(*shape[:-2], times, *shape[-2:])
    return spread.reshape(*shape[:-3], shape[-3] * times, *shape[-2:])


def _one_batch(*tensors):
    """The tensors with equal batch dimensions."""
    batch = broadcast_sizes(_OP, *[x.shape[:-2] for x in tensors])
    return [x if x.shape[:-2] == batch else x.expand(*batch, *x.shape[-2:]) for x in tensors]


def _as_added(mask, query, keys):
    """The mask as numbers to add to the scores: 0 where a bool mask holds, else -inf."""
    check_tensor(_OP, mask, "attn_mask")
    if mask.dtype not in (bool_, float32, query.dtype):
        raise RuntimeError(f"[{_OP}] attn_mask must be bool or {query.dtype}, found {mask.dtype}")
    scores = (*query.shape[:-1], keys)
    if mask.ndim > len(scores) or broadcast_sizes(_OP, mask.shape, scores) != scores:
        raise RuntimeError(f"[{_OP}] attn_mask has shape {mask.shape}, which does not broadcast to {scores}")
    if mask.dtype is bool_:
        return where(mask, 0.0, tensor(-math.inf, dtype=query.dtype))
    return mask.to(query.dtype)


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """y = dropout(softmax(scale query key^T + mask)) value, the softmax over the keys

    Args:
        query, key, value (Tensor): (..., L, E), (..., S, E) and (..., S, Ev); the leading dimensions are broadcast.
        attn_mask (Tensor, optional): broadcast to (..., L, S): bool, True where a query may look at a key; or numbers
            that are added to the scores.
        dropout_p (float): the probability with which an element of P is set to 0 (always: there is no `training` here).
        is_causal (bool): query i looks at keys 0 to i only.
        scale (float, optional): 1 / sqrt(E) if None.
        enable_gqa (bool): key and value may have fewer heads (dimension -3) than query: each serves several neighbours.

    Shape: output (..., L, Ev). A query that may look at no key gives zeros.
    Errors: RuntimeError for shapes or dtypes that do not fit, p outside [0, 1], or both attn_mask and is_causal.
    Source: Vaswani et al., "Attention is all you need", 2017.

    >>> import minigrad as mg
    >>> q, v = mg.zeros(2, 4), mg.tensor([[1.0], [3.0]])
    >>> mg.nn.functional.scaled_dot_product_attention(q, q, v)
    tensor([[2.],
            [2.]])
    >>> mg.nn.functional.scaled_dot_product_attention(q, q, v, is_causal=True)
    tensor([[1.],
            [2.]])
    """
    _check(query, key, value, attn_mask, is_causal)
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(f"[{_OP}] dropout_p must lie in [0, 1], found {dropout_p}")
    if enable_gqa:
        key, value = _repeat_heads(query, key), _repeat_heads(query, value)
    query, key, value = _one_batch(query, key, value)
    mask = None if attn_mask is None else _as_added(attn_mask, query, key.shape[-2])
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    if dropout_p or (mask is not None and mask.requires_grad):
        return Attention.composed(query, key, value, mask, scale, is_causal, dropout_p)
    return Attention.apply(query, key, value, mask, float(scale), bool(is_causal))


__all__ = ["scaled_dot_product_attention"]
