// A block of b, small enough for the second-level cache, is used for all rows of a before the next one is looked at.
// So b comes from memory once, and not once for every row of a.

#include <algorithm>

constexpr long kDepth = 256, kWidth = 256;  // 256 KiB of b

extern "C" void multiply(float* __restrict c, const float* a, const float* b, long m, long n, long k) {
  std::fill(c, c + m * n, 0.0f);
  for (long top = 0; top < k; top += kDepth)
    for (long left = 0; left < n; left += kWidth) {
      const long bottom = std::min(k, top + kDepth), right = std::min(n, left + kWidth);
      for (long i = 0; i < m; ++i)
        for (long p = top; p < bottom; ++p)
          for (long j = left; j < right; ++j) c[i * n + j] += a[i * k + p] * b[p * n + j];
    }
}
