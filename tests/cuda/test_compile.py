"""`minigrad.cuda.compile`: from a text to something that can be called, and what is said when that fails."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.simulated import empty
from minigrad.cuda import build
from tests.cuda.test_simulator import there, zeros

SAXPY = """
extern "C" __global__ void saxpy(float* y, const float* x, float a, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] += a * x[i];
}
"""


def test_one_kernel_is_returned_itself():
    saxpy, y = mg.cuda.compile(SAXPY), zeros(100)
    saxpy(4, 32, (y, there(np.arange(100, dtype=np.float32)), 0.5, 100))
    np.testing.assert_array_equal(y, np.arange(100) / 2)
    assert repr(saxpy) == "<kernel saxpy(float* y, const float* x, float a, int n)>"


def test_of_several_kernels_a_module():
    module = mg.cuda.compile(SAXPY + SAXPY.replace("saxpy", "again"))
    assert list(module) == ["saxpy", "again"]
    assert module.again.name == module["again"].name == "again"
    assert mg.cuda.compile(module.source, "again").name == "again"
    with pytest.raises(KeyError, match="no kernel 'other', expected one of saxpy, again"):
        module["other"]
    with pytest.raises(AttributeError, match="no kernel 'other'"):
        module.other


def test_a_file_that_changed_is_compiled_anew():
    twice = mg.cuda.compile(SAXPY.replace("+= a", "+= 2.0f * a"))
    y = zeros(4)
    for kernel in (mg.cuda.compile(SAXPY), twice):
        kernel(1, 32, (y, there(np.ones(4, np.float32)), 1.0, 4))
    np.testing.assert_array_equal(y, [3, 3, 3, 3])


def test_what_the_compiler_says():
    with pytest.raises(mg.cuda.CompileError, match=r"mine\.cu:4:\d+: error"):
        mg.cuda.compile(SAXPY.replace("if (i < n)", "if (i < m)"), file="mine.cu")


def test_a_source_without_kernels():
    with pytest.raises(ValueError, match='expected `extern "C" __global__'):
        mg.cuda.compile("__global__ void f() {}")


def test_unknown_modes_and_orders():
    with pytest.raises(ValueError, match="unknown order 'sideways'"), mg.cuda.simulate(order="sideways"):
        pass
    with pytest.raises(ValueError, match="unknown mode 'slow'"), mg.cuda.simulate(mode="slow"):
        pass


@pytest.mark.parametrize(
    "args, error, words",
    [
        ((zeros(4), zeros(4), 1.0), TypeError, "found 3 arguments, expected y, x, a, n"),
        ((np.zeros(4, np.float32), zeros(4), 1.0, 4), TypeError, "argument y is an array on cpu of float32"),
        ((zeros(4), zeros(4, dtype=np.float64), 1.0, 4), TypeError, "x is an array of float64, expected float"),
        ((zeros(4), zeros(4, 4)[:, 0], 1.0, 4), ValueError, r"argument x has strides \(16,\), expected contiguous"),
        ((zeros(4), zeros(4), "two", 4), TypeError, "argument a is 'two', expected float"),
        ((zeros(4), zeros(4), 1.0, 2**40), TypeError, "argument n is 1099511627776, expected int"),
        ((3.0, zeros(4), 1.0, 4), TypeError, "argument y is float"),
    ],
)
def test_arguments_are_checked(args, error, words):
    with pytest.raises(error, match=words):
        mg.cuda.compile(SAXPY)(1, 32, args)


def test_numbers_take_the_declared_type():
    typed = mg.cuda.compile("""
    extern "C" __global__ void numbers(double* y, float a, double b, int c, long long d, unsigned char* flag, bool e) {
      y[0] = a, y[1] = b, y[2] = c, y[3] = static_cast<double>(d), y[4] = e, flag[0] = 7;
    }
    """)
    y, flag = empty((5,), np.float64), zeros(1, dtype=bool)
    typed(1, 1, (y, np.float64(0.1), 0.1, True, 2**40, flag.view(np.uint8), np.True_))
    np.testing.assert_array_equal(y, [np.float32(0.1), 0.1, 1, 2**40, 1])
    assert flag.view(np.uint8).item() == 7


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    build.compiler.cache_clear()
    try:
        with pytest.raises(RuntimeError, match="needs a C\\+\\+ compiler, found none: install"):
            build.compiler()
    finally:
        build.compiler.cache_clear()
