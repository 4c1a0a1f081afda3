// A row, and what a group of threads does with its elements. `Held` reads each element once and keeps it in registers,
// for rows up to kHeld times the group's threads; `Streamed` comes back for them. Both have the same three functions:
//
//   read(x)       the row's numbers as floats, to be asked for by a `Place`
//   each(f)       f(place) for the places that fall to this thread
//   write(y, f)   y = f(place) at these
#pragma once

#include "pack.cuh"

namespace {

constexpr int kHeld = 32;

// Which of the thread's own numbers, and which column of the row.
struct Place {
  int own, column;
};

template <class Group>
struct Held {
  int cols;
  bool packed;  // whether all rows can be read and written 16 bytes at a time

  struct Numbers {
    float at[kHeld];
    __device__ __forceinline__ float operator[](Place place) const { return at[place.own]; }
  };

  static __device__ __forceinline__ bool fits(int cols) { return cols <= kHeld * Group::size(); }

  // f(k, column) for this thread's first column of every stretch of the row that is as long as a pack for each thread.
  template <class F>
  __device__ __forceinline__ void stretches(const F& f) const {
#pragma unroll
    for (int k = 0; k < kHeld / kPack; ++k)
      if (k * Group::size() * kPack < cols) f(k, k * Group::size() * kPack + Group::rank() * (packed ? kPack : 1));
  }

  template <class F>
  __device__ __forceinline__ void each(const F& f) const {
    const int apart = packed ? 1 : Group::size();
    stretches([&](int k, int first) {
#pragma unroll
      for (int e = 0; e < kPack; ++e)
        if (first + e * apart < cols) f(Place{k * kPack + e, first + e * apart});
    });
  }

  __device__ __forceinline__ Numbers read(const Real* x) const {
    Numbers found;
    if (packed) {
      stretches([&](int k, int first) {
        if (first >= cols) return;
        const auto pack = *reinterpret_cast<const Pack<Real>*>(x + first);
#pragma unroll
        for (int e = 0; e < kPack; ++e) found.at[k * kPack + e] = wide(pack.at[e]);
      });
    } else {
      each([&](Place place) { found.at[place.own] = wide(x[place.column]); });
    }
    return found;
  }

  template <class F>
  __device__ __forceinline__ void write(Real* y, const F& f) const {
    if (packed) {
      stretches([&](int k, int first) {
        if (first >= cols) return;
        Pack<Real> pack;
#pragma unroll
        for (int e = 0; e < kPack; ++e) pack.at[e] = f(Place{k * kPack + e, first + e});
        *reinterpret_cast<Pack<Real>*>(y + first) = pack;
      });
    } else {
      each([&](Place place) { y[place.column] = f(place); });
    }
  }
};

template <class Group>
struct Streamed {
  int cols;

  struct Numbers {
    const Real* x;
    __device__ __forceinline__ float operator[](Place place) const { return wide(x[place.column]); }
  };

  template <class F>
  __device__ __forceinline__ void each(const F& f) const {
    for_columns<Group>(cols, [&](int c) { f(Place{0, c}); });
  }
  __device__ __forceinline__ Numbers read(const Real* x) const { return {x}; }

  template <class F>
  __device__ __forceinline__ void write(Real* y, const F& f) const {
    each([&](Place place) { y[place.column] = f(place); });
  }
};

// Whether rows that begin here can be read and written 16 bytes at a time.
template <class... Rows>
__device__ __forceinline__ bool all_packed(int cols, const Rows*... rows) {
  return cols % kPack == 0 && (aligned(rows) && ...);
}

}  // namespace
