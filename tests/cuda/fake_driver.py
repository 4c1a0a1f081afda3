"""A stand-in for NVIDIA's driver (stub_driver.c), beside that for CuPy: what the extension calls is taken note of, and
launches are simulated where that is asked for. Graphs are those of the stub: they keep pointers, as real ones do."""

import ctypes
import hashlib
import shutil
import subprocess
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigrad.backend import devices
from minigrad.cuda import build, cubin, gpu, launcher, simulator
from minigrad.cuda.source import signatures
from tests.cuda import fake_cupy

try:
    from minigrad import _driver
except ImportError:
    _driver = None
missing = "the extension _driver is not built" if _driver is None else None if shutil.which("cc") else "no C compiler"
STREAM = 7  # the stream of the stand-in for CuPy, as the driver knows it


class Launched(NamedTuple):
    entry: str
    grid: tuple
    block: tuple
    shared: int
    stream: int | None
    values: list  # the bytes of each argument


class _Function(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char * 128), ("count", ctypes.c_int), ("sizes", ctypes.c_int * 64),
        ("most_shared", ctypes.c_int),
    ]  # fmt: skip


_Pointers = ctypes.POINTER(ctypes.c_void_p)
_Runner = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(_Function), ctypes.POINTER(ctypes.c_uint), ctypes.c_void_p, _Pointers
)
_Noted = ctypes.CFUNCTYPE(None, ctypes.c_int)


@cache
def path():
    """The stub, compiled."""
    source = Path(__file__).parent / "stub_driver.c"
    target = build.cache_folder() / f"stub_driver-{hash_of(source)}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-w", str(source), "-o", f"{target}.new"], check=True)
        Path(f"{target}.new").replace(target)
    return str(target)


def hash_of(source):
    return hashlib.sha256(source.read_bytes()).hexdigest()[:16]


class Driver:
    """What the stub was asked for: `launched`, and the stub's own functions as `driver.stub`."""

    def __init__(self, simulated):
        self.stub, self.launched, self.simulated, self.texts = ctypes.CDLL(path()), [], simulated, {}
        self.stub.stub_capturing.argtypes = [ctypes.c_void_p]
        self.stub.stub_fail.argtypes = [ctypes.c_char_p, ctypes.c_int]
        self.run, self.note = _Runner(self.ran), _Noted(lambda i: self.notes[i]())
        self.notes = []  # what the stand-in for CuPy did while a stream was captured

    def start(self, recording=True):
        self.stub.stub_reset(self.run if recording else None, self.note)

    def ran(self, function, sizes, stream, arguments):
        f = function.contents
        values = [ctypes.string_at(arguments[i], f.sizes[i]) for i in range(f.count)]
        self.launched.append(Launched(f.name.decode(), *_split(sizes), stream, values))
        if self.simulated:
            self.simulate(f.name.decode(), sizes, arguments, f.count)
        return 0

    def capturing(self):
        """Whether the current stream takes note."""
        return self.stub.stub_capturing(fake_cupy.Stream.current[-1].ptr) != 0

    def take_note(self, again):
        """Let the graph do what the stand-in for CuPy was asked for."""
        self.notes.append(again)
        self.stub.stub_note(len(self.notes) - 1)

    def simulate(self, entry, sizes, arguments, count):
        library = simulator.load(*self.texts[entry], "fast")
        grid, block, shared = _split(sizes)
        call = simulator._Launch(
            entry.encode(), (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), shared, 1 << 20,
            ctypes.cast(arguments, ctypes.c_void_p), count, None, 0, 0, 0,
        )  # fmt: skip
        report = simulator._Report()
        assert library._launch(ctypes.byref(call), ctypes.byref(report)) == 0, report.message

    def compiled(self, text, name, arch):
        """The stub's way to a cubin: a text that says how wide each parameter is."""
        entries = signatures(text)
        self.texts |= dict.fromkeys(entries, (text, name))
        lines = [" ".join([e, *(str(_size(p)) for p in s.parameters)]) for e, s in entries.items()]
        target = build.cache_folder() / f"stub-{name}-{id(self)}.txt"
        target.write_text("\n".join(lines) + "\n\0")
        fake_cupy.sources[str(target)] = text, name
        return cubin.Cubin(target, "", 0.0)


def _size(p):
    if p.pointer:
        return 8
    dtype = simulator.structures.get(p.ctype) or simulator.SCALARS.get(p.ctype)
    return np.dtype(dtype).itemsize


def _split(sizes):
    return tuple(sizes[0:3]), tuple(sizes[3:6]), sizes[6]


@contextmanager
def installed(monkeypatch, simulated=True):
    """Launches go to the stub; the stand-in for CuPy is there already."""
    driver = Driver(simulated)
    monkeypatch.setattr(launcher, "DRIVER", path())
    monkeypatch.setattr(launcher, "cubin", driver.compiled)
    monkeypatch.delenv("MINIGRAD_LAUNCHER", raising=False)
    monkeypatch.setattr(fake_cupy.Stream.current[0], "ptr", STREAM)
    driver.start()
    gpu.forget()
    devices.use_gpu()
    yield driver
    gpu.forget()
