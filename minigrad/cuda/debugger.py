"""debugger: a launch written down, and run again under gdb in a process of its own (csrc/cuda_sim/step).

`recorded` keeps the first launch of a kernel, with the memory that it was given, as it was before. `walk` compiles the
kernel file without optimisation, so that every variable is there at every line, and has gdb follow one thread of it.
"""

import ctypes
import json
import os
import shutil
import struct
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from minigrad.cuda import build, simulator

PAGE, MOST_BYTES, SECONDS = 4096, 256 << 20, 60


def is_there():
    """Whether there is a gdb."""
    return shutil.which("gdb") is not None


class Record:
    """What a launch was given: memory as (address, bytes), buffers as (address, bytes, read only, name)."""

    def __init__(self, call, sizes):
        self.grid, self.block = tuple(call.grid), tuple(call.block)
        self.shared, self.max_shared = call.dynamic_shared, call.max_shared
        rows = call.buffers[: call.buffer_count]
        self.buffers = [(b.base or 0, b.bytes, b.const, b.name.decode()) for b in rows]
        values = ctypes.cast(call.arguments, ctypes.POINTER(ctypes.c_void_p))
        self.arguments = [ctypes.string_at(values[i], size) for i, size in enumerate(sizes)]
        self.memory = [(begin, ctypes.string_at(begin, end - begin)) for begin, end in self._pages()]

    def _pages(self):
        """The whole pages that hold the buffers, as [(begin, end), ...] apart from each other."""
        pages: list = []
        for base, size, *_ in sorted(row for row in self.buffers if row[1]):
            begin, end = base // PAGE * PAGE, -(-(base + size) // PAGE) * PAGE
            if pages and begin <= pages[-1][1]:
                pages[-1] = (pages[-1][0], max(end, pages[-1][1]))
            else:
                pages.append((begin, end))
        if sum(end - begin for begin, end in pages) > MOST_BYTES:
            raise RuntimeError(f"[step] the launch takes arrays of more than {MOST_BYTES >> 20} MiB")
        return pages

    def packed(self, kernel, block, thread):
        """What replay.cpp reads."""
        numbers = lambda *values: struct.pack(f"<{len(values)}Q", *values)  # noqa: E731
        text = lambda content: numbers(len(content)) + content  # noqa: E731
        parts = [numbers(block, thread, len(self.memory))]
        parts += [numbers(address) + text(content) for address, content in self.memory]
        parts += [text(kernel.encode() + b"\0"), numbers(*self.grid, *self.block, self.shared, self.max_shared)]
        parts += [numbers(len(self.buffers))]
        parts += [numbers(base, size, const) + text(name.encode() + b"\0") for base, size, const, name in self.buffers]
        parts += [numbers(len(self.arguments)), *map(text, self.arguments)]
        return b"".join(parts)


@contextmanager
def recorded(kernel):
    """Inside the block the first launch of a kernel is kept: yields a list that it is put into."""
    kept: list = []

    def listen(name, call, sizes):
        if name == kernel and not kept:
            kept.append(Record(call, sizes))

    before, simulator.listener = simulator.listener, listen
    try:
        yield kept
    finally:
        simulator.listener = before


def walk(record, kernel, text, name, block, thread, most):
    """The lines that a thread of a recorded launch goes through, and what each changes; "" if gdb shows none.

    Errors: CompileError for a kernel file that does not compile.
    """
    program = build.program(text, name)
    with tempfile.TemporaryDirectory() as folder:
        paths = {key: str(Path(folder, key)) for key in ("task", "record", "result")}
        Path(paths["record"]).write_bytes(record.packed(kernel, block, thread))
        task = {
            "kernel": kernel, "most": most, "sources": build.with_headers(text.split("#line 1\n")[-1], name),
            "buffers": [(b[3], *b[:2]) for b in record.buffers], "simulator": str(build.sources() / "cuda_sim"),
        }  # fmt: skip
        Path(paths["task"]).write_text(json.dumps(task | paths))
        _run_gdb(program, {**os.environ, "CUDA_SIM_WALK": paths["task"]})
        result = Path(paths["result"])
        return result.read_text().rstrip("\n") if result.exists() else ""


def _run_gdb(program, environment):
    """Run walk.py in gdb; what takes too long is ended, together with the program."""
    script = build.sources() / "cuda_sim" / "step" / "walk.py"
    command = ["gdb", "-nx", "-batch", "-x", str(script), str(program)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdin=quiet, stdout=quiet, stderr=quiet) as gdb:
        try:
            gdb.wait(SECONDS)
        except subprocess.TimeoutExpired:
            gdb.kill()  # the program goes with it
