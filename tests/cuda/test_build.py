"""Libraries for the simulator: brought along by a wheel, or made once and kept."""

from concurrent.futures import ThreadPoolExecutor

import pytest

import minigrad as mg
from minigrad.cuda import __main__ as command
from minigrad.cuda import build, cubin, simulator
from minigrad.cuda.launches import LAUNCHES, bodies

ONE = 'extern "C" __global__ void one(float* y) { y[threadIdx.x] = 1.0f; }\n'


bodies()


def no_compiler():
    raise RuntimeError("no compiler")


def test_what_a_wheel_brings_needs_no_compiler(tmp_path, monkeypatch, capsys):
    arguments = ["build", "embedding", "--simulator", "--into", str(tmp_path / "shipped"), "--jobs", "2"]
    assert command.main(arguments) == 0
    forms = len(cubin.forms("embedding"))
    assert f"{2 * forms} libraries, " in capsys.readouterr().out
    assert len(list((tmp_path / "shipped").iterdir())) == 2 * forms
    monkeypatch.setattr(build, "PREBUILT", tmp_path / "shipped")
    monkeypatch.setattr(build, "compiler", no_compiler)
    text = (build.kernel_folder() / "embedding.cu").read_text()
    for mode in build.SHIPPED:
        library = simulator.Library(text, "embedding.cu", mode)
        assert library.path.parent == tmp_path / "shipped"
        weight, index = mg.ones(3, 2, device="cuda-sim"), mg.tensor([2, 0], device="cuda-sim")
        out = mg.empty_like(weight[:2])
        (launch,) = LAUNCHES["embedding_forward"][1](out.array, weight.array, index.array)
        library.launch(*launch[:4])
        assert out.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_a_kernel_that_changed_is_not_taken_from_the_wheel(tmp_path, monkeypatch):
    build.prebuild(tmp_path, ["embedding"])
    monkeypatch.setattr(build, "PREBUILT", tmp_path)
    monkeypatch.setattr(build, "compiler", no_compiler)
    build._compiler_version.cache_clear()
    with pytest.raises(RuntimeError, match="no compiler"):
        build.library((build.kernel_folder() / "embedding.cu").read_text() + "\n", "embedding.cu", "fast")


def test_four_at_once_compile_once(tmp_path, monkeypatch):
    runs, run, runtime = [], build._run, build._runtime("fast")
    monkeypatch.setenv("MINIGRAD_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "_runtime", lambda mode: runtime)
    monkeypatch.setattr(build, "_run", lambda words: (runs.append(words), run(words)))
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: build.library(ONE, "one.cu", "fast"), range(4)))
    assert len(paths) == 1 and len(runs) == 2, "the kernel, and the library made of it and the runtime"
    assert paths.pop().parent == tmp_path / "cuda_sim"
