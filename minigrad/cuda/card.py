"""card: what is to be known of a kernel on one page: what it computes, how it is launched, what it takes of a GPU, and
what its accesses of memory cost.

Registers and spills come from the table that the tests hold kernels to (`budget.py`), occupancy from documented limits
(`occupancy.py`), accesses from the simulator (`trace.py`). No GPU is asked.
"""

import math
from dataclasses import dataclass

from minigrad.cuda import budget, build
from minigrad.cuda.occupancy import occupancy
from minigrad.cuda.source import signatures
from minigrad.cuda.trace import SECTOR, file_of, kernel_text, tracing


@dataclass(frozen=True)
class Card:
    """A kernel's page; `str(card)` is its text.

    Attributes:
        kernel, file, about: its name, its file in csrc/cuda, and what the head of that file says.
        parameters: `Parameter`s, as declared.
        grid, block: of the launch that was watched; `block` is what its launch bounds allow where none was.
        shared (int): bytes of shared memory of a block.
        spills (int): bytes of registers that are stored to memory.
        registers, occupancy: by architecture, "90" for sm_90.
        costs: a `Cost` for each line that reaches memory; empty without an example.
    """

    kernel: str
    file: str
    about: str
    parameters: tuple
    grid: tuple | None
    block: tuple
    shared: int
    spills: int
    registers: dict
    occupancy: dict
    costs: list

    def traffic(self):
        """Bytes that the example's accesses of global memory move, no cache counted, and the least that would do."""
        passes = [(c.accesses * c.each, c.accesses * c.least) for c in self.costs if c.kind == "global"]
        return tuple(round(sum(column)) * SECTOR for column in zip(*passes, strict=True)) or (0, 0)

    def __str__(self):
        return "\n".join(_lines(self))


def card(kernel, example=None):
    """The Card of a kernel of csrc/cuda.

    Args:
        kernel (str): its entry point, as "softmax_forward_warp".
        example (callable, optional): calls minigrad with tensors on "cuda-sim" so that the kernel runs; its launch and
            its accesses are put on the card.
    Errors: KeyError for a kernel that is nowhere, ValueError if the example does not run it.

    >>> import minigrad as mg
    >>> found = mg.cuda.card("softmax_forward_warp")
    >>> found.block, found.spills
    ((128, 1, 1), 0)
    """
    stem = file_of(kernel)
    signature = signatures(kernel_text(kernel))[kernel]
    grid, block, costs = None, (threads_of(signature), 1, 1), []
    if example is not None:
        with tracing(kernel) as trace:
            example()
        if not len(trace.events):
            raise ValueError(f"[card] the example does not run {kernel}")
        grid, block, costs = trace.grid, trace.block, trace.costs()
    _, taken = budget.read().get(kernel, (stem, {}))
    return Card(
        kernel, f"{stem}.cu", head(build.kernel_text(stem)), signature.parameters, grid, block,
        max((r.shared for r in taken.values()), default=0), max((r.spills for r in taken.values()), default=0),
        {arch: r.registers for arch, r in taken.items()},
        {arch: occupancy(arch, math.prod(block), r.registers, r.shared) for arch, r in taken.items()}, costs,
    )  # fmt: skip


def threads_of(signature):
    """How many threads a block of a kernel has at most."""
    return int(signature.bounds.split(",")[0] or 1024)


def head(text):
    """The comment that a file begins with."""
    lines = []
    for line in text.split("\n"):
        if not line.startswith("//"):
            break
        lines.append(line[3:])
    return "\n".join(lines)


def _lines(card):
    listed = ", ".join(f"{'const ' * p.const}{p.ctype}{'*' * p.pointer} {p.name}" for p in card.parameters)
    yield f"{card.kernel}({listed})    {card.file}"
    yield from ("", *(f"    {line}" for line in card.about.split("\n")), "")
    yield f"launch      {f'grid {card.grid}' if card.grid else 'any grid'}, block {card.block}"
    yield f"shared      {card.shared} bytes a block"
    yield f"spills      {card.spills} bytes"
    for arch, registers in card.registers.items():
        o = card.occupancy[arch]
        room = f"{o.blocks} blocks a multiprocessor, {o.share:.0%} of its warps; the limit are its {o.limit}"
        yield f"sm_{arch:<9}{registers} registers, {room}"
    moved, least = card.traffic()
    if moved:
        yield f"global      {moved} bytes move in sectors of {SECTOR}, {least} would do"
    for c in card.costs:
        unit = "sectors" if c.kind == "global" else "passes"
        cost = f"{c.each:.2f} {unit} for each of {c.accesses} accesses of a warp, {c.least:.2f} would do"
        yield f"{c.file}:{c.line:<4} {c.verb}s {c.kind} {c.name}: {cost}"
