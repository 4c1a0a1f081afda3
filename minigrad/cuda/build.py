"""build: kernel files made into libraries by the system's C++ compiler, for the simulator.

A wheel brings our kernels compiled (`prebuilt`), so that it needs no compiler there. What is not in it,
a user's own kernel or one that was changed, is compiled when it is first used: about a second, then it lies in a cache,
`$MINIGRAD_CACHE` or `~/.cache/minigrad`; the runtime (csrc/cuda_sim) is compiled once for each mode. A key of all that
goes in names each library: the text with the files it includes, the simulator's sources, the options, and in the cache
the compiler. Nothing is ever overwritten.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from minigrad.cuda.source import HALVES, form, included, translate

_PACKAGE = Path(__file__).parent.parent
PREBUILT = _PACKAGE / "cuda" / "prebuilt"
_CSRC = next((p for p in (_PACKAGE / "csrc", _PACKAGE.parent / "csrc") if (p / "cuda_sim").is_dir()), None)

COMMON = ["-std=c++17", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-threadsafe-statics", "-w"]
MODES = {  # of the kernels; the checker is told of loads and stores as they stand in the source: no vectors
    "fast": ["-O2", "-g1", "-gdwarf-4"],  # 4, as addr2line takes the wrong file from short texts in 5
    "check": [
        "-O1", "-g", "-gdwarf-4", "-fno-tree-vectorize", "-DCUDA_SIM_CHECK",
        "-fsanitize-coverage=trace-pc",  # so that endless loops are noticed (watch.cpp)
        "-fsanitize=thread,alignment,bounds,integer-divide-by-zero,null",
    ],
    "debug": ["-O0", "-g", "-DCUDA_SIM_DEBUG"],  # every function stays one, every variable is there: for gdb
}  # fmt: skip
SHIPPED = ("fast", "check")


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
    """The compiler's command, and what it says of itself."""
    said = subprocess.run([*compiler(), "--version"], capture_output=True, text=True, check=False).stdout
    return repr(compiler()), said


def cache_folder():
    """Where libraries are kept."""
    home = os.environ.get("MINIGRAD_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "minigrad"
    return Path(home).expanduser() / "cuda_sim"


def library(text, name, mode):
    """The path of the library made from kernel source `text`; `name` is what messages call it.

    Errors: CompileError, with what the compiler said.
    """
    files = with_headers(text, name)
    shipped = PREBUILT / _named(files, name, mode)
    if shipped.exists():
        return shipped
    target = cache_folder() / _named(files, name, mode, *_compiler_version())
    if not target.exists():
        with _alone(target):
            _make(files, name, mode, target)
    return target


def prebuild(folder=None, files=None, workers=None):
    """[library, ...]: kernel files of csrc/cuda compiled for use, side by side; put into `folder` for a wheel.

    Errors: CompileError, the first.
    """
    stems = files or sorted(path.stem for path in kernel_folder().glob("*.cu"))
    texts = {(stem, kernel_text(stem, dtype)) for stem in stems for dtype in (None, *HALVES)}
    rows = [(text, f"{stem}.cu", mode) for stem, text in sorted(texts) for mode in SHIPPED]
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        return list(pool.map(lambda row: _prebuilt(*row, folder=folder), rows))


def _prebuilt(text, name, mode, folder):
    made = library(text, name, mode)
    if folder is None:
        return made
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(made, Path(folder, _named(with_headers(text, name), name, mode))))


def program(text, name):
    """The path of a program that runs one recorded launch of these kernels again, for a debugger (debugger.py)."""
    files = with_headers(text, name)
    target = cache_folder() / f"{_named(files, name, 'debug', *_compiler_version())[:-3]}.program"
    if not target.exists():
        replay, runtime = sources() / "cuda_sim" / "step" / "replay.cpp", _runtime("debug")
        with _workspace() as folder:
            made = [_compile_kernels(files, name, "debug", Path(folder)), *runtime]
            _run([*compiler(), *COMMON, str(replay), *map(str, made), "-o", f"{folder}/program"])
            os.replace(f"{folder}/program", target)
    return target


def _named(files, name, mode, *more):
    """What the library of these files is called."""
    texts = [f"{n}\n{text}" for n, text in sorted(files.items())]
    return f"{Path(name).stem}-{mode}-{_key(mode, *more, *texts)}.so"


def _make(files, name, mode, target):
    if target.exists():  # another process was faster
        return
    runtime = _runtime(mode)
    with _workspace() as folder:
        made = _compile_kernels(files, name, mode, Path(folder))
        _run([*compiler(), "-shared", *map(str, [made, *runtime]), "-o", f"{folder}/library.so"])
        os.replace(f"{folder}/library.so", target)


@contextmanager
def _alone(target):
    """Inside the block no other process, nor thread, makes the same."""
    import fcntl

    cache_folder().mkdir(parents=True, exist_ok=True)
    with open(target.with_suffix(".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
    clang = ["-fno-vectorize"] if "clang" in _compiler_version()[1] else []
    flags = [*COMMON, *MODES[mode], *clang, "-I", str(folder), "-I", str(place / "include")]
    target = folder / "kernels.o"
    _run([*compiler(), *flags, "-include", str(place / "device.h"), "-c", f"{folder}/kernels.cpp", "-o", str(target)])
    return target


def _runtime(mode):
    """The object files of the simulator itself."""
    mode = "check" if mode == "check" else "fast"
    folder = cache_folder() / f"runtime-{mode}-{_key(mode, *_compiler_version())}"
    files = sorted((sources() / "cuda_sim").glob("*.cpp"))
    if not folder.exists():
        with _alone(folder):
            _make_runtime(files, mode, folder)
    return [folder / f"{f.stem}.o" for f in files]


def _make_runtime(files, mode, folder):
    if folder.exists():
        return
    flags = [*COMMON, "-O2", *(["-DCUDA_SIM_CHECK"] if mode == "check" else [])]
    with _workspace() as place, ThreadPoolExecutor(2) as workers:
        made = Path(place, "objects")
        made.mkdir()
        commands = [[*compiler(), *flags, "-c", str(f), "-o", str(made / f"{f.stem}.o")] for f in files]
        list(workers.map(_run, commands))
        os.replace(made, folder)


def _workspace():
    cache_folder().mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=".making-", dir=cache_folder())


@cache
def _simulator_text():
    folder = sources() / "cuda_sim"
    return [p.read_text() for p in sorted(folder.rglob("*")) if p.suffix in (".h", ".cpp")]


def _key(mode, *texts):
    parts = [mode, repr((COMMON, MODES[mode])), *_simulator_text(), *texts]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompileError(f"[cuda] the C++ compiler refused the kernels:\n{done.stderr.strip()}")
