// Losses of every element, l = f(x, t), with their reduction, and their slopes in x. f takes and returns Simd lanes.
#pragma once

#include "cpu/memory.h"
#include "cpu/rows.h"

namespace minigrad {

constexpr Size kLossChunk = kStreamGrain / 2;

// loss = scale f(x, t) element by element, or, where it has one element, scale times the sum of all.
template <class F>
void loss_forward(Out<float> loss, In<float> x, In<float> t, double scale, const F& f) {
  require_same_shape(x, t, "input and target");
  require(loss.size == x.size || loss.size == 1, "expected a loss for every element, or one");
  const bool apart = loss.size == x.size;
  const Size chunks = (x.size + kLossChunk - 1) / kLossChunk;
  const Scratch<double> sums(chunks);
  parallel_for(chunks, 1, [&](Size begin, Size end) {
    for (Size chunk = begin; chunk < end; ++chunk) {
      const Size at = chunk * kLossChunk;
      const LongRow<const float> row{x.data + at, std::min(kLossChunk, x.size - at)};
      const auto losses = [&](auto place) { return f(row[place], place.load(t.data + at)); };
      if (apart)
        row.each([&](auto place) { place.store(loss.data + at, VFloat(static_cast<float>(scale)) * losses(place)); });
      else
        sums[chunk] = row.sum(losses)[0];
    }
  });
  if (apart) return;
  double total = 0;
  for (Size chunk = 0; chunk < chunks; ++chunk) total += sums[chunk];
  *loss.data = static_cast<float>(scale * total);
}

// dx = scale dy slope(x, t); dy as the loss above.
template <class F>
void loss_backward(Out<float> dx, In<float> dy, In<float> x, In<float> t, double scale, const F& slope) {
  require_same_shape(dx, x, "dx and the input");
  require_same_shape(x, t, "input and target");
  require(dy.size == x.size || dy.size == 1, "expected a gradient for every element, or one");
  const bool apart = dy.size == x.size;
  const VFloat factor(static_cast<float>(apart ? scale : scale * *dy.data));
  parallel_for(x.size, kLossChunk, [&](Size begin, Size end) {
    LongRow<float> row{dx.data + begin, end - begin};
    row.each([&](auto place) {
      const VFloat s = factor * slope(place.load(x.data + begin), place.load(t.data + begin));
      row.put(place, apart ? s * place.load(dy.data + begin) : s);
    });
  });
}

}  // namespace minigrad
