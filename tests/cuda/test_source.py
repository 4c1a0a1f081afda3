"""What is read from the text of a kernel file, and what is changed in it."""

import pytest

from minigrad.cuda.source import (
    Parameter,
    dtype_of,
    form,
    has_halves,
    included,
    signatures,
    translate,
    without_comments,
)

TEXT = """
#include "shared/reduce.cuh"
#include <cuda_fp16.h>
#define UNARY(NAME, FORMULA)                                  \\
  extern "C" __global__ void NAME(float* y, const float* x) { \\
    y[0] = FORMULA;                                           \\
  }                                                           \\
  extern "C" __global__ void NAME##_strided(float* y, int n) {}
#define TILE 16
UNARY(exp_forward, expf(x[0]))
UNARY(pow_forward, powf(x[0], (2, 3)))
// extern "C" __global__ void hidden(float* y) {}
template <int N> __global__ void not_an_entry(float* y) {}
extern "C" __global__ void __launch_bounds__(TILE * 2, 4)
    fill(float* __restrict__ y, const unsigned char* __restrict__ mask, long long n, unsigned int k, bool flag) {
  __shared__ float tile[TILE][TILE + 1];  // padded
  __shared__ alignas(16) half row[8];
  __shared__ int count;
  extern __shared__ float rest[];
}
extern "C" __global__ void nothing() {}
"""


def test_kernels_are_found_in_the_order_of_the_text():
    assert list(signatures(TEXT)) == [
        "exp_forward", "exp_forward_strided", "pow_forward", "pow_forward_strided", "fill", "nothing"
    ]  # fmt: skip


def test_parameters_have_names_and_types():
    fill = signatures(TEXT)["fill"]
    assert fill.bounds == "TILE * 2, 4"
    assert fill.parameters == (
        Parameter("y", "float", pointer=True), Parameter("mask", "unsigned char", pointer=True, const=True),
        Parameter("n", "long long"), Parameter("k", "unsigned int"), Parameter("flag", "bool"),
    )  # fmt: skip
    assert signatures(TEXT)["nothing"].parameters == ()


REAL = """
#include "common.cuh"
#define ROW(T, NAME) extern "C" __global__ void NAME##_row(T* y, const Real* x) {}
ROW(Real, one)
ROW(bool, two)
extern "C" __global__ void three(Real* y, const long long* index, float p) {}
"""


def test_a_file_with_real_has_forms():
    plain, half = signatures(REAL), signatures(form(REAL, "float16"))
    assert list(plain) == ["one_row", "two_row", "three"]
    assert [p.ctype for kernel in plain.values() for p in kernel.parameters] == [
        "float", "float", "bool", "float", "float", "long long", "float"
    ]  # fmt: skip
    assert list(half) == ["one_row_float16", "two_row_float16", "three_float16"]
    assert [p.ctype for kernel in half.values() for p in kernel.parameters] == [
        "__half", "__half", "bool", "__half", "__half", "long long", "float"
    ]  # fmt: skip
    assert [dtype_of(k) for k in ("one_row", "one_row_float16", "three_bfloat16")] == [None, "float16", "bfloat16"]


def test_a_form_keeps_its_lines_and_other_files_have_none():
    before, line, text = form(REAL, "bfloat16").partition("#line 1\n")
    assert (line, text) == ("#line 1\n", REAL) and "#define Real __nv_bfloat16\n" in before
    assert has_halves(REAL) and not has_halves(TEXT + "// Real")
    assert form(REAL, None) == REAL and form(TEXT, "float16") == TEXT


def test_included_files():
    assert included(TEXT) == ["shared/reduce.cuh"]


def test_lines_keep_their_numbers():
    plain = without_comments("a // b\n/* c\n d */ e")
    assert plain == "a     \n    \n      e"
    body = translate(TEXT, "text.cu").split("\n")[1:]
    for number, line in enumerate(TEXT.split("\n")):
        if "__shared__" not in line:
            assert body[number] == line


def test_shared_memory_becomes_references():
    body = translate(TEXT, "text.cu")
    make = "*::cuda_sim::shared_variable"
    assert f'float (&tile)[TILE][TILE + 1] = {make}<float[TILE][TILE + 1]>([] {{}}, "tile", 1' in body
    assert f'half (&row)[8] = {make}<half[8]>([] {{}}, "row", 16' in body
    assert "int &count = *" in body
    assert "float* rest = " in body
    assert 'cuda_sim_entry_fill("fill", &fill, TILE * 2);' in body


@pytest.mark.parametrize("line", ["__shared__ float a[2], b[2];", "__shared__ float\na[2];", "__shared__ int a, b;"])
def test_other_forms_of_shared_memory_are_refused(line):
    with pytest.raises(SyntaxError, match=r"text\.cu:2"):
        translate(f"\n{line}", "text.cu")
