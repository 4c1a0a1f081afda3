"""build: kernel files made into libraries by the system's C++ compiler, for the simulator.

The runtime (csrc/cuda_sim) is compiled once for each mode, a kernel file when it is first used: about a second, then it
lies in a cache, `$MINIGRAD_CACHE` or `~/.cache/minigrad`. A key of all that goes in names each library: the text with
the files it includes, the simulator's sources, the compiler and its options. Nothing is ever overwritten.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from minigrad.cuda.source import form, included, translate

_PACKAGE = Path(__file__).parent.parent
_CSRC = next((p for p in (_PACKAGE / "csrc", _PACKAGE.parent / "csrc") if (p / "cuda_sim").is_dir()), None)

COMMON = ["-std=c++17", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-threadsafe-statics", "-w"]
MODES = {  # of the kernels; the checker is told of loads and stores as they stand in the source: no vectors
    "fast": ["-O2", "-g1"],
    "check": [
        "-O1", "-g", "-fno-tree-vectorize", "-DCUDA_SIM_CHECK",
        "-fsanitize=thread,alignment,bounds,integer-divide-by-zero,null",
    ],
}  # fmt: skip


class CompileError(RuntimeError):
    """The C++ compiler refused a kernel file; the message is the compiler's."""


def kernel_folder():
    """Where the `.cu` files lie."""
    return sources() / "cuda"


def kernel_text(stem, dtype=None):
    """The text of csrc/cuda/<stem>.cu, in its form for a dtype."""
    return form((kernel_folder() / f"{stem}.cu").read_text(), dtype)


def sources():
    """The folder of the C++ and CUDA sources: inside the package, or beside it in a checkout."""
    if _CSRC is None:
        raise RuntimeError("[cuda] the sources of the kernels (csrc/cuda, csrc/cuda_sim) are missing: install anew")
    return _CSRC


@cache
def compiler():
    """The command of a C++ compiler: $CXX, or the first of g++, clang++ and c++ that is there.

    Errors: RuntimeError when there is none.
    """
    for command in (os.environ.get("CXX", ""), "g++", "clang++", "c++"):
        words = shlex.split(command)
        if words and shutil.which(words[0]):
            return tuple(words)
    raise RuntimeError("[cuda] the simulator needs a C++ compiler, found none: install g++ or clang++, or set CXX")


def has_compiler():
    """Whether there is one."""
    try:
        return bool(compiler())
    except RuntimeError:
        return False


@cache
def _compiler_version():
    return subprocess.run([*compiler(), "--version"], capture_output=True, text=True, check=False).stdout


def cache_folder():
    """Where libraries are kept."""
    home = os.environ.get("MINIGRAD_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "minigrad"
    return Path(home).expanduser() / "cuda_sim"


def library(text, name, mode):
    """The path of the library made from kernel source `text`; `name` is what messages call it.

    Errors: CompileError, with what the compiler said.
    """
    files = with_headers(text, name)
    key = _key(mode, *[f"{n}\n{t}" for n, t in sorted(files.items())])
    target = cache_folder() / f"{Path(name).stem}-{mode}-{key}.so"
    if not target.exists():
        runtime = _runtime(mode)
        with _workspace() as folder:
            made = _compile_kernels(files, name, mode, Path(folder))
            _run([*compiler(), "-shared", *map(str, [made, *runtime]), "-o", f"{folder}/library.so"])
            os.replace(f"{folder}/library.so", target)
    return target


def with_headers(text, name):
    """{name: text} of a kernel file, the files that it includes, and they in turn."""
    found, names = {name: text}, included(text)
    while names:
        name = names.pop()
        path = kernel_folder() / name
        if name not in found and path.exists():
            found[name] = path.read_text()
            names += included(found[name])
    return found


def _compile_kernels(files, name, mode, folder):
    for n, text in files.items():
        translated = folder / (n if n != name else "kernels.cpp")
        translated.parent.mkdir(parents=True, exist_ok=True)
        translated.write_text(translate(text, n))
    place = sources() / "cuda_sim"
    clang = ["-fno-vectorize"] if "clang" in _compiler_version() else []
    flags = [*COMMON, *MODES[mode], *clang, "-I", str(folder), "-I", str(place / "include")]
    target = folder / "kernels.o"
    _run([*compiler(), *flags, "-include", str(place / "device.h"), "-c", f"{folder}/kernels.cpp", "-o", str(target)])
    return target


def _runtime(mode):
    """The object files of the simulator itself."""
    folder = cache_folder() / f"runtime-{mode}-{_key(mode)}"
    files = sorted((sources() / "cuda_sim").glob("*.cpp"))
    if not folder.exists():
        flags = [*COMMON, "-O2", *(["-DCUDA_SIM_CHECK"] if mode == "check" else [])]
        with _workspace() as made, ThreadPoolExecutor(2) as workers:
            commands = [[*compiler(), *flags, "-c", str(f), "-o", f"{made}/{f.stem}.o"] for f in files]
            list(workers.map(_run, commands))
            shutil.copytree(made, folder, dirs_exist_ok=True)
    return [folder / f"{f.stem}.o" for f in files]


def _workspace():
    cache_folder().mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=".making-", dir=cache_folder())


@cache
def _simulator_text():
    folder = sources() / "cuda_sim"
    return [p.read_text() for p in sorted(folder.rglob("*")) if p.suffix in (".h", ".cpp")]


def _key(mode, *texts):
    parts = [mode, repr((COMMON, MODES[mode], compiler())), _compiler_version(), *_simulator_text(), *texts]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompileError(f"[cuda] the C++ compiler refused the kernels:\n{done.stderr.strip()}")
