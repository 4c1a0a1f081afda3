"""The extension only: one module per instruction set, from the same sources. All metadata lives in pyproject.toml.

`minigrad/backend/cpu.py` picks the module when the package is imported. Each is optional: with no compiler the package
still installs and runs on the numpy reference. While working on a kernel, `MINIGRAD_BUILD=baseline,avx2 python setup.py
build_ext --inplace` rebuilds only what changed, and only for the instruction sets named; the launcher for GPUs
(csrc/driver) is built in any case, and alone with `MINIGRAD_BUILD=driver`.

A wheel also brings the CUDA kernels compiled for their simulator, unless MINIGRAD_BUILD leaves "simulator" out.
"""

import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import pybind11
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

X86 = platform.machine().lower() in ("x86_64", "amd64")
MSVC = os.name == "nt" and "CC" not in os.environ
ISAS = {"baseline": []}
if X86 and not MSVC:
    ISAS["avx2"] = ["-mavx2", "-mfma", "-mf16c", "-mbmi2"]
    ISAS["avx512"] = [*ISAS["avx2"], "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"]

if wanted := os.environ.get("MINIGRAD_BUILD"):
    ISAS = {isa: ISAS[isa] for isa in wanted.split(",") if isa not in ("driver", "simulator")}
PREBUILD = "simulator" in (wanted or "simulator").split(",")
EXTRA = os.environ.get("MINIGRAD_FLAGS", "").split()  # for the compiler and the linker: sanitizers, debugging

# csrc/cuda and csrc/cuda_sim: the wheel has their text, from which what is not prebuilt is compiled where it is used.
TEXTS = [path for folder in ("cuda", "cuda_sim") for path in sorted(Path("csrc", folder).rglob("*")) if path.is_file()]
DRIVER = sorted(path.as_posix() for path in Path("csrc/driver").glob("*.cpp"))  # a module of its own: see there
APART = {*TEXTS, *Path("csrc/driver").iterdir()}
SOURCES = sorted(path.as_posix() for path in Path("csrc").rglob("*.cpp") if path not in APART)
HEADERS = sorted(path.as_posix() for path in Path("csrc").rglob("*.h") if path not in APART)
# NaN and infinity must pass unharmed, so never -ffast-math; the two flags free sqrt and select from errno and traps.
FLAGS = ["/O2", "/std:c++17", "/EHsc"] if MSVC else [
    "-std=c++17", "-O3", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-g0",
    "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-Wno-unused-function", "-Wno-psabi",
]  # fmt: skip


class BuildExtension(build_ext):
    """Compile the sources of each module on all cores, into a folder of its own, and only those that changed."""

    def build_extension(self, ext):
        base, self.build_temp = self.build_temp, os.path.join(self.build_temp, ext.name)
        original, self.compiler.compile = self.compiler.compile, self.compile_in_parallel
        self.single_compile = original
        try:
            super().build_extension(ext)
        finally:
            self.build_temp, self.compiler.compile = base, original

    def compile_in_parallel(self, sources, output_dir=None, depends=None, **options):
        newest_header = max(os.path.getmtime(header) for header in depends)
        objects = self.compiler.object_filenames(sources, output_dir=output_dir)

        def compile_one(source, target):
            newest = max(os.path.getmtime(source), newest_header)
            if self.force or not os.path.exists(target) or os.path.getmtime(target) < newest:
                # bindings.cpp is pybind11 and short calls: optimising it fully doubles the build and gains nothing.
                quick = ["-O1"] if "bindings" in source and not MSVC else []
                flags = [*(options.get("extra_postargs") or []), *quick]
                self.single_compile([source], output_dir=output_dir, **{**options, "extra_postargs": flags})

        with ThreadPoolExecutor(os.cpu_count()) as workers:
            list(workers.map(compile_one, sources, objects))
        return objects


class BuildPython(build_py):
    """Carry the texts of CUDA kernels and simulator into the package, as minigrad/csrc, and compile them."""

    def run(self):
        super().run()
        for path in () if self.editable_mode else TEXTS:
            target = Path(self.build_lib, "minigrad", path)
            self.mkpath(str(target.parent))
            self.copy_file(str(path), str(target))
        if PREBUILD and not self.editable_mode:
            self.compile_for_the_simulator()

    def compile_for_the_simulator(self):
        """By the package itself, as it lies there; where that fails kernels are compiled when they are first used."""
        command = [sys.executable, "-m", "minigrad.cuda", "build", "--simulator", "--into", "minigrad/cuda/prebuilt"]
        environment = {**os.environ, "MINIGRAD_CACHE": os.path.abspath("build/simulator"), "PYTHONWARNINGS": "ignore"}
        if subprocess.run(command, cwd=self.build_lib, env=environment, check=False).returncode:
            self.warn("the simulator's kernels are not prebuilt: they are compiled when they are first used")


def extension(isa, flags):
    return Extension(
        f"minigrad._C_{isa}",
        SOURCES,
        depends=HEADERS,
        include_dirs=["csrc", pybind11.get_include(), numpy.get_include()],
        define_macros=[("MINIGRAD_ISA", isa)],
        extra_compile_args=FLAGS + flags + EXTRA,
        extra_link_args=EXTRA if MSVC else ["-pthread", *EXTRA],
        language="c++",
        optional=True,
    )


def driver():
    """Launches on a GPU. It opens NVIDIA's driver where it is asked to, and needs nothing of CUDA to be built."""
    return Extension(
        "minigrad._driver",
        DRIVER,
        depends=[path.as_posix() for path in Path("csrc/driver").glob("*.h")],
        extra_compile_args=FLAGS + EXTRA,
        extra_link_args=EXTRA,
        libraries=["dl"] if platform.system() == "Linux" else [],
        language="c++",
        optional=True,
    )


setup(
    ext_modules=[driver(), *(extension(isa, flags) for isa, flags in ISAS.items())],
    cmdclass={"build_ext": BuildExtension, "build_py": BuildPython},
)
