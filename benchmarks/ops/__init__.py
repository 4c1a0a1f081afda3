"""ops: one file for each op, bench_<stem>.py, with a table ROWS of what is timed: forward, and forward + backward.

    ROWS = [Op("softmax", lambda fw, x: fw.softmax(x, -1), [(2048, 1000)])]

`fw` is minigrad or torch. Outputs and gradients are compared with PyTorch's before anything is timed. Reading order:
`Op`, `rows_of`, `forward_row`, `both_rows`.
"""

import contextlib
import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import minigrad as mg
from benchmarks import measure, rivals, steps
from benchmarks.ceilings import kernel_work
from benchmarks.measure import contest

QUICK_ELEMENTS = 100_000  # of inputs: what is no larger is timed in a quick run


@dataclass(frozen=True)
class Op:
    """One row of an op's table.

    `flops` counts the forward pass; each of the two passes back takes as many. Bytes are counted from sizes: forward
    reads the inputs and writes the output; backward reads the output's gradient and the inputs, and writes theirs.
    `moved` says otherwise: floats that forward moves, floats that both together move.
    """

    name: str
    call: Callable  # (fw, *tensors) -> Tensor; or, with `layers`, (fw) -> list of modules for a Sequential
    inputs: tuple | list  # a shape for floats, or a function of a numpy Generator for what has no gradient
    layers: bool = False
    named: bool = False  # the name says the sizes; else the first input's shape is added
    flops: float = 0
    grad: bool = True
    same: bool = True  # False where PyTorch draws other random numbers
    numpy: Callable | None = None  # (*arrays), one more rival
    moved: tuple | None = None
    values: tuple = (-1.0, 1.0)  # the bounds of the inputs

    def __str__(self):
        shapes = ["x".join(map(str, s)) for s in self.inputs if isinstance(s, tuple)]
        return self.name if self.named or not shapes else f"{self.name} {shapes[0]}"

    def elements(self):
        return sum(math.prod(s) for s in self.inputs if isinstance(s, tuple))

    def arrays(self):
        rng = np.random.default_rng(0)
        draw = lambda s: s(rng) if callable(s) else rng.uniform(*self.values, s).astype(np.float32)  # noqa: E731
        return [draw(s) for s in self.inputs]


@dataclass(frozen=True)
class Step:
    """A row of another kind: `make(fw)` gives a function without arguments, whose results are not compared here; it
    moves `moved` floats (of four bytes)."""

    name: str
    make: Callable
    moved: float
    flops: float = 0

    def __str__(self):
        return self.name

    def elements(self):
        return self.moved


def stems():
    """The ops that have a file here."""
    return sorted(f.stem.removeprefix("bench_") for f in Path(__file__).parent.glob("bench_*.py"))


def rows(torch):
    for stem in stems():
        yield from rows_of(stem, torch)


def table_of(stem):
    """The rows of an op; in a quick run the small ones."""
    found = importlib.import_module(f"benchmarks.ops.bench_{stem}").ROWS
    return [op for op in found if op.elements() <= QUICK_ELEMENTS] if measure.effort.quick else found


def rows_of(stem, torch):
    for op in table_of(stem):
        yield from step_rows(op, torch) if isinstance(op, Step) else op_rows(op, torch)


def step_rows(op, torch):
    others = rivals.eager(torch, op.make(torch)) if torch else {}
    return contest("ops", op.name, {"": op.make(mg)}, others, work=kernel_work(op.flops, 4 * op.moved), seconds=1.5)


def op_rows(op, torch):
    arrays = op.arrays()
    sides = [Side(op, fw, arrays) for fw in (mg, torch) if fw]
    if torch and op.same:
        compare(op, *sides)
    yield from forward_row(op, arrays, *sides)
    if op.grad:
        yield from both_rows(op, *sides)


class Side:
    """An op on one framework's tensors."""

    def __init__(self, op, fw, arrays):
        self.op, self.fw = op, fw
        self.tensors = [fw.tensor(a) for a in arrays]
        self.module = sequential(fw, op.call(fw)) if op.layers else None
        leaves = [t for t, shape in zip(self.tensors, op.inputs, strict=True) if op.grad and isinstance(shape, tuple)]
        self.leaves = [t.requires_grad_() for t in leaves] + (list(self.module.parameters()) if op.layers else [])
        with fw.no_grad():
            out = self.forward()
        self.dy = fw.tensor(np.random.default_rng(1).uniform(-1, 1, tuple(out.shape)).astype(np.float32))
        self.sizes = sum(a.size for a in arrays), out.numel(), sum(t.numel() for t in self.leaves)

    def forward(self):
        return self.module(*self.tensors) if self.op.layers else self.op.call(self.fw, *self.tensors)

    def both(self):
        for leaf in self.leaves:
            leaf.grad = None
        self.forward().backward(self.dy)

    def results(self):
        """The output, and the gradients."""
        y = self.forward()
        if self.op.grad:
            self.both()
        return [y.detach().cpu().numpy(), *(leaf.grad.cpu().numpy() for leaf in self.leaves)]


def sequential(fw, layers):
    """The layers in a row, their parameters drawn alike for both frameworks."""
    model, rng = fw.nn.Sequential(*layers), np.random.default_rng(2)
    drawn = {k: rng.uniform(-0.1, 0.1, tuple(p.shape)).astype(np.float32) for k, p in model.named_parameters()}
    model.load_state_dict({k: fw.tensor(v) for k, v in drawn.items()}, strict=False)
    return model


def compare(op, ours, theirs):
    found, expected = ours.results(), theirs.results()
    largest = max(float(np.abs(b).max(initial=0)) for b in expected)
    for a, b in zip(found, expected, strict=True):
        steps.check(op, a, b, 1e-3 * largest)  # what cancels out to nothing is noise on both sides


def forward_row(op, arrays, ours, theirs=None):
    """Without a graph on either side."""
    inputs, output, _ = ours.sizes
    work = kernel_work(op.flops, 4 * (op.moved[0] if op.moved else inputs + output))
    others = rivals.eager(theirs and theirs.fw, theirs and theirs.forward)
    others |= {"numpy": lambda: op.numpy(*arrays)} if op.numpy and not measure.device else {}
    with mg.no_grad(), theirs.fw.no_grad() if theirs else contextlib.nullcontext():
        return contest("ops", f"{op}, forward", {"": ours.forward}, others, work=work, seconds=1.5)


def both_rows(op, ours, theirs=None):
    inputs, output, grads = ours.sizes
    work = kernel_work(3 * op.flops, 4 * (op.moved[1] if op.moved else 2 * (inputs + output) + grads))
    others = rivals.eager(theirs and theirs.fw, theirs and theirs.both)
    return contest("ops", f"{op}, forward + backward", {"": ours.both}, others, work=work, seconds=1.5)
