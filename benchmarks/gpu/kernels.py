"""kernels: ops at a GPU's sizes (64 and 256 MiB of input), whose share is that of the copy's rate; then every row of
benchmarks/ops at the sizes that it has there. Outputs and gradients are held against PyTorch's first, where it is."""

from dataclasses import replace

import numpy as np

import minigrad as mg
from benchmarks import ops
from benchmarks.ops import Op, Step

COLUMNS = 4096


def rows_at(elements):
    """Ops that memory bounds, on so many floats."""
    flat, table = (elements,), (elements // COLUMNS, COLUMNS)
    F = lambda fw: fw.nn.functional  # noqa: E731
    n = table[0]
    return [
        Op("add", lambda fw, x, y: x + y, [flat, flat]),
        Op("gelu", lambda fw, x: F(fw).gelu(x), [flat]),
        Op("exp", lambda fw, x: fw.exp(x), [flat], grad=False),
        Op("sum", lambda fw, x: x.sum(), [flat], grad=False),
        Op("sum of columns", lambda fw, x: x.sum(0), [table], grad=False),
        Op("softmax", lambda fw, x: fw.softmax(x, -1), [table]),
        Op("log_softmax", lambda fw, x: fw.log_softmax(x, -1), [table]),
        Op("layer_norm", lambda fw, x, w, b: F(fw).layer_norm(x, (COLUMNS,), w, b), [table, (COLUMNS,), (COLUMNS,)]),
        Op("rms_norm", lambda fw, x, w: F(fw).rms_norm(x, (COLUMNS,), w), [table, (COLUMNS,)]),
        Op(
            "cross_entropy",
            lambda fw, x, t: F(fw).cross_entropy(x, t),
            [table, lambda rng: rng.integers(0, COLUMNS, n)],
            moved=(elements, 2 * elements),
        ),
        Op("dropout", lambda fw, x: F(fw).dropout(x, 0.3), [flat], same=False),
        Op("transpose", lambda fw, x: x.transpose(0, 1).contiguous(), [table]),
        Op("max", lambda fw, x: x.max(-1).values, [table], grad=False, moved=(elements, elements)),
        Step("adam, one step", lambda fw: adam(fw, elements // 4), 7 * elements // 4),
    ]


def adam(fw, elements):
    """A step of the optimizer alone, on sixteen parameters."""
    parameters = [fw.nn.Parameter(fw.ones(elements // 16)) for _ in range(16)]
    for p in parameters:
        p.grad = fw.ones(elements // 16)
    return fw.optim.Adam(parameters, **({} if fw is mg else {"fused": parameters[0].is_cuda})).step


def memory_bound(place, torch):
    for elements in (1 << 24, 1 << 26) if place.real else (2 * COLUMNS,):
        for op in rows_at(elements):
            if isinstance(op, Op) and elements > 1 << 24:
                op = replace(op, same=False)  # compared above; here that would take longer than the measurement
            yield from rows_of(op, place, torch, f"{4 * elements / (1 << 20):g} MiB")


def rows_of(op, place, torch, size=""):
    with place.on(torch):
        found = list(ops.step_rows(op, torch) if isinstance(op, Step) else ops.op_rows(op, torch))
    for row in found:
        row.row = f"{row.row}, {size}" if size else row.row
        row.group = "memory-bound" if size else "ops"
        yield row


def every(place, torch):
    for stem in ops.stems():
        yield from stem_rows(place, torch, stem)


def stem_rows(place, torch, stem):
    for op in ops.table_of(stem):
        try:
            yield from rows_of(op, place, torch)
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            print(f"{op}: {type(error).__name__}: {error}"[:300], flush=True)


def drawn(shape, seed, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)
