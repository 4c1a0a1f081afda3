// Running sums and products of x (outer, n, inner) along n, the recurrence h_i = a_i h_i-1 + b_i, and the gradients of
// the first two, which run from the other end. All are carried in double, as on the CPU.
//
//   _rows    inner = 1: a block for each row, or for each piece of one, tile by tile: a thread takes kOwn neighbours,
//            what the threads found is brought together by a scan
//   _lines   inner > 1: a block takes 32 neighbouring lines, so that loads are coalesced, and cuts n into one part for
//            each of its warps
//
// Where there are few lines and they are long, each is cut into pieces, by its length alone: `_totals` finds what each
// piece makes, in a launch of its own, and a block begins with what the pieces before its own make, in order. That is
// one more reading of x, for as many blocks as there are pieces.
//
// What is computed is an operation F: its State and whether it runs backwards; `load` gives the numbers of a place,
// `state` what they make, and `result` what is written.

#include "scan.cuh"

constexpr int kOwn = 8;                               // elements of a thread in a tile
constexpr int kSegment = kWarp * kOwn;                // elements of a warp
constexpr int kPadded = kSegment + kSegment / kWarp;  // so that lanes kOwn apart find different banks
constexpr int kSegments = 8;                          // warps in a block

namespace {

struct Sum {
  double total = 0.0;

  __device__ __forceinline__ Sum operator()(Sum later) const {
    later.total += total;
    return later;
  }
  __device__ __forceinline__ double value() const { return total; }
};

struct Product {
  double total = 1.0;

  __device__ __forceinline__ Product operator()(Product later) const {
    later.total *= total;
    return later;
  }
  __device__ __forceinline__ double value() const { return total; }
};

// h -> a h + b, begun with h = 0
struct Affine {
  double a = 1.0, b = 0.0;

  __device__ __forceinline__ Affine operator()(Affine later) const {
    later.b = later.a * b + later.b;
    later.a *= a;
    return later;
  }
  __device__ __forceinline__ double value() const { return b; }
};

// The numbers that the operations take: two at most at each place, and one for what is written.
struct Inputs {
  const float *x, *second, *third;
};

struct SumOf {
  using State = Sum;
  static constexpr bool kBackwards = false, kTwo = false;
  static __device__ __forceinline__ float first(const Inputs& in, Size at, Size, bool) { return in.x[at]; }
  static __device__ __forceinline__ float second(const Inputs&, Size) { return 0.0f; }
  static __device__ __forceinline__ State state(float x, float) {
    State s;
    s.total = x;
    return s;
  }
  static __device__ __forceinline__ float result(const Inputs&, Size, double value) {
    return static_cast<float>(value);
  }
};

struct SumOfLater : SumOf {
  static constexpr bool kBackwards = true;
};

struct ProductOf : SumOf {
  using State = Product;
  static __device__ __forceinline__ State state(float x, float) {
    State s;
    s.total = x;
    return s;
  }
};

struct Recurrence : SumOf {  // x is a, second is b
  using State = Affine;
  static constexpr bool kTwo = true;
  static __device__ __forceinline__ float second(const Inputs& in, Size at) { return in.second[at]; }
  static __device__ __forceinline__ State state(float a, float b) {
    State s;
    s.a = a, s.b = b;
    return s;
  }
};

// dx_i = before_i s_i, s_i = dy_i + x_i+1 s_i+1: x is x, second dy, third before
struct ProductSlope : Recurrence {
  static constexpr bool kBackwards = true;
  static __device__ __forceinline__ float first(const Inputs& in, Size at, Size step, bool begins) {
    return begins ? 0.0f : in.x[at + step];
  }
  static __device__ __forceinline__ float result(const Inputs& in, Size at, double value) {
    return static_cast<float>(in.third[at] * value);
  }
};

// Rows ---------------------------------------------------------------------------------------------------------------

// own[k] = load(kOwn lane + k): neighbouring lanes load neighbours, and exchange them through the warp's buffer. Where
// a lane stores is where it stored, or read, for an exchange in the other direction: that needs no barrier between.
template <class Load>
__device__ __forceinline__ void take_own(float (&own)[kOwn], float* buffer, const Load& load) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int k = 0; k < kOwn; ++k) buffer[k * (kWarp + 1) + lane] = load(k * kWarp + lane);
  __syncwarp();
#pragma unroll
  for (int k = 0; k < kOwn; ++k) {
    const int i = lane * kOwn + k;
    own[k] = buffer[i + i / kWarp];
  }
}

// A piece of a row: places `begin` to `end`, counted in the order in which they run. `carry` is what runs into it, and
// is returned as what runs out of it. With WRITE y is written.
template <class F, bool WRITE>
__device__ __forceinline__ typename F::State run_piece(float* y, const Inputs& in, Size n, Size begin, Size end,
                                                       typename F::State carry) {
  using State = typename F::State;
  __shared__ float buffers[kSegments][kPadded];
  float* buffer = buffers[threadIdx.x / kWarp];
  const int lane = threadIdx.x % kWarp, segment = threadIdx.x / kWarp * kSegment;
  const auto place = [&](Size i) { return F::kBackwards ? n - 1 - i : i; };
  for (Size tile = begin; tile < end; tile += blockDim.x * kOwn) {
    const Size at = tile + segment;
    float first[kOwn], second[kOwn] = {};
    take_own(first, buffer, [&](int i) { return at + i < end ? F::first(in, place(at + i), 1, at + i == 0) : 0.0f; });
    if (F::kTwo) {
      __syncwarp();  // the first numbers may still be taken out of the buffer
      take_own(second, buffer, [&](int i) { return at + i < end ? F::second(in, place(at + i)) : 0.0f; });
    }
    State mine;
#pragma unroll
    for (int k = 0; k < kOwn; ++k)
      if (at + lane * kOwn + k < end) mine = mine(F::state(first[k], second[k]));
    State total;
    State running = carry(scan_block(mine, total));
    carry = carry(total);
    if (WRITE) {
#pragma unroll
      for (int k = 0; k < kOwn; ++k) {
        const int i = lane * kOwn + k;
        running = running(F::state(first[k], second[k]));
        first[k] = static_cast<float>(running.value());
        buffer[i + i / kWarp] = first[k];
      }
      __syncwarp();
#pragma unroll
      for (int k = 0; k < kOwn; ++k) {
        const Size i = at + k * kWarp + lane;
        if (i < end) y[place(i)] = F::result(in, place(i), buffer[k * (kWarp + 1) + lane]);
      }
    }
  }
  return carry;
}

struct Piece {
  Size row, begin, end;
  int number;

  __device__ __forceinline__ Piece(Size at, Size n, Size length, int pieces)
      : row(at / pieces), number(static_cast<int>(at % pieces)) {
    begin = number * length, end = begin + length < n ? begin + length : n;
  }
};

__device__ __forceinline__ Inputs moved(Inputs in, Size by) {
  return {in.x + by, in.second ? in.second + by : nullptr, in.third ? in.third + by : nullptr};
}

template <class F>
__device__ __forceinline__ void totals_of_rows(double* totals, const Inputs& in, Size n, Size length, int pieces) {
  const Piece piece(blockIdx.x, n, length, pieces);
  const auto total = run_piece<F, false>(nullptr, moved(in, piece.row * n), n, piece.begin, piece.end, {});
  if (threadIdx.x == 0) reinterpret_cast<typename F::State*>(totals)[blockIdx.x] = total;
}

template <class F>
__device__ __forceinline__ void run_rows(float* y, const Inputs& in, const double* totals, Size n, Size length,
                                         int pieces) {
  using State = typename F::State;
  const Piece piece(blockIdx.x, n, length, pieces);
  const State* earlier = reinterpret_cast<const State*>(totals) + piece.row * pieces;
  const int share = (piece.number + blockDim.x - 1) / blockDim.x, first = threadIdx.x * share;
  State mine, carry;
  for (int i = first; i < first + share && i < piece.number; ++i) mine = mine(earlier[i]);
  if (piece.number > 0) scan_block(mine, carry);
  run_piece<F, true>(y + piece.row * n, moved(in, piece.row * n), n, piece.begin, piece.end, carry);
}

// Lines --------------------------------------------------------------------------------------------------------------

// What this thread's part of a piece of its line makes, from `carry` on. With WRITE y is written.
template <class F, bool WRITE>
__device__ __forceinline__ typename F::State run_line(float* y, const Inputs& in, Size start, Size step, Size n,
                                                      Size begin, Size end, typename F::State carry) {
#pragma unroll 4
  for (Size i = begin; i < end; ++i) {
    const Size at = start + (F::kBackwards ? n - 1 - i : i) * step;
    carry = carry(F::state(F::first(in, at, step, i == 0), F::second(in, at)));
    if (WRITE) y[at] = F::result(in, at, static_cast<float>(carry.value()));
  }
  return carry;
}

// Block (32, warps): lane is the line, warp the part. totals (pieces, lines)
template <class F, bool WRITE>
__device__ __forceinline__ void run_lines(float* y, double* totals, const Inputs& in, const double* earlier, Size lines,
                                          Size n, Size inner, Size length, int pieces) {
  using State = typename F::State;
  __shared__ State parts[kSegments][kWarp];
  const Piece piece(blockIdx.x, n, length, pieces);
  const Size line = piece.row * kWarp + threadIdx.x, start = line / inner * n * inner + line % inner;
  const Size part = (piece.end - piece.begin + blockDim.y - 1) / blockDim.y, begin = piece.begin + threadIdx.y * part;
  const Size end = line >= lines ? begin : begin + part < piece.end ? begin + part : piece.end;
  State carry;
  if (blockDim.y > 1 || !WRITE) {
    parts[threadIdx.y][threadIdx.x] = run_line<F, false>(nullptr, in, start, inner, n, begin, end, {});
    __syncthreads();
  }
  if (line >= lines) return;
  if (WRITE)
    for (int i = 0; i < piece.number; ++i) carry = carry(reinterpret_cast<const State*>(earlier)[i * lines + line]);
  const int parts_before = WRITE ? threadIdx.y : threadIdx.y == 0 ? blockDim.y : 0;
  for (int i = 0; i < parts_before; ++i) carry = carry(parts[i][threadIdx.x]);
  if (WRITE)
    run_line<F, true>(y, in, start, inner, n, begin, end, carry);
  else if (threadIdx.y == 0)
    reinterpret_cast<State*>(totals)[piece.number * lines + line] = carry;
}

}  // namespace

#define SCAN(NAME, F, BLOCKS)                                                                                \
  extern "C" __global__ void __launch_bounds__(256, BLOCKS)                                                  \
      NAME##_rows(float* y, const float* x, const float* second, const float* third, const double* totals,   \
                  long long n, long long length, int pieces) {                                               \
    run_rows<F>(y, {x, second, third}, totals, n, length, pieces);                                           \
  }                                                                                                          \
  extern "C" __global__ void __launch_bounds__(256) NAME##_rows_totals(                                      \
      double* totals, const float* x, const float* second, long long n, long long length, int pieces) {      \
    totals_of_rows<F>(totals, {x, second, nullptr}, n, length, pieces);                                      \
  }                                                                                                          \
  extern "C" __global__ void __launch_bounds__(256)                                                          \
      NAME##_lines(float* y, const float* x, const float* second, const float* third, const double* totals,  \
                   long long lines, long long n, long long inner, long long length, int pieces) {            \
    run_lines<F, true>(y, nullptr, {x, second, third}, totals, lines, n, inner, length, pieces);             \
  }                                                                                                          \
  extern "C" __global__ void __launch_bounds__(256)                                                          \
      NAME##_lines_totals(double* totals, const float* x, const float* second, long long lines, long long n, \
                          long long inner, long long length, int pieces) {                                   \
    run_lines<F, false>(nullptr, totals, {x, second, nullptr}, nullptr, lines, n, inner, length, pieces);    \
  }

SCAN(cumsum_forward, SumOf, 3)
SCAN(cumsum_backward, SumOfLater, 3)
SCAN(cumprod_forward, ProductOf, 3)
SCAN(cumprod_backward, ProductSlope, 2)
SCAN(recurrence_forward, Recurrence, 2)
