// Attention: y = softmax(scale q k^T + mask) v for each of a batch of q (L, E), k (S, E), v (S, Ev), and its gradient.
//
// Blocks of kBlock query rows: their scores against all keys they may see fit in the second-level cache, so nothing of
// size L S is ever stored. Backward makes the block's probabilities P again from lse and runs five products:
//
//   dv += P^T dy      dS = P (dy v^T - rowsum(dy y)) scale      dq = dS k      dk += dS^T q

#include <cmath>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/rows.h"

namespace minigrad {
namespace {

constexpr Size kBlock = 56;
constexpr Size kLine = 16;                 // floats in a cache line: no vector is longer
constexpr Size kTaskWork = Size{1} << 19;  // multiplications that make a thread worth its while
constexpr Size kManyBatches = 8;           // from here on every thread takes whole batches

Size whole_vectors(Size n) { return (n + kLanes - 1) / kLanes * kLanes; }

void clear(float* row, Size begin, Size end) {
  if (begin < end) std::fill(row + begin, row + end, 0.0f);
}

struct Problem {
  const float *q, *k, *v;
  const InView<float>& mask;
  Size batch, rows, keys, width, value_width;
  float scale;
  bool causal;

  Size blocks() const { return (rows + kBlock - 1) / kBlock; }
  Size visible(Size row) const { return causal ? std::min(row + 1, keys) : keys; }
  // An odd number of cache lines, so that rows of one column do not share a place in the cache.
  Size stride() const { return ((keys + kLine - 1) / kLine | 1) * kLine; }
};

Problem check(const In<float>& q, const In<float>& k, const In<float>& v, const InView<float>& mask, double scale,
              bool causal) {
  require(q.ndim == 3 && k.ndim == 3 && v.ndim == 3 && q.shape[0] == k.shape[0] && q.shape[0] == v.shape[0] &&
              q.shape[2] == k.shape[2] && k.shape[1] == v.shape[1],
          "expected q (batch, L, E), k (batch, S, E), v (batch, S, Ev)");
  const Problem p{q.data,     k.data,     v.data,     mask,       q.shape[0],
                  q.shape[1], k.shape[1], q.shape[2], v.shape[2], static_cast<float>(scale),
                  causal};
  if (mask.data) {
    Size matrices = 1;
    for (int d = 0; d + 2 < mask.ndim; ++d) matrices *= mask.shape[d];
    require(mask.ndim >= 2 && matrices == p.batch && mask.shape[mask.ndim - 2] == p.rows &&
                mask.shape[mask.ndim - 1] == p.keys,
            "expected a mask of shape (..., L, S) with as many matrices as the batch has");
  }
  return p;
}

Matrix as_is(const float* data, Size cols) { return {data, cols, 1}; }
Matrix transposed(const float* data, Size cols) { return {data, 1, cols}; }

// scores += the mask's row for that query.
void add_mask(const InView<float>& mask, Size b, Size query, Size n, float* scores) {
  const Size step = mask.strides[mask.ndim - 1];
  const char* row = reinterpret_cast<const char*>(mask.data) + query * mask.strides[mask.ndim - 2];
  for (int d = mask.ndim - 3; d >= 0; b /= mask.shape[d--]) row += b % mask.shape[d] * mask.strides[d];
  LongRow<float> to{scores, n};
  if (step == sizeof(float))
    to.each([&](auto at) { to.put(at, to[at] + at.load(reinterpret_cast<const float*>(row))); });
  else
    for (Size j = 0; j < n; ++j) scores[j] += *reinterpret_cast<const float*>(row + j * step);
}

// f(query, its scores up to what it may see, -inf in the rest of the last vector) for `count` queries from `first`.
// What f leaves there counts; the rest becomes 0.
template <class F>
void for_scores(const Problem& p, Size b, Size first, Size count, float* scores, const F& f) {
  const Size stride = p.stride(), keys = p.visible(first + count - 1);
  const Matrix q = as_is(p.q + (b * p.rows + first) * p.width, p.width);
  gemm({count, keys, p.width, q, transposed(p.k + b * p.keys * p.width, p.width), scores, stride});
  parallel_for(count, row_grain(keys), [&](Size begin, Size end) {
    for (Size i = begin; i < end; ++i) {
      const Size seen = p.visible(first + i);
      LongRow<float> row{scores + i * stride, whole_vectors(seen)};
      row.each([&](auto at) { row.put(at, row[at] * VFloat(p.scale)); });
      if (p.mask.data) add_mask(p.mask, b, first + i, seen, row.data);
      std::fill(row.data + seen, row.data + row.cols, -std::numeric_limits<float>::infinity());
      f(i, row);
      clear(row.data, row.cols, keys);
    }
  });
}

void forward_block(const Problem& p, Size b, Size first, float* scores, float* y, double* lse) {
  const Size count = std::min(kBlock, p.rows - first), at = b * p.rows + first, keys = p.visible(first + count - 1);
  float factor[kBlock];
  for_scores(p, b, first, count, scores, [&](Size i, auto& row) {
    const float top = row.peak()[0], peak = std::isinf(top) && top < 0 ? 0.0f : top;
    const float total = row.sum([&](auto at) {
      const VFloat e = exp(row[at] - VFloat(peak));
      row.put(at, e);
      return e;
    })[0];
    factor[i] = total == 0 ? 0.0f : 1 / total;
    lse[at + i] = total == 0 ? HUGE_VAL : std::log(static_cast<double>(total)) + peak;
  });
  const Matrix v = as_is(p.v + b * p.keys * p.value_width, p.value_width);
  gemm({count, p.value_width, keys, as_is(scores, p.stride()), v, y + at * p.value_width, p.value_width});
  for (Size i = 0; i < count; ++i) {
    LongRow<float> row{y + (at + i) * p.value_width, p.value_width};
    row.each([&](auto at) { row.put(at, row[at] * VFloat(factor[i])); });
  }
}

struct Gradients {
  float *dq, *dk, *dv;
  const float *dy, *y;
  const double* lse;
};

// Adds the block's share to dk and dv, writes its rows of dq. `p` and `ds` are working space for kBlock rows.
void backward_block(const Problem& p, const Gradients& g, Size b, Size first, float* probabilities, float* ds) {
  const Size count = std::min(kBlock, p.rows - first), at = b * p.rows + first, keys = p.visible(first + count - 1);
  const Size stride = p.stride(), width = p.width, value_width = p.value_width, key = b * p.keys;
  const float *dy = g.dy + at * value_width, *y = g.y + at * value_width;
  const Matrix q = as_is(p.q + at * width, width), k = as_is(p.k + key * width, width);
  gemm(
      {count, keys, value_width, as_is(dy, value_width), transposed(p.v + key * value_width, value_width), ds, stride});
  for_scores(p, b, first, count, probabilities, [&](Size i, auto& row) {
    const double lse = g.lse[at + i];
    const VFloat high(static_cast<float>(lse)),
        low(std::isinf(lse) ? 0.0f : static_cast<float>(lse - static_cast<float>(lse)));
    const LongRow<const float> dy_row{dy + i * value_width, value_width}, y_row{y + i * value_width, value_width};
    const VFloat mean = dy_row.sum([&](auto at) { return dy_row[at] * y_row[at]; });
    LongRow<float> slope{ds + i * stride, row.cols};
    row.each([&](auto at) {
      const VFloat share = exp(row[at] - high - low);
      row.put(at, share);
      slope.put(at, share * (slope[at] - mean) * VFloat(p.scale));
    });
    clear(slope.data, slope.cols, keys);
  });
  float *dq = g.dq + at * width, *dk = g.dk + key * width, *dv = g.dv + key * value_width;
  gemm({keys, value_width, count, transposed(probabilities, stride), as_is(dy, value_width), dv, value_width, nullptr,
        true});
  gemm({count, width, keys, as_is(ds, stride), k, dq, width});
  gemm({keys, width, count, transposed(ds, stride), q, dk, width, nullptr, true});
}

}  // namespace

void attention_forward(Out<float> y, Out<double> lse, In<float> q, In<float> k, In<float> v, Maybe<InView<float>> mask,
                       double scale, bool causal) {
  const Problem p = check(q, k, v, mask, scale, causal);
  require(y.size == p.batch * p.rows * p.value_width && lse.size == p.batch * p.rows,
          "expected y (batch, L, Ev) and lse (batch, L)");
  const Size work = std::min(kBlock, p.rows) * p.keys * (p.width + p.value_width);
  parallel_for(p.batch * p.blocks(), kTaskWork / std::max<Size>(1, work), [&](Size begin, Size end) {
    const Scratch<float> scores(std::min(kBlock, p.rows) * p.stride());
    for (Size task = begin; task < end; ++task)
      forward_block(p, task / p.blocks(), task % p.blocks() * kBlock, scores.data(), y.data, lse.data);
  });
}

void attention_backward(Out<float> dq, Out<float> dk, Out<float> dv, In<float> dy, In<float> y, In<double> lse,
                        In<float> q, In<float> k, In<float> v, Maybe<InView<float>> mask, double scale, bool causal) {
  const Problem p = check(q, k, v, mask, scale, causal);
  require_same_shape(dq, q, "dq and q");
  require_same_shape(dk, k, "dk and k");
  require_same_shape(dv, v, "dv and v");
  require_same_shape(dy, y, "dy and y");
  require(y.size == p.batch * p.rows * p.value_width && lse.size == p.batch * p.rows,
          "expected y (batch, L, Ev) and lse (batch, L)");
  const Gradients g{dq.data, dk.data, dv.data, dy.data, y.data, lse.data};
  std::fill_n(dk.data, dk.size, 0.0f);
  std::fill_n(dv.data, dv.size, 0.0f);
  // With few batches the threads share the products of one block instead.
  parallel_for(p.batch, p.batch < kManyBatches ? p.batch : 1, [&](Size begin, Size end) {
    const Size size = std::min(kBlock, p.rows) * p.stride();
    const Scratch<float> probabilities(size), ds(size);
    for (Size b = begin; b < end; ++b)
      for (Size first = 0; first < p.rows; first += kBlock)
        backward_block(p, g, b, first, probabilities.data(), ds.data());
  });
}

}  // namespace minigrad
