// What this processor can do at best: the ceilings that the benchmarks hold kernels against. Each call is one attempt
// with all threads of the pool; the caller keeps the best of several.
#pragma once

#include "cpu/array.h"

namespace minigrad {

// Float32 operations per second of `rounds` independent multiply-adds per register and chunk.
double fma_rate(Size rounds);

// Bytes per second over `bytes` in all, each thread going over a share of its own `repeats` times. A copy counts what
// it reads and what it writes; `bytes` is the two together.
double read_rate(Size bytes, Size repeats);
double copy_rate(Size bytes, Size repeats);

}  // namespace minigrad
