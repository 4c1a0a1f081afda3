// The norm of many arrays as of one vector, and their scaling where it is too large; the reference is
// minigrad/ops/clip_grad.py. One pass over memory each.

#include <cmath>
#include <vector>

#include "cpu/kernels.h"
#include "cpu/lists.h"
#include "cpu/simd.h"

namespace minigrad {
namespace {

constexpr int kHalf = kLanes > 1 ? kLanes / 2 : 1;  // as many doubles as fit into a vector
using Half = Simd<float, kHalf>;
using Wide = Simd<double, kHalf>;

// In double: no square of a float is too large or too small for it.
double sum_of_squares(const float* x, Size n) {
  Wide acc[4] = {Wide(0.0), Wide(0.0), Wide(0.0), Wide(0.0)};
  const auto add = [](Wide& acc, Half x) {
    const Wide wide = convert<double>(x);
    acc = fma(wide, wide, acc);
  };
  Size i = 0;
  for (; i + 4 * kHalf <= n; i += 4 * kHalf)
    for (int k = 0; k < 4; ++k) add(acc[k], Half::load(x + i + k * kHalf));
  for (; i < n; i += kHalf) add(acc[0], Half::load(x + i, std::min<Size>(kHalf, n - i)));
  return sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

}  // namespace

void total_norm(Out<float> norm, List<In<float>> arrays) {
  require(norm.size == 1, "expected a norm of one element");
  std::vector<double> sums(static_cast<std::size_t>(arrays.size / kStreamGrain + 1));
  for_pieces(arrays, [&](Size chunk, Size k, Size first, Size last) {
    sums[static_cast<std::size_t>(chunk)] += sum_of_squares(arrays[k].data + first, last - first);
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  *norm.data = static_cast<float>(std::sqrt(total));
}

void clip_norm(List<Out<float>> arrays, In<float> norm, double max_norm) {
  require(norm.size == 1, "expected a norm of one element");
  const auto factor = static_cast<float>(max_norm / (static_cast<double>(*norm.data) + 1e-6));
  if (factor >= 1) return;  // NaN goes on
  const VFloat scale(factor);
  for_pieces(arrays, [&](Size, Size k, Size first, Size last) {
    float* x = arrays[k].data;
    for (; first + kLanes <= last; first += kLanes) (VFloat::load(x + first) * scale).store(x + first);
    if (first < last) (VFloat::load(x + first, last - first) * scale).store(x + first, last - first);
  });
}

}  // namespace minigrad
