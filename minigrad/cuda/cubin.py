"""cubin: kernel files compiled for GPUs, by NVRTC where it is there, else by nvcc, and kept on disk.

A cubin runs on one architecture: "90" is sm_90, or sm_90a for a file that has something for that one only. It is named
by a key of all that goes in (the text, the files that it includes, the options, the compiler's version, the
architecture), so that no stale one is ever taken. What the compiler said lies beside it: `budget.py` reads registers
and spills from that.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple

from minigrad.cuda import build, nvrtc
from minigrad.cuda.source import HALVES, has_halves

ARCHITECTURES = ("75", "80", "90", "100", "120")
TOOLS = ("nvrtc", "nvcc")
NVCC_OPTIONS = ("-std=c++17", "-fmad=true", "-ftz=false", "-prec-div=true", "-prec-sqrt=true", "-Xptxas=-v")
STRICT = ("-Werror", "all-warnings")


class Cubin(NamedTuple):
    """A compiled file: where it lies, what the compiler said, and the seconds that took (0 if it lay there)."""

    path: Path
    log: str
    seconds: float


def tools():
    """Which of "nvrtc" and "nvcc" are there, the preferred first."""
    return [tool for tool in TOOLS if version(tool)]


def chosen(tool=None):
    """`tool` if it is there, or the preferred of those that are. Errors: RuntimeError that says what to install."""
    if tool not in (None, *TOOLS):
        raise ValueError(f"[cuda] unknown compiler {tool!r}, expected one of {', '.join(TOOLS)}")
    there = tools()
    if tool in there or (tool is None and there):
        return tool or there[0]
    missing = {"nvrtc": "NVRTC is", "nvcc": "nvcc is", None: "neither NVRTC nor nvcc is"}[tool]
    remedy = "a CUDA toolkit" if tool == "nvcc" else "pip install nvidia-cuda-nvrtc nvidia-cuda-runtime"
    raise RuntimeError(f"[cuda] {missing} there to compile kernels for a GPU: {remedy}")


def version(tool):
    """The version of a compiler, or None if it is not there."""
    return nvrtc.version() if tool == "nvrtc" else _nvcc_version()


@cache
def _nvcc():
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    return shutil.which("nvcc") or shutil.which(f"{home}/bin/nvcc")


@cache
def _nvcc_version():
    if not _nvcc():
        return None
    text = subprocess.run([_nvcc(), "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"V(\d+\.\d+\.\d+)", text)
    return found and found.group(1)


def target(files, arch):
    """What the source files are compiled for on an architecture: "90a" for "90" where they ask for its own features."""
    own = any("__CUDA_ARCH_FEAT_SM90_ALL" in text for text in files.values())
    return "90a" if arch == "90" and own else arch


def cubin(text, name, arch, tool=None):
    """The cubin of source `text` for an architecture; `name` is what messages call it.

    Errors: CompileError with what the compiler said; RuntimeError without a compiler.
    """
    tool, files = chosen(tool), build.with_headers(text, name)
    arch = target(files, arch)
    options = nvrtc.OPTIONS if tool == "nvrtc" else (*NVCC_OPTIONS, *STRICT)
    parts = [tool, version(tool), repr(options), arch, *(f"{n}\n{t}" for n, t in sorted(files.items()))]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    path = folder() / f"{Path(name).stem}-sm_{arch}-{key}.cubin"
    log = path.with_suffix(".log")
    if path.exists() and log.exists():
        return Cubin(path, log.read_text(), 0.0)
    begin = time.perf_counter()
    code, said = (nvrtc.compile if tool == "nvrtc" else _by_nvcc)(files, name, arch)
    seconds = time.perf_counter() - begin
    if code is None or "warning" in said or "(C75" in said:  # notes that wgmma runs one by one
        raise build.CompileError(f"[cuda] {tool} refused {name} for sm_{arch}:\n{said}")
    _keep(log, said.encode())
    _keep(path, code)
    if os.environ.get("MINIGRAD_TRACE", "0") not in ("", "0"):
        shown = f"compiled for sm_{arch} by {tool} {version(tool)} in {seconds:.2f} s"
        print(f"[minigrad] {name} {shown}", file=sys.stderr)
    return Cubin(path, said, seconds)


def cubin_of_file(stem, arch, tool=None, dtype=None):
    """The cubin of csrc/cuda/<stem>.cu, in its form for a dtype."""
    return cubin(build.kernel_text(stem, dtype), f"{stem}.cu", arch, tool)


def stems():
    """The files of csrc/cuda."""
    return sorted(path.stem for path in build.kernel_folder().glob("*.cu"))


def forms(stem):
    """The dtypes that a file comes in forms for; None is the text as it stands."""
    return (None, *HALVES) if has_halves(build.kernel_text(stem)) else (None,)


def build_all(files=None, architectures=ARCHITECTURES, tool=None, workers=None):
    """{(stem, architecture, dtype): Cubin} of all forms of kernel files, compiled side by side.

    Errors: CompileError, the first.
    """
    tool = chosen(tool)
    rows = [(stem, arch, dtype) for stem in files or stems() for arch in architectures for dtype in forms(stem)]

    def make(row):
        stem, arch, dtype = row
        return cubin_of_file(stem, arch, tool, dtype)

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        return dict(zip(rows, pool.map(make, rows), strict=True))


def folder():
    """Where cubins are kept."""
    return build.cache_folder().parent / "cubin"


def _by_nvcc(files, name, arch):
    with tempfile.TemporaryDirectory() as place:
        for n, text in files.items():
            Path(place, n).write_text(text)
        command = [_nvcc(), *NVCC_OPTIONS, *STRICT, f"-arch=sm_{arch}", "-cubin", "-o", "out.cubin", name]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).strip()
        return None if done.returncode else Path(place, "out.cubin").read_bytes(), said


def _keep(path, content):
    """Write a file so that nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
