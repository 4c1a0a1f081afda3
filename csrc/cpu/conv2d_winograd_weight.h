// The gradient of the weights of Winograd's convolution: dw = G' (sum over patches of (B' x B) (A dy A')) G.
//
// Some patches at a time are turned into values, image by image; then each of the 36 places is a product of its own,
// with nothing to be added across threads. Read from the end.
#pragma once

#include <algorithm>
#include <atomic>

#include "cpu/conv2d_winograd_run.h"

namespace minigrad::conv::winograd {

constexpr Size kBatch = 128;  // patches at a time: enough for a product, few enough for the cache

// Values of dy, all channels, and the sum of each.
inline void spread_outputs(const Shape& s, const Run& run, const float* dy, float* buffer, const Values& v,
                           float* levels) {
  const Strip strip{s.oh, s.ow, run.top, 0, run.units * kOut, s.across() * kOut};
  for (Size o = 0; o < s.outs; o += W) {
    spread<SpreadOutputs>(s, run, strip, dy + (run.image * s.outs + o) * s.oh * s.ow, std::min(W, s.outs - o), buffer,
                          v.at(o, run.patch), v.place);
    VFloat sum(0.0f);
    for (Size i = 0; i < strip.rows * strip.cols; ++i) sum += VFloat::load(buffer + i * W);
    sum.store(levels + o);
  }
}

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRows = std::min<int>(W, 8);  // of a tile, by kWidth vectors: 24 accumulators of 32 registers
#else
constexpr int kRows = std::min<int>(W, 4);  // 12 of 16
#endif
constexpr int kWidth = 3;

// One place: products of all channels of x with vectors begin .. end of dy, added to sums (36, ins, outs).
inline void add_products(const Values& v, const Values& d, Size place, Size patches, Size begin, Size end, Size ins,
                         Size outs, bool add, float* sums) {
  static constexpr void (*table[])(const Product&) = {&multiply<kRows, 1>, &multiply<kRows, 2>, &multiply<kRows, 3>};
  const float* y = d.at(begin * W, 0) + place * d.place;
  float* c = sums + place * pairs(ins, outs) + begin * W;
  for (Size channel = 0; channel < ins; channel += kRows, c += kRows * outs)
    table[end - begin - 1](
        {1, patches, v.at(channel, 0) + channel % W + place * v.place, 1, 0, W, y, W, d.block, c, outs, W, add});
}

// dw (outs, ins, 3, 3) from the sums; false if one is not finite.
inline bool gather_windows(const Shape& s, const float* sums, float* dw) {
  const Size ins = whole(s.ins), outs = whole(s.outs);
  std::atomic<bool> finite{true};
  parallel_for(s.ins, row_grain(s.outs * kPlaces), [&](Size begin, Size end) {
    Vec all = {};
    for (Size c = begin; c < end; ++c)
      for (Size o = 0; o < s.outs; o += W) {
        float taps[kWindow * kWindow][W];
        both_ways<GatherWindow>(
            [&](int i, int j) { return load(sums + (i * kPatch + j) * pairs(ins, outs) + c * outs + o); },
            [&](int i, int j, Vec value) { VFloat(value).store(taps[i * kWindow + j]), all += 0.0f * value; });
        for (Size l = 0; l < std::min(W, s.outs - o); ++l)
          for (int t = 0; t < kWindow * kWindow; ++t) dw[((o + l) * s.ins + c) * kWindow * kWindow + t] = taps[t][l];
      }
    if (any(is_nan(VFloat(all)))) finite.store(false, std::memory_order_relaxed);
  });
  return finite;
}

// dw and, if wanted, db; false if an element of dw is not finite: then they are not what they should be.
inline bool weight_gradient(const Shape& s, const float* x, const float* dy, float* dw, float* db) {
  const Size ins = whole(s.ins), outs = whole(s.outs), vectors = outs / W;
  const Size panels = ceil_div(vectors, kWidth);
  const Size units = std::clamp<Size>(kBatch / s.across(), 1, s.units()), most = units * s.across();
  const Scratch<float> memory(Values::size(ins, most) + Values::size(outs, most)), sums(kPlaces * pairs(ins, outs));
  const Scratch<float> levels(s.units() * outs);  // of the runs, at their first units
  std::fill_n(levels.data(), s.units() * outs, 0.0f);
  for (Size first = 0; first < s.units(); first += units) {
    const Size count = std::min(units, s.units() - first), patches = count * s.across();
    const Values v(memory.data(), ins, patches), d(memory.data() + Values::size(ins, most), outs, patches);
    const Size share = ceil_div(count, kChunks / 2);
    parallel_for(count, share, [&](Size begin, Size end) {
      float* buffer = thread_scratch(strip_size(s, end - begin));
      for_runs(s, first + begin, first + end, [&](Run run) {
        run.patch += begin * s.across();
        spread_patches(s, run, x, buffer, v);
        spread_outputs(s, run, dy, buffer, d, levels.data() + (first + run.patch / s.across()) * outs);
      });
    });
    parallel_for(kPlaces * panels, panels, [&](Size begin, Size end) {
      for (Size task = begin; task < end; ++task) {
        const Size panel = task % panels;
        add_products(v, d, task / panels, patches, panel * vectors / panels, (panel + 1) * vectors / panels, ins, outs,
                     first > 0, sums.data());
      }
    });
  }
  for (Size o = 0; o < s.outs && db; ++o) {
    double sum = 0;
    for (Size unit = 0; unit < s.units(); ++unit) sum += levels[unit * outs + o];
    db[o] = static_cast<float>(sum);
  }
  return gather_windows(s, sums.data(), dw);
}

}  // namespace minigrad::conv::winograd
