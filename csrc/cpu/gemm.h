// C = X Y in float32: the matrix product behind matmul, linear, and whatever else multiplies.
#pragma once

#include "cpu/array.h"

namespace minigrad {

// A matrix seen through element strides: at(i, j) = data[i * row + j * col].
struct Matrix {
  const float* data;
  Size row, col;
};

// What happens to a part of C that is done, by the thread that made it, while it lies in the cache.
struct Finish {
  const void* context;
  void (*run)(const void* context, float* c, Size rows, Size cols, Size ldc);
};

// c (m, n), rows `ldc` apart, = a (m, k) b (k, n) + bias (n) or nothing; `accumulate` adds to what c holds instead,
// `relu` makes what is negative then 0, `finish` sees every part of C last.
struct Gemm {
  Size m, n, k;
  Matrix a, b;
  float* c;
  Size ldc;
  const float* bias = nullptr;
  bool accumulate = false, relu = false;
  const Finish* finish = nullptr;
};

// `count` products of one shape; the i-th uses a.data + i * a_step and so on. Threaded; the same bits for any number of
// threads.
void gemm(const Gemm& first, Size count = 1, Size a_step = 0, Size b_step = 0, Size c_step = 0);

}  // namespace minigrad
