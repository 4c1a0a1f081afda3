// Attention: y = softmax(scale q k^T + mask) v for each of a batch of q (L, E), k (S, E), v (S, Ev), and its gradient.
//
// Nothing of size L S is ever stored. Forward takes some query rows at a time and all keys they may see. Backward takes
// blocks of query rows against chunks of keys, makes their probabilities P again from lse, and runs five products:
//
//   dv += P^T dy      dS = P (dy v^T - rowsum(dy y)) scale      dq += dS k      dk += dS^T q
//
// What a head's products need turned, or lies scattered, is packed into panels once: the arrays may lie in memory as
// they like, row by row.
// With fewer heads than threads backward runs twice, by chunks for dk and dv and by blocks for dq: the same sums in the
// same order.

#include <cmath>
#include <vector>

#include "cpu/attention_block.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/parallel.h"
#include "cpu/rows.h"

namespace minigrad {
namespace {

using namespace attention;

constexpr Size kScores = Size{1} << 16;    // floats of scores at once in forward
constexpr Size kTaskWork = Size{1} << 19;  // multiplications that make a thread worth its while
constexpr Size kManyHeads = 8, kTasks = 32;

// --- forward ---

// The scores of kLanes rows from i on become e^(score - their maximum); lanes of maxima and sums come back.
void exponentials(const Block& k, Size i, float* scores, Size stride, VFloat& peak, VFloat& total) {
  const Size rows = std::min<Size>(kLanes, k.rows - i);
  VFloat part[kLanes];
  for (int r = 0; r < kLanes; ++r) part[r] = VFloat(-kInf);
  for (Size r = 0; r < rows; ++r) {
    float* const row = scores + (i + r) * stride;
    end_row(k, i + r, row);
    for (Size j = 0; j < k.seen(i + r); j += kLanes) part[r] = max(VFloat::load(row + j), part[r]);
  }
  peak = fold_each(part, [](VFloat a, VFloat b) { return max(a, b); });
  peak = select(peak == VFloat(-kInf), VFloat(0.0f), peak);
  for (int r = 0; r < kLanes; ++r) part[r] = VFloat(0.0f);
  for (Size r = 0; r < rows; ++r) {
    float* const row = scores + (i + r) * stride;
    const VFloat top(peak[static_cast<int>(r)]);
    VFloat sum(0.0f);
    for (Size j = 0, seen = k.seen(i + r); j < seen; j += kLanes) {
      const VFloat e = exp_bounded(VFloat::load(row + j) - top);
      e.store(row + j);
      sum += e;
    }
    part[r] = sum;
    clear_unseen(k, i + r, row);
  }
  total = fold_each(part, [](VFloat a, VFloat b) { return a + b; });
}

// factor: what brings the sum of a row to 1; lse: the logarithm of its sum.
void softmax_rows(const Block& k, float* scores, Size stride, float* factor, double* lse) {
  for (Size i = 0; i < k.rows; i += kLanes) {
    VFloat peak, total;
    exponentials(k, i, scores, stride, peak, total);
    select(total == VFloat(0.0f), VFloat(0.0f), VFloat(1.0f) / total).store(factor + i);
    const VFloat logs = log(total);
    for (int r = 0; r < std::min<Size>(kLanes, k.rows - i); ++r)
      lse[i + r] = total[r] == 0 ? HUGE_VAL : static_cast<double>(logs[r]) + peak[r];
  }
}

// The queries first..last of one head, `rows` at a time.
void forward_head(const Problem& p, Size b, Size first, Size last, Size rows, const Sink& y, double* lse) {
  const Size keys = p.visible(last - 1), stride = padded(keys) + kPanel, width = padded(p.width);
  const Size value_width = padded(p.value_width);
  const bool few = p.rows <= tile::kDotRows;  // then packing would be the larger part
  const bool in_place = few ? whole(p.value_width) : dense(p.value_width, p.v.step);
  const Scratch<float> k_panels(few ? 0 : padded(keys) * p.width), v_panels(in_place ? 0 : keys * value_width);
  const Scratch<float> q(rows * width), scores(rows * stride), out(rows * value_width);
  Right k{}, v{p.v[b], p.v.step, kPanel};
  if (!few) k = pack_turned(p.k[b], p.k.step, keys, p.width, k_panels.data());
  if (!in_place) v = pack(p.v[b], p.v.step, keys, p.value_width, v_panels.data());
  for (Size at = first; at < last; at += rows) {
    const Size count = std::min(rows, last - at);
    const Block block{p, b, at, count, 0, p.visible(at + count - 1)};
    copy_rows(p.q[b] + at * p.q.step, p.q.step, q.data(), width, count, p.width, width, p.scale);
    if (few)
      tile::kDots[count - 1](p.width, q.data(), width, p.k[b], p.k.step, block.keys, scores.data(), stride, 1);
    else
      multiply(count, block.keys, {q.data(), width, 1}, k, {scores.data(), stride},
               [&](Size i, Size r) { return block.of_scores(i, r, p.width); });
    float factor[kBlock + kLanes];
    softmax_rows(block, scores.data(), stride, factor, lse + b * p.rows + at);
    multiply(count, value_width, {scores.data(), stride, 1}, v, {out.data(), value_width},
             [&](Size i, Size r) { return block.of_rows(i, r, value_width); });
    for (Size i = 0; i < count; ++i)
      copy_rows(out.data() + i * value_width, 0, y[b] + (at + i) * y.step, 0, 1, p.value_width, p.value_width,
                factor[i]);
  }
}

// --- backward ---

struct Gradients {
  Sink dq, dk, dv;
  Source dy, y;
  const double* lse;
};

// Some queries against some keys of a head, and whose gradients are wanted.
struct Span {
  Size first_query, last_query, first_key, last_key;
  bool of_keys, of_queries;
};

// A chunk of keys as the blocks of queries need it.
struct Chunk {
  Size first, keys;
  Right turned_k, turned_v, k;
  Rows<float> dk, dv;
};

class Backward {
 public:
  Backward(const Problem& p, const Gradients& g, Size b, const Span& s)
      : p_(p),
        g_(g),
        b_(b),
        span_(s),
        width_(padded(p.width)),
        value_width_(padded(p.value_width)),
        keys_(s.last_key - s.first_key),
        k_panels_(padded(keys_) * p.width),
        v_panels_(padded(keys_) * p.value_width),
        k_rows_(s.of_queries && !dense(p.width, p.k.step) ? keys_ * width_ : 0),
        dk_(s.of_keys && !whole(p.width) ? keys_ * width_ : 0),
        dv_(s.of_keys && !whole(p.value_width) ? keys_ * value_width_ : 0),
        q_rows_(dense(p.width, p.q.step) ? 0 : kBlock * width_),
        dy_rows_(dense(p.value_width, g.dy.step) ? 0 : kBlock * value_width_),
        dq_rows_(whole(p.width) ? 0 : kBlock * width_),
        scores_(kBlock * kStride),
        slopes_(kBlock * kStride) {}

  void run() {
    for (Size key = span_.first_key; key < span_.last_key; key += kChunk) add_chunk(key);
    for (Size query = span_.first_query; query < span_.last_query; query += kBlock) {
      const Size rows = std::min(kBlock, span_.last_query - query), seen = p_.visible(query + rows - 1);
      if (seen <= span_.first_key && !span_.of_queries) continue;
      start_block(query, rows);
      for (const Chunk& chunk : chunks_)
        if (chunk.first < seen) run_block({p_, b_, query, rows, chunk.first, chunk.keys}, chunk);
      if (span_.of_queries) end_block(query, rows);
    }
    if (!span_.of_keys) return;
    const Size seen = p_.rows ? p_.visible(p_.rows - 1) - span_.first_key : 0;
    end_keys(g_.dk, dk_, p_.width, std::clamp<Size>(seen, 0, keys_));
    end_keys(g_.dv, dv_, p_.value_width, std::clamp<Size>(seen, 0, keys_));
  }

 private:
  static constexpr Size kStride = (padded(kChunk) / 16 | 1) * 16;  // an odd number of cache lines

  void add_chunk(Size key) {
    const Size at = key - span_.first_key, keys = std::min(kChunk, span_.last_key - key);
    const float *const k = p_.k[b_] + key * p_.k.step, *const v = p_.v[b_] + key * p_.v.step;
    Chunk chunk{key, keys, {}, {}, {k, p_.k.step, kPanel}, {}, {}};
    chunk.turned_k = pack_turned(k, p_.k.step, keys, p_.width, k_panels_.data() + at * p_.width);
    chunk.turned_v = pack_turned(v, p_.v.step, keys, p_.value_width, v_panels_.data() + at * p_.value_width);
    if (span_.of_queries && !dense(p_.width, p_.k.step))
      chunk.k = pack(k, p_.k.step, keys, p_.width, k_rows_.data() + at * width_);
    chunk.dk = rows_of(g_.dk, key, dk_.data() + at * width_),
    chunk.dv = rows_of(g_.dv, key, dv_.data() + at * value_width_);
    chunks_.push_back(chunk);
  }

  // Where the gradient's rows from `first` on are summed: where they belong, or in a buffer.
  Rows<float> rows_of(const Sink& to, Size first, float* buffer) const {
    return whole(to.cols) ? Rows<float>{to[b_] + first * to.step, to.step} : Rows<float>{buffer, padded(to.cols)};
  }

  // Rows of an input from `first` on, copied if they lie apart.
  Rows<const float> brought(const Source& from, Size first, Size rows, float* buffer) const {
    const float* data = from[b_] + first * from.step;
    if (dense(from.cols, from.step)) return {data, from.step};
    copy_rows(data, from.step, buffer, padded(from.cols), rows, from.cols, padded(from.cols));
    return {buffer, padded(from.cols)};
  }

  void start_block(Size query, Size rows) {
    const float *const dy = g_.dy[b_] + query * g_.dy.step, *const y = g_.y[b_] + query * g_.y.step;
    q_ = brought(p_.q, query, rows, q_rows_.data()), dy_ = brought(g_.dy, query, rows, dy_rows_.data());
    dq_ = rows_of(g_.dq, query, dq_rows_.data());
    for (Size i = 0; i < rows; ++i) {
      const LongRow<const float> dy_row{dy + i * g_.dy.step, p_.value_width}, y_row{y + i * g_.y.step, p_.value_width};
      mean_[i] = dy_row.sum([&](auto at) { return dy_row[at] * y_row[at]; })[0];
    }
  }

  void run_block(const Block& block, const Chunk& chunk) {
    const Size rows = block.rows, seen = block.seen(rows - 1);
    const Rows<float> scores{scores_.data(), kStride}, slopes{slopes_.data(), kStride};
    multiply(rows, seen, {q_.data, q_.step, 1}, chunk.turned_k, scores,
             [&](Size i, Size r) { return block.of_scores(i, r, p_.width); });
    multiply(rows, seen, {dy_.data, dy_.step, 1}, chunk.turned_v, slopes,
             [&](Size i, Size r) { return block.of_scores(i, r, p_.value_width); });
    take_slopes(block);
    if (span_.of_keys) {
      multiply(seen, value_width_, {scores.data, 1, kStride}, {dy_.data, dy_.step, kPanel}, chunk.dv,
               [&](Size i, Size) { return block.of_keys(i, value_width_); });
      multiply(seen, width_, {slopes.data, 1, kStride}, {q_.data, q_.step, kPanel}, chunk.dk,
               [&](Size i, Size) { return block.of_keys(i, width_); });
    }
    if (span_.of_queries)
      multiply(rows, width_, {slopes.data, kStride, 1}, chunk.k, dq_,
               [&](Size i, Size r) { return block.of_rows(i, r, width_); });
  }

  // P and dS from the scores and dy v^T, in their place.
  void take_slopes(const Block& block) {
    const double* lse = g_.lse + b_ * p_.rows + block.first;
    const VFloat scale(p_.scale), factor(p_.mask.data ? 1.0f : p_.scale);
    for (Size i = 0; i < block.rows; ++i) {
      float *const scores = scores_.data() + i * kStride, *const slopes = slopes_.data() + i * kStride;
      end_row(block, i, scores, p_.scale);
      const VFloat high(static_cast<float>(lse[i])), mean(mean_[i]);
      const VFloat low(std::isinf(lse[i]) ? 0.0f : static_cast<float>(lse[i] - static_cast<float>(lse[i])));
      for (Size j = 0, seen = block.seen(i); j < seen; j += kLanes) {
        const VFloat share = exp_bounded(fma(VFloat::load(scores + j), factor, -high) - low);
        share.store(scores + j);
        (share * ((VFloat::load(slopes + j) - mean) * scale)).store(slopes + j);
      }
      clear_unseen(block, i, scores);
      clear_unseen(block, i, slopes);
    }
  }

  void end_block(Size query, Size rows) {
    float* const dq = g_.dq[b_] + query * g_.dq.step;
    if (!whole(p_.width) && keys_) copy_rows(dq_.data, dq_.step, dq, g_.dq.step, rows, p_.width, p_.width);
    for (Size i = 0; !keys_ && i < rows; ++i) std::fill_n(dq + i * g_.dq.step, p_.width, 0.0f);
  }

  // The first `seen` keys have a gradient, the others zeros.
  void end_keys(const Sink& to, const Scratch<float>& buffer, Size cols, Size seen) {
    float* const rows = to[b_] + span_.first_key * to.step;
    if (!whole(cols)) copy_rows(buffer.data(), padded(cols), rows, to.step, seen, cols, cols);
    for (Size i = seen; i < keys_; ++i) std::fill_n(rows + i * to.step, cols, 0.0f);
  }

  const Problem& p_;
  const Gradients& g_;
  const Size b_;
  const Span span_;
  const Size width_, value_width_, keys_;
  const Scratch<float> k_panels_, v_panels_, k_rows_, dk_, dv_, q_rows_, dy_rows_, dq_rows_, scores_, slopes_;
  Rows<const float> q_{}, dy_{};
  Rows<float> dq_{};
  float mean_[kBlock];
  std::vector<Chunk> chunks_;
};

}  // namespace

void attention_forward(OutView<float> y, Out<double> lse, InView<float> q, InView<float> k, InView<float> v,
                       Maybe<InView<float>> mask, double scale, bool causal) {
  const Problem p = check(q, k, v, mask, scale, causal);
  const Sink out(y);
  require_shape(out, p, p.rows, p.value_width, "expected y (batch, L, Ev)");
  require(lse.size == p.batch * p.rows, "expected lse (batch, L)");
  if (!p.rows) return;
  const Size fitting = std::clamp(kScores / std::max<Size>(p.keys, 1) / kTile * kTile, kTile, kBlock);
  const Size rows = p.rows <= tile::kDotRows ? p.rows : fitting;
  const Size blocks = (p.rows + rows - 1) / rows;
  const Size parts = p.batch >= kManyHeads ? 1 : std::min(blocks, kTasks / std::max<Size>(p.batch, 1));
  const Size part = (blocks + parts - 1) / parts * rows;
  parallel_for(p.batch * parts, kTaskWork / std::max<Size>(1, p.work() / parts), [&](Size begin, Size end) {
    for (Size task = begin; task < end; ++task) {
      const Size first = task % parts * part;
      if (first < p.rows) forward_head(p, task / parts, first, std::min(p.rows, first + part), rows, out, lse.data);
    }
  });
}

void attention_backward(OutView<float> dq, OutView<float> dk, OutView<float> dv, InView<float> dy, InView<float> y,
                        In<double> lse, InView<float> q, InView<float> k, InView<float> v, Maybe<InView<float>> mask,
                        double scale, bool causal) {
  const Problem p = check(q, k, v, mask, scale, causal);
  const Gradients g{Sink(dq), Sink(dk), Sink(dv), Source(dy), Source(y), lse.data};
  require_shape(g.dq, p, p.rows, p.width, "expected dq in the shape of q");
  require_shape(g.dk, p, p.keys, p.width, "expected dk in the shape of k");
  require_shape(g.dv, p, p.keys, p.value_width, "expected dv in the shape of v");
  require_shape(g.dy, p, p.rows, p.value_width, "expected dy (batch, L, Ev)");
  require_shape(g.y, p, p.rows, p.value_width, "expected y (batch, L, Ev)");
  require(lse.size == p.batch * p.rows, "expected lse (batch, L)");
  const auto run = [&](Size parts, const auto& span) {
    if (parts == 0) return;
    parallel_for(p.batch * parts, kTaskWork / std::max<Size>(1, 3 * p.work() / parts), [&](Size begin, Size end) {
      for (Size task = begin; task < end; ++task) Backward(p, g, task / parts, span(task % parts)).run();
    });
  };
  if (p.batch >= num_threads()) return run(1, [&](Size) { return Span{0, p.rows, 0, p.keys, true, true}; });
  run((p.keys + kChunk - 1) / kChunk,
      [&](Size i) { return Span{0, p.rows, i * kChunk, std::min(p.keys, (i + 1) * kChunk), true, false}; });
  run((p.rows + kBlock - 1) / kBlock,
      [&](Size i) { return Span{i * kBlock, std::min(p.rows, (i + 1) * kBlock), 0, p.keys, false, true}; });
}

}  // namespace minigrad
