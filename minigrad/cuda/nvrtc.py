"""nvrtc: NVIDIA's runtime compiler, called through ctypes: CUDA source to a cubin, with no driver, GPU or toolkit.

The library comes with the wheel nvidia-cuda-nvrtc (`pip install nvidia-cuda-nvrtc`) or with a CUDA toolkit. Kernels
that include cuda_fp16.h or cuda_bf16.h also need the wheel nvidia-cuda-runtime, which has those headers.
"""

import ctypes
import importlib.util
import os
from functools import cache
from pathlib import Path

# Nothing is left to a default: the flags that CuPy would add flush denormals, and results are to be the CPU's.
OPTIONS = ("-std=c++17", "-fmad=true", "-ftz=false", "-prec-div=true", "-prec-sqrt=true", "--ptxas-options=-v")


def folders():
    """Where CUDA's libraries and headers may lie: the folders of installed wheels, then those of toolkits."""
    wheels = importlib.util.find_spec("nvidia")
    for place in (wheels.submodule_search_locations or ()) if wheels else ():
        yield from sorted(Path(place).iterdir(), reverse=True)
    for home in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"):
        if home:
            yield Path(home)


def library_path():
    """The path of libnvrtc, or None."""
    for folder in folders():
        for name in ("lib", "lib64"):
            found = sorted((folder / name).glob("libnvrtc.so.[0-9]*"))
            if found:
                return found[0]
    return None


@cache
def headers():
    """The folder with cuda_fp16.h, or None."""
    return next((f / "include" for f in folders() if (f / "include" / "cuda_fp16.h").exists()), None)


@cache
def _library():
    path = library_path()
    if path is None:
        raise RuntimeError("[cuda] NVRTC is not there: pip install nvidia-cuda-nvrtc")
    for builtins in path.parent.glob("libnvrtc-builtins.so.*"):  # looked for by name later on: found if loaded before
        ctypes.CDLL(str(builtins))
    return ctypes.CDLL(str(path))


@cache
def version():
    """NVRTC's version, as "13.0", or None where it is not there."""
    if library_path() is None:
        return None
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(_library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return f"{major.value}.{minor.value}"


def compile(files, name, arch):
    """(cubin, log) of the source files[name], or (None, log) if NVRTC refused it.

    Args:
        files (dict): {name: text} of the source and of what it includes.
        name (str): which of them is compiled; messages call it that.
        arch (str): "90" for sm_90.
    """
    nvrtc, program = _library(), ctypes.c_void_p()
    included = [n for n in files if n != name]
    texts, names = _strings(files[n] for n in included), _strings(included)
    source = files[name].encode()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source, name.encode(), len(included), texts, names))
    try:
        options = [*OPTIONS, f"--gpu-architecture=sm_{arch}", *([f"-I{headers()}"] if headers() else [])]
        failed = nvrtc.nvrtcCompileProgram(program, len(options), _strings(options))
        log = _bytes(nvrtc, "ProgramLog", program).rstrip(b"\0").decode(errors="replace").strip()
        return None if failed else _bytes(nvrtc, "CUBIN", program), log
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _bytes(nvrtc, what, program):
    """What `nvrtcGet<what>` gives."""
    size = ctypes.c_size_t()
    _check(getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    _check(getattr(nvrtc, f"nvrtcGet{what}")(program, text))
    return text.raw


def _strings(texts):
    texts = [t.encode() for t in texts]
    return (ctypes.c_char_p * len(texts))(*texts)


def _check(code):
    if code:
        message = _library().nvrtcGetErrorString
        message.restype = ctypes.c_char_p
        raise RuntimeError(f"[cuda] NVRTC: {message(code).decode()}")
