"""doctor: `python -m minigrad.doctor` tells what is there, what is missing, and the command that mends it.

Each check gives (what, found, remedy or None). Exit status 0 if minigrad can run at its best on this machine's CPU,
else 1.
"""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys

import numpy as np

PACKAGE = "minigrad-kernels"
EXTRAS = {  # extra -> modules
    "train": ("tqdm", "tensorboardX", "matplotlib"),
    "hf": ("safetensors", "tokenizers"),
    "export": ("onnx", "onnxruntime"),
    "mpi": ("mpi4py",),
    "test": ("pytest", "xdist", "hypothesis"),
}


def _version(distribution):
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_versions():
    from minigrad import __version__

    yield "minigrad", f"{__version__} at {os.path.dirname(__file__)}", None
    yield "Python", f"{platform.python_version()} on {platform.platform()}", None
    old = int(np.__version__.split(".")[0]) < 2
    yield "numpy", np.__version__, "pip install 'numpy>=2.0,<3'" if old else None
    yield (
        "ml_dtypes",
        _version("ml_dtypes") or "missing",
        None if _version("ml_dtypes") else "pip install 'ml_dtypes>=0.5'",
    )


def check_extension():
    """The C++ extension, the compiler that builds it, and what it found of this processor."""
    from minigrad.backend import cpu

    compiler = next(
        (c for c in (os.environ.get("CXX"), "g++", "clang++", "cl") if c and shutil.which(c.split()[0])), None
    )
    text = "missing"
    if compiler:
        run = subprocess.run(
            [compiler.split()[0], "--version"], capture_output=True, text=True, timeout=20, check=False
        )
        text = (run.stdout or run.stderr).splitlines()[0] if (run.stdout or run.stderr) else compiler
    install = "apt-get install g++  (Debian, Ubuntu) or xcode-select --install  (macOS), then: "
    yield "C++ compiler", text, None if compiler else install + f"pip install --force-reinstall --no-deps {PACKAGE}"
    if not cpu.kernels():
        remedy = (
            "unset MINIGRAD_BACKEND"
            if cpu.switched_off
            else "pip install -e . (in the checkout, with a C++ compiler there)"
        )
        yield "C++ kernels", f"not in use: {cpu.reason()}", remedy
        return
    yield "C++ kernels", f"{len(cpu.kernels())} in use, instruction set {cpu.isa()}", cpu.reason()
    yield "CPU flags", " ".join(sorted(name for name, there in cpu.cpu_flags().items() if there)), None
    yield (
        "threads",
        f"{cpu.get_num_threads()} of {os.cpu_count()} cores (MINIGRAD_NUM_THREADS, minigrad.set_num_threads)",
        None,
    )


def check_gpu():
    """CuPy and the GPU; only looked at, never imported, unless it is there."""
    if importlib.util.find_spec("cupy") is None:
        driver = shutil.which("nvidia-smi")
        yield "CuPy", "missing (needed for a GPU only)", f"pip install '{PACKAGE}[cuda13]'" if driver else None
        return
    import cupy

    try:
        count = cupy.cuda.runtime.getDeviceCount()
        names = [cupy.cuda.runtime.getDeviceProperties(i)["name"].decode() for i in range(count)]
        yield "CuPy", f"{cupy.__version__}, {', '.join(names)}", None
    except cupy.cuda.runtime.CUDARuntimeError as error:
        yield "CuPy", f"{cupy.__version__}, no usable GPU ({error})", None


def check_extras():
    for extra, modules in EXTRAS.items():
        missing = [m for m in modules if importlib.util.find_spec(m) is None]
        found = "all there" if not missing else f"missing: {', '.join(missing)}"
        yield f"extra [{extra}]", found, f"pip install '{PACKAGE}[{extra}]'" if missing else None


def check_data():
    from minigrad.vision.datasets import MNIST

    try:
        images = len(MNIST("data", train=False))
        yield "MNIST", f"{images} test images found", None
    except (OSError, RuntimeError, ValueError) as error:
        yield "MNIST", str(error).splitlines()[0], "run inside the repository, or pass download=True"


def report(out=sys.stdout):
    """Print every check; the number of needs (not of optional extras) that are not met."""
    unmet = 0
    for check in (check_versions, check_extension, check_gpu, check_extras, check_data):
        for what, found, remedy in check():
            print(f"{what:>16}  {found}", file=out)
            if remedy:
                print(f"{'':>16}  -> {remedy}", file=out)
                unmet += check in (check_versions, check_extension)
    return unmet


if __name__ == "__main__":
    sys.exit(1 if report() else 0)
