// What the last two steps share: both matrices are copied, a block at a time, into the order in which the tiles read
// them, b as panels of kCols columns, a as strips of kRows rows; what is missing at the edges becomes zeros.
// Every load then continues where the last one ended: no cache set and no page is visited for a few bytes only.
//
// The file that includes it defines kRows, kCols and `tile(sum, strip, panel, depth)`, which fills sum (kRows, kCols).
#pragma once

#include <algorithm>
#include <vector>

constexpr long kDepth = 512, kBlockRows = 120;

static void pack_panels(float* out, const float* b, long n, long depth, long cols) {
  for (long j = 0; j < cols; j += kCols)
    for (long p = 0; p < depth; ++p)
      for (long x = 0; x < kCols; ++x) *out++ = j + x < cols ? b[p * n + j + x] : 0.0f;
}

static void pack_strips(float* out, const float* a, long k, long depth, long rows) {
  for (long i = 0; i < rows; i += kRows)
    for (long p = 0; p < depth; ++p)
      for (long y = 0; y < kRows; ++y) *out++ = i + y < rows ? a[(i + y) * k + p] : 0.0f;
}

static void add_tile(float* c, long n, const float* sum, long rows, long cols) {
  for (long y = 0; y < rows; ++y)
    for (long x = 0; x < cols; ++x) c[y * n + x] += sum[y * kCols + x];
}

extern "C" void multiply(float* c, const float* a, const float* b, long m, long n, long k) {
  std::vector<float> panels(kDepth * (n + kCols)), strips(kDepth * (kBlockRows + kRows));
  std::fill(c, c + m * n, 0.0f);
  for (long top = 0; top < k; top += kDepth) {
    const long depth = std::min(kDepth, k - top);
    pack_panels(panels.data(), b + top * n, n, depth, n);
    for (long first = 0; first < m; first += kBlockRows) {
      const long rows = std::min(kBlockRows, m - first);
      pack_strips(strips.data(), a + first * k + top, k, depth, rows);
      for (long j = 0; j < n; j += kCols)
        for (long i = 0; i < rows; i += kRows) {
          alignas(64) float sum[kRows * kCols];
          tile(sum, &strips[i * depth], &panels[j * depth], depth);
          add_tile(c + (first + i) * n + j, n, sum, std::min(kRows, rows - i), std::min(kCols, n - j));
        }
    }
  }
}
