"""The dispatch: which body runs for which dtype and backend, and that one can see it."""

import os
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernel as dispatch
from minigrad.backend import cpu
from minigrad.backend.array import cast, contiguous, copy, empty, is_view, owner
from minigrad.kernel import KERNELS, Kernel, kernel

native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is not built")


@pytest.fixture
def probe():
    """A kernel of the tests' own, with a native body that says so; gone again afterwards."""
    calls = []

    def probe_forward(y, x):
        calls.append(("reference", x.dtype))
        y[...] = x + 1

    def body(y, x):
        calls.append(("native", x.dtype))
        y[...] = x + 1

    made = kernel()(probe_forward)
    natives = dict(cpu.kernels(), probe_forward=body)
    original = cpu.kernels
    try:
        cpu.kernels = lambda: natives
        mg.use_backend("cpu")
        yield made, calls
    finally:
        cpu.kernels = original
        del KERNELS["probe_forward"]
        mg.use_backend("cpu" if original() else "numpy")


def run(k, dtype):
    x = np.array([1, 2, 3]).astype(dtype)
    y = np.empty_like(x)
    k(y, x)
    return y.tolist()


def test_float32_runs_natively_all_else_by_reference(probe):
    k, calls = probe
    for dtype in (mg.float32, mg.float64, mg.int64, mg.uint8):
        assert run(k, dtype) == [2, 3, 4]
    assert calls == [
        ("native", mg.float32),
        ("reference", mg.float64),
        ("reference", mg.int64),
        ("reference", mg.uint8),
    ]


def test_halves_are_widened(probe):
    k, calls = probe
    for dtype in (mg.float16, mg.bfloat16):
        assert run(k, dtype) == [2, 3, 4]
    assert calls == [("native", mg.float32)] * 2


def test_halves_round_once():
    """In float16 2048 + 1 + 1 would be 2048 at each step; widened, the sum is rounded at the end."""
    assert mg.tensor([2048.0, 1, 1], dtype=mg.float16).sum().item() == 2050
    assert mg.full((1000,), 0.1, dtype=mg.bfloat16).sum().item() == pytest.approx(100, rel=0.01)
    assert mg.tensor([300.0], dtype=mg.float16).mul(300).item() == np.inf


def test_backends(probe):
    k, calls = probe
    mg.use_backend("numpy")
    assert (mg.backend_name(), run(k, mg.float32)) == ("numpy", [2, 3, 4])
    mg.use_backend("cpu")
    assert (mg.backend_name(), run(k, mg.float32)) == ("cpu", [2, 3, 4])
    with mg.tier("reference"):
        run(k, mg.float32)
        with mg.tier("native"):
            run(k, mg.float32)
        run(k, mg.float32)
    run(k, mg.float32)
    assert [where for where, _ in calls] == ["reference", "native", "reference", "native", "reference", "native"]


def test_tier_comes_back_after_an_error():
    before = mg.backend_name()
    with pytest.raises(ZeroDivisionError), mg.tier("reference"):
        1 / 0
    assert mg.backend_name() == before


def test_unknown_backends():
    with pytest.raises(ValueError, match=r"\[use_backend\] unknown backend 'tpu', expected 'cpu' or 'numpy'"):
        mg.use_backend("tpu")


def test_a_missing_extension_is_said(monkeypatch):
    monkeypatch.setattr(cpu, "kernels", dict)
    monkeypatch.setattr(cpu, "reason", lambda: "no compiler")
    with pytest.raises(RuntimeError, match=r"\[use_backend\] the C\+\+ extension is not available: no compiler"):
        mg.use_backend("cpu")


def test_names_are_unique():
    with pytest.raises(ValueError, match=r"\[kernel\] exp_forward is defined twice"):

        @kernel()
        def exp_forward(y, x):
            pass


def test_the_key_decides():
    """A comparison writes bools: its body is chosen by what it reads."""
    assert KERNELS["eq_forward"].key == 1
    assert isinstance(KERNELS["eq_forward"], Kernel)
    assert repr(KERNELS["eq_forward"]) == "<kernel eq_forward>"


def test_references_raise_no_warnings():
    y = np.empty(3)
    KERNELS["log_forward"].reference(y, np.array([0.0, -1.0, 1.0]))
    assert y[0] == -np.inf
    assert np.isnan(y[1])


# In processes of their own -------------------------------------------------------------------------------------------


def python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip().splitlines()


TRACED = "import minigrad as mg; x = mg.ones(2, 3); y = x.exp(); x.double().exp(); x.half().exp(); mg.rand(2)"


@native
def test_trace():
    _, lines = python(TRACED, MINIGRAD_TRACE="1")
    assert f"[minigrad] exp_forward (native {cpu.isa()}) float32[2, 3] float32[2, 3]" in lines
    assert "[minigrad] exp_forward (reference) float64[2, 3] float64[2, 3]" in lines
    assert f"[minigrad] exp_forward (native {cpu.isa()}) float16[2, 3] float16[2, 3]" in lines
    assert any(line.startswith(f"[minigrad] uniform_fill (native {cpu.isa()}) float32[2] ") for line in lines)


def test_trace_of_the_reference():
    _, lines = python(TRACED, MINIGRAD_TRACE="1", MINIGRAD_BACKEND="numpy")
    assert lines
    assert all("(reference)" in line for line in lines if line.startswith("[minigrad]"))


def test_no_trace_by_default():
    assert not [line for line in python(TRACED, MINIGRAD_TRACE="0")[1] if "exp_forward" in line]


def test_the_backend_can_be_switched_off_from_outside():
    code = "import minigrad as mg; from minigrad.backend import cpu; print(mg.backend_name(), cpu.isa(), cpu.reason())"
    assert python(code, MINIGRAD_BACKEND="numpy")[0] == "numpy None MINIGRAD_BACKEND=numpy"


@native
@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_every_instruction_set_agrees(isa):
    if not all(cpu.cpu_flags().get(flag) for flag in cpu.ISAS[isa]):
        pytest.skip(f"this processor has no {isa}")
    code = (
        "import numpy as np, minigrad as mg; from minigrad.backend import cpu; mg.manual_seed(0)\n"
        "x = mg.randn(50, 33, requires_grad=True); y = (x @ x.T).softmax(-1).exp().sum(); y.backward()\n"
        "print(cpu.isa(), x.sum().item(), y.item(), x.grad.abs().sum().item())"
    )
    found, *values = python(code, MINIGRAD_ISA=isa)[0].split()
    assert found == isa
    mg.manual_seed(0)
    with mg.tier("reference"):
        x = mg.randn(50, 33, requires_grad=True)
        y = (x @ x.T).softmax(-1).exp().sum()
        y.backward()
        expected = [x.sum().item(), y.item(), x.grad.abs().sum().item()]
    np.testing.assert_allclose([float(v) for v in values], expected, rtol=2e-4, atol=1e-4)


@native
def test_an_unknown_instruction_set_is_said():
    code = "from minigrad.backend import cpu; print(cpu.reason())"
    text = python("import warnings; warnings.simplefilter('ignore'); " + code, MINIGRAD_ISA="mmx")[0]
    assert text == "MINIGRAD_ISA=mmx is none of avx512, avx2, baseline"


# Arrays --------------------------------------------------------------------------------------------------------------


def test_arrays():
    a = empty((3, 4), mg.float32)
    assert (a.shape, a.dtype, a.ctypes.data % 64) == ((3, 4), mg.float32, 0)
    assert contiguous(a) is a
    assert contiguous(a.T).flags.c_contiguous
    assert not np.shares_memory(copy(a), a)
    assert cast(np.array([1.7]), mg.int64).tolist() == [1]
    assert (is_view(a), is_view(a[1:]), is_view(a.reshape(12))) == (False, True, True)
    assert owner(a) is owner(a[1:]) is owner(a[1:].T[0]) is a


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,), (7,)])
def test_empty_takes_every_shape(shape):
    for dtype in (mg.float32, mg.float64, mg.bool, mg.int64, mg.float16):
        a = empty(shape, dtype)
        assert (a.shape, a.dtype) == (shape, dtype)


def test_choices_are_remembered():
    k = KERNELS["exp_forward"]
    dispatch.forget_choices()
    assert not k.bodies
    mg.ones(1).exp()
    assert k.bodies
