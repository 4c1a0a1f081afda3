"""budget: registers, shared memory and spills of every kernel, as the compiler finds them, and what they may be.

csrc/cuda/budget.csv has a line for each kernel: bytes of shared memory, bytes spilled, and registers by architecture.
A kernel that takes more than its line says is an error, and one that has none may not spill: `python -m minigrad.cuda
budget --check`. What changed on purpose is written down anew: `--write`. The numbers are NVRTC's, whose cubins are the
ones that run; nvcc gives a few kernels some registers more or less.
"""

import csv
import re
from typing import NamedTuple

from minigrad.cuda import build, cubin

_ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_\w+'")


class Resources(NamedTuple):
    """What one kernel takes on one architecture: registers of a thread, bytes of shared memory declared by a block,
    and bytes of registers that did not fit and are stored to memory."""

    registers: int
    shared: int
    spills: int


WITHOUT_A_LINE = Resources(255, 48 << 10, 0)  # the limits of the machine
OF_NVCC = {  # bytes that nvcc spills and NVRTC, whose cubins run, does not, on one or two architectures
    "linear_gelu_forward_warp_tiled": 64,
    "matmul_forward_warp_tiled_columns_columns": 80,
    "matmul_forward_warp_tiled_rows_rows": 104,
}


def resources(log):
    """{kernel: Resources} of what ptxas said (`-v`)."""
    pieces = _ENTRY.split(log)[1:]
    return {name: _found(text) for name, text in zip(pieces[::2], pieces[1::2], strict=True)}


def _found(text):
    def number(pattern):
        return sum(map(int, re.findall(pattern, text)))

    spills = number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads")
    return Resources(number(r"Used (\d+) registers"), number(r"(\d+) bytes smem"), spills)


def measured(files=None, architectures=cubin.ARCHITECTURES, tool=None, workers=None):
    """{kernel: (file, {architecture: Resources})} of kernel files."""
    found = {}
    for (stem, arch, _), made in cubin.build_all(files, architectures, tool, workers).items():
        for kernel, taken in resources(made.log).items():
            found.setdefault(kernel, (stem, {}))[1][arch] = taken
    return dict(sorted(found.items(), key=lambda item: (item[1][0], item[0])))


def path():
    return build.kernel_folder() / "budget.csv"


def read():
    """{kernel: (file, {architecture: Resources})} of the table."""
    with open(path(), newline="") as file:
        return {row["kernel"]: (row["file"], _row_of(row)) for row in csv.DictReader(file)}


def _row_of(row):
    archs = [column.removeprefix("sm_") for column in row if column.startswith("sm_")]
    shared, spills = int(row["shared"]), int(row["spills"])
    return {arch: Resources(int(row[f"sm_{arch}"]), shared, spills) for arch in archs if row[f"sm_{arch}"]}


def write(found, files=None):
    """Make `found` the table, or with `files` their part of it; where architectures differ in shared memory or spills,
    the most counts."""
    archs = cubin.ARCHITECTURES
    others = {kernel: row for kernel, row in read().items() if row[0] not in files} if files else {}
    found = dict(sorted((others | found).items(), key=lambda item: (item[1][0], item[0])))
    with open(path(), "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["file", "kernel", "shared", "spills", *(f"sm_{arch}" for arch in archs)])
        for kernel, (stem, by_arch) in found.items():
            most = [max(r[i] for r in by_arch.values()) for i in (1, 2)]
            rows.writerow([stem, kernel, *most, *(by_arch[a].registers if a in by_arch else "" for a in archs)])


def limits(tool):
    """({kernel: (file, {architecture: Resources})}, in words) of what a compiler's numbers are held to."""
    if tool == "nvrtc":
        return read(), f"keep within {path()}"
    known = {kernel: WITHOUT_A_LINE._replace(spills=most) for kernel, most in OF_NVCC.items()}
    allowed = {kernel: ("", dict.fromkeys(cubin.ARCHITECTURES, most)) for kernel, most in known.items()}
    return allowed, "spill nothing that is not known"  # its counts of registers are not those of the table


def complaints(found, allowed):
    """What in `found` is over budget, a sentence each; `found` need not hold every kernel."""
    for kernel, (stem, by_arch) in found.items():
        for arch, taken in by_arch.items():
            limit = allowed.get(kernel, (stem, {}))[1].get(arch, WITHOUT_A_LINE)
            for what, has, may in zip(Resources._fields, taken, limit, strict=True):
                if has > may:
                    yield f"{kernel} ({stem}.cu) on sm_{arch}: {what} {has}, expected at most {may}"
