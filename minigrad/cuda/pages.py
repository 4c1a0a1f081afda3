"""pages: the cards of all kernels on one page of Markdown, docs/kernels.md: `python -m minigrad.cuda card --all`. It is
written anew together with the table of budgets.
"""

from functools import cache
from itertools import groupby

from minigrad.cuda import budget, build
from minigrad.cuda.card import head, threads_of
from minigrad.cuda.occupancy import occupancy
from minigrad.cuda.source import dtype_of, signatures

TITLE = """\
# Kernels

What every kernel of `csrc/cuda` takes of a GPU, as NVRTC compiles it: made by `python -m minigrad.cuda card --all`, not
by hand. `minigrad.cuda.card(name, example)` has more of one kernel: what its accesses of memory cost in an example.

Threads are those that a block of it has at most; shared is the memory that a block declares, in bytes; registers are
of a thread. Warps is the share of a multiprocessor's warps that fit at once (occupancy), by documented limits.
Nothing spills. No number here was measured on a GPU.
"""


@cache
def _signatures(stem, dtype):
    return signatures(build.kernel_text(stem, dtype))


def path():
    """Where the page lies in a checkout."""
    return build.sources().parent / "docs" / "kernels.md"


def page():
    """The text of the page."""
    found = budget.read()
    archs = sorted({arch for _, by_arch in found.values() for arch in by_arch}, key=int)
    return "\n".join([TITLE, *_sections(found, archs)])


def _sections(found, archs):
    columns = ["kernel", "threads", "shared", *(f"sm_{arch}" for arch in archs), "warps"]
    for stem, rows in groupby(found.items(), lambda row: row[1][0]):
        about = head(build.kernel_text(stem)).strip()
        yield from (f"## {stem}.cu", "", "```text", about, "```", "")
        yield from (f"| {' | '.join(columns)} |", "|---" * len(columns) + "|")
        yield from (_row(kernel, stem, by_arch, archs) for kernel, (_, by_arch) in rows)
        yield ""


def _row(kernel, stem, by_arch, archs):
    signature = _signatures(stem, dtype_of(kernel))[kernel]
    threads, shared = threads_of(signature), max(r.shared for r in by_arch.values())
    shares = [occupancy(arch, threads, r.registers, r.shared).share for arch, r in by_arch.items()]
    least, most = f"{min(shares):.0%}", f"{max(shares):.0%}"
    registers = [str(by_arch[arch].registers) if arch in by_arch else "" for arch in archs]
    cells = [f"`{kernel}`", threads, shared, *registers, least if least == most else f"{least} to {most}"]
    return f"| {' | '.join(map(str, cells))} |"
