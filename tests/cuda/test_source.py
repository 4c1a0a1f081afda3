"""What is read from the text of a kernel file, and what is changed in it."""

import pytest

from minigrad.cuda.source import Parameter, included, signatures, translate, without_comments

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
