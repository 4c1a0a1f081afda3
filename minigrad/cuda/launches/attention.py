"""attention: a warp for each query, and back a warp for each query and then for each key; blocks of 256 columns."""

import math

import numpy as np

from minigrad.cuda import simulator
from minigrad.cuda.launches import Launch, blocks_for, launches, wide
from minigrad.cuda.launches.rows import ROWS_PER_BLOCK

BATCH_DIMS, COLUMNS = 4, 256
steps_type = np.dtype([("batch", "i8", BATCH_DIMS), ("row", "i8")])
ARRAYS = ("q", "k", "v", "y", "dy", "dq", "dk", "dv", "mask")
FIELDS: list = [("sizes", "i4", BATCH_DIMS), *[(n, "i4") for n in ("queries", "keys", "width", "values")]]
FIELDS += [*[(n, steps_type) for n in ARRAYS], ("mask_column", "i8")]
simulator.structures["AttentionShape"] = shape_type = np.dtype(FIELDS, align=True)


def attention(**arrays):
    """The value of an `AttentionShape`.

    Errors: ValueError for more than 4 dimensions of batches.
    """
    q, k, v = (arrays[name] for name in "qkv")
    batch = q.shape[:-2]
    if len(batch) > BATCH_DIMS:
        raise ValueError(f"[cuda] attention over {len(batch)} dimensions of batches, expected at most {BATCH_DIMS}")
    missing = BATCH_DIMS - len(batch)
    value = np.zeros((), shape_type)
    value["sizes"] = (*[1] * missing, *batch)
    value["queries"], value["keys"], value["width"], value["values"] = *q.shape[-2:-1], *k.shape[-2:], v.shape[-1]
    for name, x in arrays.items():
        if x is not None:
            steps = [step // x.itemsize for step in x.strides]
            value[name]["batch"], value[name]["row"] = (*[0] * missing, *steps[:-2]), steps[-2]
    if arrays["mask"] is not None:
        value["mask_column"] = arrays["mask"].strides[-1] // arrays["mask"].itemsize
    return value


def by_rows(entry, x, columns, args):
    """A warp for each row of x (batch.., rows, any), and blocks for its columns."""
    grid = (blocks_for(x.shape[-2], ROWS_PER_BLOCK), math.prod(x.shape[:-2]), max(1, blocks_for(columns, COLUMNS)))
    return Launch(entry, grid, 32 * ROWS_PER_BLOCK, args)


@launches
@wide("lse")
def attention_forward(y, lse, q, k, v, mask, scale, causal):
    shape = attention(q=q, k=k, v=v, y=y, mask=mask)
    yield by_rows("attention_forward", q, v.shape[-1], (y, lse, q, k, v, mask, scale, causal, shape))


@launches
@wide("lse")
def attention_backward(dq, dk, dv, dy, y, lse, q, k, v, mask, scale, causal):
    shape = attention(q=q, k=k, v=v, y=y, dy=dy, dq=dq, dk=dk, dv=dv, mask=mask)
    args = (dy, y, lse, q, k, v, mask, scale, causal, shape)
    yield by_rows("attention_backward_queries", q, q.shape[-1], (dq, *args))
    yield by_rows("attention_backward_keys", k, max(q.shape[-1], v.shape[-1]), (dk, dv, *args))
