"""Compiling for GPUs: by each compiler that is there; what is said where none is; the budgets of the kernels."""

import pytest

import minigrad as mg
from minigrad.cuda import __main__ as command
from minigrad.cuda import budget, build, cubin, nvrtc
from minigrad.cuda.source import signatures

SCALE = 'extern "C" __global__ void scale(float* y, float a, int n) { if (threadIdx.x < n) y[threadIdx.x] /= a; }'
LOG = """\
ptxas info    : 12 bytes gmem
ptxas info    : Compiling entry function 'one' for 'sm_90a'
ptxas info    : Function properties for one
ptxas         .     8 bytes stack frame, 16 bytes spill stores, 24 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 8 bytes cumulative stack size, 128 bytes smem, 380 bytes cmem[0]
ptxas info    : Compiling entry function 'two' for 'sm_90a'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 0 barriers, 360 bytes cmem[0]"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGRAD_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(params=cubin.TOOLS)
def tool(request, cache):
    if request.param not in cubin.tools():
        pytest.skip(f"{request.param} is not there")
    return request.param


def test_a_file_is_compiled_once(tool, monkeypatch, capsys):
    monkeypatch.setenv("MINIGRAD_TRACE", "1")
    first, again = (cubin.cubin_of_file("embedding", "75", tool) for _ in range(2))
    assert first.path.read_bytes()[:4] == b"\x7fELF" and first.seconds > 0
    assert again == (first.path, first.log, 0.0)
    assert set(budget.resources(first.log)) == set(signatures(build.kernel_text("embedding")))
    assert capsys.readouterr().err.count("embedding.cu compiled for sm_75 by") == 1


def test_the_key_knows_text_and_architecture(tool):
    paths = {cubin.cubin(SCALE + extra, "scale.cu", arch, tool).path for extra in ("", "\n") for arch in ("75", "90")}
    assert len(paths) == 4


def test_what_the_compiler_refuses(tool):
    with pytest.raises(mg.cuda.CompileError, match=rf"{tool} refused mine\.cu for sm_75:(.|\n)*mine\.cu\(2\): error"):
        cubin.cubin("\n" + SCALE.replace("a;", "b;"), "mine.cu", "75", tool)


def test_a_warning_is_an_error(tool):
    with pytest.raises(mg.cuda.CompileError, match="never referenced"):
        cubin.cubin(SCALE.replace("{", "{ int unused;"), "mine.cu", "75", tool)


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(cubin, "version", lambda tool: None)
    with pytest.raises(RuntimeError, match=r"neither NVRTC nor nvcc is there .*: pip install nvidia-cuda-nvrtc"):
        cubin.cubin(SCALE, "scale.cu", "90")
    with pytest.raises(RuntimeError, match=r"nvcc is there .*: a CUDA toolkit"):
        cubin.chosen("nvcc")
    with pytest.raises(ValueError, match="unknown compiler 'gcc'"):
        cubin.chosen("gcc")
    assert command.main(["build"]) == 1
    assert "pip install nvidia-cuda-nvrtc" in capsys.readouterr().err


def test_nvrtc_that_is_not_there(monkeypatch):
    monkeypatch.setattr(nvrtc, "folders", lambda: [])
    nvrtc.version.cache_clear()
    try:
        assert nvrtc.version() is None
    finally:
        nvrtc.version.cache_clear()


def test_the_build_command(tool, capsys):
    arguments = ["build", "int8_linear", "--arch", "75,90", "--tool", tool]
    assert command.main(arguments) == 0
    assert command.main(arguments) == 0
    said = capsys.readouterr().out
    assert said.count("2 cubins for sm_75, sm_90 by") == 2 and "int8_linear.cu: lay there already" in said


def test_resources_are_read_from_the_log():
    assert budget.resources(LOG) == {"one": (40, 128, 40), "two": (12, 0, 0)}


def test_what_is_over_budget_is_named():
    found = {kernel: ("f", {"90": taken}) for kernel, taken in budget.resources(LOG).items()}
    allowed = {"one": ("f", {"90": budget.Resources(39, 128, 0)}), "two": found["two"]}
    assert list(budget.complaints(found, found)) == []
    assert list(budget.complaints(found, allowed)) == [
        "one (f.cu) on sm_90: registers 40, expected at most 39",
        "one (f.cu) on sm_90: spills 40, expected at most 0",
    ]
    assert list(budget.complaints(found, {})) == ["one (f.cu) on sm_90: spills 40, expected at most 0"]


def test_the_table_comes_back_as_it_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "path", lambda: tmp_path / "budget.csv")
    found = {"one": ("f", {"75": budget.Resources(40, 128, 0), "90": budget.Resources(39, 128, 0)})}
    budget.write(found)
    assert budget.read() == found


def test_nvcc_is_held_to_no_spills_only(tmp_path, monkeypatch, capsys):
    found = {k: ("f", {"90": taken}) for k, taken in budget.resources(LOG).items()}
    monkeypatch.setattr(cubin, "tools", lambda: ["nvcc"])
    monkeypatch.setattr(budget, "measured", lambda *args: found)
    assert command.main(["budget", "--check"]) == 1
    assert capsys.readouterr().out == "one (f.cu) on sm_90: spills 40, expected at most 0\n"
    del found["one"]
    assert command.main(["budget", "--check"]) == 0
    assert "1 kernels, compiled by nvcc" in capsys.readouterr().out
    assert command.main(["budget", "--write"]) == 1
    assert "budgets are NVRTC's numbers, found nvcc" in capsys.readouterr().err


def test_the_table_names_kernels_that_are_there_and_none_spills():
    """`python -m minigrad.cuda budget --write` makes it anew."""
    kernels = {s: {k for d in cubin.forms(s) for k in signatures(build.kernel_text(s, d))} for s in cubin.stems()}
    found = budget.read()
    assert [k for k, (stem, _) in found.items() if k not in kernels.get(stem, ())] == []
    assert [k for k, (_, by_arch) in found.items() if any(taken.spills for taken in by_arch.values())] == []


def test_a_file_keeps_its_budget(tool):
    found = budget.measured(["embedding", "softmax"], ["90"], tool)
    assert list(budget.complaints(found, budget.read())) == []
