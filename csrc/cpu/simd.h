// Simd<T, N>: N lanes of T as one value, on GCC's and Clang's vector extensions; one lane of plain T on any other
// compiler.
//
// Width: 64 bytes with AVX-512, 32 with AVX2, else 16 (SSE2, NEON). A comparison gives a mask of integers, 0 or -1 in
// each lane. `load(p, n)` and `store(p, n)` touch only the first n lanes, so a loop needs no second body for its tail.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "cpu/array.h"

namespace minigrad {

#if defined(__GNUC__)
#define MINIGRAD_INLINE inline __attribute__((always_inline))  // for what must stay in registers
#define MINIGRAD_UNROLL _Pragma("GCC unroll 16")
#else
#define MINIGRAD_INLINE inline
#define MINIGRAD_UNROLL
#endif

#if defined(MINIGRAD_SIMD_BYTES)
constexpr int kSimdBytes = MINIGRAD_SIMD_BYTES;  // tests compile the one-lane form with it
#elif !defined(__GNUC__)
constexpr int kSimdBytes = 4;
#elif defined(__AVX512F__)
constexpr int kSimdBytes = 64;
#elif defined(__AVX2__)
constexpr int kSimdBytes = 32;
#else
constexpr int kSimdBytes = 16;
#endif

constexpr int kLanes = kSimdBytes / 4;  // of float

namespace detail {
template <class T, int N>
struct Vector {
#if defined(__GNUC__)
  typedef T type __attribute__((vector_size(N * sizeof(T))));
#else
  static_assert(N == 1, "this compiler has no vector extensions");
  using type = T;
#endif
};
template <class T>
struct Vector<T, 1> {
  using type = T;
};
template <int bytes>
struct Integer;
template <>
struct Integer<1> {
  using type = int8_t;
};
template <>
struct Integer<2> {
  using type = int16_t;
};
template <>
struct Integer<4> {
  using type = int32_t;
};
template <>
struct Integer<8> {
  using type = int64_t;
};
}  // namespace detail

#if defined(__AVX2__)
namespace detail {
inline __m256i count_up() { return _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0); }
}  // namespace detail
#endif

template <class T, int N = kLanes>
struct Simd {
  using Vec = typename detail::Vector<T, N>::type;
  using Mask = Simd<typename detail::Integer<sizeof(T)>::type, N>;
  static constexpr int lanes = N;
  Vec v;

  Simd() = default;
  Simd(T x) {
    if constexpr (N == 1)
      v = x;
    else
      v = x - Vec{};  // not x + 0, which would lose the sign of -0
  }
  template <class V, class = std::enable_if_t<std::is_same_v<V, Vec> && !std::is_same_v<V, T>>>
  Simd(V x) : v(x) {}

  static Simd load(const T* p) {
    Simd r;
    std::memcpy(&r.v, p, sizeof r.v);
    return r;
  }
  static Simd load(const T* p, Size n) {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<T, float> && N == 16) return Simd(Vec(_mm512_maskz_loadu_ps((1u << n) - 1, p)));
#endif
#if defined(__AVX2__)
    if constexpr (std::is_same_v<T, float> && N == 8) {
      const auto below = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), detail::count_up());
      return Simd(Vec(_mm256_maskload_ps(p, below)));
    }
#endif
    T lane[N] = {};
    copy_first(lane, p, n);
    return load(lane);
  }
  void store(T* p) const { std::memcpy(p, &v, sizeof v); }
  void store(T* p, Size n) const {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<T, float> && N == 16) return _mm512_mask_storeu_ps(p, (1u << n) - 1, __m512(v));
#endif
    T lane[N];
    store(lane);
    copy_first(p, lane, n);
  }

  T operator[](int i) const {
    if constexpr (N == 1)
      return v;
    else
      return v[i];
  }

  // n elements, n <= N, in pieces whose sizes the compiler knows: a call would cost more.
  static void copy_first(T* to, const T* from, Size n) {
    if (n == N) return void(std::memcpy(to, from, N * sizeof(T)));
    Size done = 0;
#pragma GCC unroll 8
    for (Size piece = N / 2; piece > 0; piece /= 2)
      if (n & piece) {
        std::memcpy(to + done, from + done, piece * sizeof(T));
        done += piece;
      }
  }

  friend Simd operator+(Simd a, Simd b) { return Simd(a.v + b.v); }
  friend Simd operator-(Simd a, Simd b) { return Simd(a.v - b.v); }
  friend Simd operator*(Simd a, Simd b) { return Simd(a.v * b.v); }
  friend Simd operator/(Simd a, Simd b) { return Simd(a.v / b.v); }
  friend Simd operator-(Simd a) { return Simd(-a.v); }
  friend Simd operator~(Simd a) { return Simd(~a.v); }
  friend Simd operator&(Simd a, Simd b) { return Simd(a.v & b.v); }
  friend Simd operator|(Simd a, Simd b) { return Simd(a.v | b.v); }
  friend Simd operator^(Simd a, Simd b) { return Simd(a.v ^ b.v); }
  friend Simd operator<<(Simd a, int bits) { return Simd(a.v << bits); }
  friend Simd operator>>(Simd a, int bits) { return Simd(a.v >> bits); }
  Simd& operator+=(Simd b) { return *this = *this + b; }
  Simd& operator*=(Simd b) { return *this = *this * b; }

  static Mask mask(decltype(Vec{} < Vec{}) m) {
    if constexpr (N == 1)
      return Mask(-static_cast<typename detail::Integer<sizeof(T)>::type>(m));
    else
      return Mask((typename Mask::Vec)(m));
  }
  friend Mask operator<(Simd a, Simd b) { return mask(a.v < b.v); }
  friend Mask operator<=(Simd a, Simd b) { return mask(a.v <= b.v); }
  friend Mask operator>(Simd a, Simd b) { return mask(a.v > b.v); }
  friend Mask operator>=(Simd a, Simd b) { return mask(a.v >= b.v); }
  friend Mask operator==(Simd a, Simd b) { return mask(a.v == b.v); }
  friend Mask operator!=(Simd a, Simd b) { return mask(a.v != b.v); }
};

using VFloat = Simd<float>;
using VInt = Simd<int32_t>;

template <class T, int N>
Simd<T, N> select(typename Simd<T, N>::Mask m, Simd<T, N> a, Simd<T, N> b) {
  return Simd<T, N>(m.v ? a.v : b.v);
}
template <class T, int N>
Simd<T, N> select(typename Simd<T, N>::Mask m, T a, Simd<T, N> b) {
  return select(m, Simd<T, N>(a), b);
}
template <class T, int N>
Simd<T, N> select(typename Simd<T, N>::Mask m, Simd<T, N> a, T b) {
  return select(m, a, Simd<T, N>(b));
}

template <class To, class T, int N>
Simd<To, N> convert(Simd<T, N> a) {
  using Out [[maybe_unused]] = typename Simd<To, N>::Vec;
  [[maybe_unused]] constexpr bool widens = std::is_same_v<To, double> && std::is_same_v<T, float>;
  [[maybe_unused]] constexpr bool narrows = std::is_same_v<To, float> && std::is_same_v<T, double>;
#if defined(__AVX512F__)  // g++ takes pairs, by way of memory
  if constexpr (widens && N == 8) return Simd<To, N>(Out(_mm512_maskz_cvtps_pd(0xff, __m256(a.v))));
  if constexpr (narrows && N == 8) return Simd<To, N>(Out(_mm512_maskz_cvtpd_ps(0xff, __m512d(a.v))));
#endif
#if defined(__AVX2__)
  if constexpr (widens && N == 4) return Simd<To, N>(Out(_mm256_cvtps_pd(__m128(a.v))));
  if constexpr (narrows && N == 4) return Simd<To, N>(Out(_mm256_cvtpd_ps(__m256d(a.v))));
#endif
#if defined(__GNUC__)
  if constexpr (N > 1) return Simd<To, N>(__builtin_convertvector(a.v, typename Simd<To, N>::Vec));
#endif
  if constexpr (N == 1) return Simd<To, N>(static_cast<To>(a.v));
}

template <class To, class T, int N>
Simd<To, N> bitcast(Simd<T, N> a) {
  static_assert(sizeof(To) == sizeof(T));
  Simd<To, N> r;
  std::memcpy(&r.v, &a.v, sizeof r.v);
  return r;
}

// a * b + c, in one rounding where the processor has it.
template <class T, int N>
Simd<T, N> fma(Simd<T, N> a, Simd<T, N> b, Simd<T, N> c) {
  return Simd<T, N>(a.v * b.v + c.v);
}

// The processor's own min and max: the second operand when either is NaN.
template <class T, int N>
Simd<T, N> min(Simd<T, N> a, Simd<T, N> b) {
  return Simd<T, N>(a.v < b.v ? a.v : b.v);
}
template <class T, int N>
Simd<T, N> max(Simd<T, N> a, Simd<T, N> b) {
  return Simd<T, N>(a.v > b.v ? a.v : b.v);
}

template <int N>
Simd<float, N> abs(Simd<float, N> x) {
  return bitcast<float>(bitcast<int32_t>(x) & Simd<int32_t, N>(0x7fffffff));
}
// |x| with the sign of s.
template <int N>
Simd<float, N> copysign(Simd<float, N> x, Simd<float, N> s) {
  const Simd<int32_t, N> sign(INT32_MIN);
  return bitcast<float>((bitcast<int32_t>(x) & Simd<int32_t, N>(INT32_MAX)) | (bitcast<int32_t>(s) & sign));
}
template <int N>
typename Simd<float, N>::Mask is_nan(Simd<float, N> x) {
  return x != x;
}

template <class T, int N>
Simd<T, N> sqrt(Simd<T, N> x) {
  T lane[N];
  x.store(lane);
  for (int i = 0; i < N; ++i) lane[i] = std::sqrt(lane[i]);
  return Simd<T, N>::load(lane);
}

namespace detail {
// The lanes of a and b in the order given; those of b count on from N.
template <class T, int N, int... I>
Simd<T, N> shuffle(Simd<T, N> a, [[maybe_unused]] Simd<T, N> b, std::integer_sequence<int, I...>) {
#if defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)
  if constexpr (N > 1) return Simd<T, N>(__builtin_shufflevector(a.v, b.v, I...));
#endif
  T lane[N];
  int i = 0;
  ((lane[i++] = I < N ? a[I % N] : b[I % N]), ...);
  return Simd<T, N>::load(lane);
}
// Lanes a0 b0 a1 b1 ... of the lower (half = 0) or upper (half = 1) halves of a and b.
template <int half, class T, int N, int... I>
Simd<T, N> interleave(Simd<T, N> a, Simd<T, N> b, std::integer_sequence<int, I...>) {
  return shuffle(a, b, std::integer_sequence<int, (half * N / 2 + I / 2 + I % 2 * N)...>{});
}
// Every lane beside the one whose number differs in the bits of `by`.
template <int by, class T, int N, int... I>
Simd<T, N> exchange(Simd<T, N> a, std::integer_sequence<int, I...>) {
  return shuffle(a, a, std::integer_sequence<int, (I ^ by)...>{});
}
}  // namespace detail

// A mask as bools, and bools as a mask. Compilers make a mess of the plain conversions.
template <int N>
Simd<uint8_t, N> bytes_of(Simd<int32_t, N> mask) {
  Simd<uint8_t, N> bytes;
  if constexpr (N < 4) {
    for (int i = 0; i < N; ++i) reinterpret_cast<uint8_t*>(&bytes.v)[i] = mask[i] & 1;
  } else {  // each lane of four keeps one bit, in the byte it stands for; then the four are united
    constexpr auto lanes = std::make_integer_sequence<int, N>{};
    int32_t bit[N], word[N / 4];
    for (int i = 0; i < N; ++i) bit[i] = 1 << 8 * (i % 4);
    auto united = mask & Simd<int32_t, N>::load(bit);
    united = united | detail::exchange<2>(united, lanes);
    united = united | detail::exchange<1>(united, lanes);
    for (int i = 0; i < N / 4; ++i) word[i] = united[4 * i];
    std::memcpy(&bytes.v, word, N);
  }
  return bytes;
}
template <int N>
Simd<int32_t, N> mask_of(Simd<uint8_t, N> bytes) {
  if constexpr (N < 4) {
    Simd<int32_t, N> mask;
    for (int i = 0; i < N; ++i) reinterpret_cast<int32_t*>(&mask.v)[i] = -(bytes[i] != 0);
    return mask;
  } else {  // every lane takes the word its byte lies in, and shifts it down
    int32_t word[N / 4], lane[N], shift[N];
    std::memcpy(word, &bytes.v, N);
    for (int i = 0; i < N; ++i) lane[i] = word[i / 4], shift[i] = 8 * (i % 4);
    const auto words = Simd<int32_t, N>::load(lane), shifts = Simd<int32_t, N>::load(shift);
    return (Simd<int32_t, N>(words.v >> shifts.v) & Simd<int32_t, N>(0xff)) != Simd<int32_t, N>(0);
  }
}

// 64-bit products of the lower halves of 64-bit lanes: one instruction on x86, which g++ does not find by itself.
template <int N>
Simd<uint64_t, N> multiply_low_halves(Simd<uint64_t, N> a, Simd<uint64_t, N> b) {
  using Vec [[maybe_unused]] = typename Simd<uint64_t, N>::Vec;
#if defined(__AVX512F__)
  if constexpr (N == 8) return Simd<uint64_t, N>((Vec)_mm512_maskz_mul_epu32(0xff, (__m512i)a.v, (__m512i)b.v));
#endif
#if defined(__AVX2__)
  if constexpr (N == 4) return Simd<uint64_t, N>((Vec)_mm256_mul_epu32((__m256i)a.v, (__m256i)b.v));
#endif
#if defined(__SSE2__)
  if constexpr (N == 2) return Simd<uint64_t, N>((Vec)_mm_mul_epu32((__m128i)a.v, (__m128i)b.v));
#endif
  const Simd<uint64_t, N> lower(0xffffffff);
  return (a & lower) * (b & lower);
}

#if defined(__F16C__)
// IEEE's floats of two bytes as float, and back, rounded to the nearest: denormals are numbers here.
inline Simd<float, 8> from_half(Simd<uint16_t, 8> h) {
  return Simd<float, 8>((Simd<float, 8>::Vec)_mm256_cvtph_ps((__m128i)h.v));
}
inline Simd<uint16_t, 8> to_half(Simd<float, 8> x) {
  return Simd<uint16_t, 8>((Simd<uint16_t, 8>::Vec)_mm256_cvtps_ph((__m256)x.v, _MM_FROUND_TO_NEAREST_INT));
}
#endif
#if defined(__AVX512F__)
inline Simd<float, 16> from_half(Simd<uint16_t, 16> h) {
  return Simd<float, 16>((Simd<float, 16>::Vec)_mm512_cvtph_ps((__m256i)h.v));
}
inline Simd<uint16_t, 16> to_half(Simd<float, 16> x) {
  return Simd<uint16_t, 16>((Simd<uint16_t, 16>::Vec)_mm512_cvtps_ph((__m512)x.v, _MM_FROUND_TO_NEAREST_INT));
}
#endif

// The first n lanes of x, zeros after them.
template <int N>
Simd<float, N> keep_first(Simd<float, N> x, Size n) {
  int32_t lane[N];
  for (int i = 0; i < N; ++i) lane[i] = i;
  const auto kept = Simd<int32_t, N>::load(lane) < Simd<int32_t, N>(static_cast<int32_t>(n));
  return select(kept, x, Simd<float, N>(0.0f));
}

// x as a number of its own: rounded here and not as a part of a fused multiply-add, read from memory once.
template <int N>
Simd<float, N> held(Simd<float, N> x) {
#if defined(__GNUC__) && defined(__x86_64__)
  if constexpr (N >= 4) asm("" : "+x"(x.v));
#elif defined(__GNUC__) && defined(__aarch64__)
  if constexpr (N >= 4) asm("" : "+w"(x.v));
#endif
  return x;
}

// Lanes folded in halves: always the same order.
template <class T, int N, class F>
T fold(Simd<T, N> x, F f) {
  T lane[N];
  x.store(lane);
  for (int half = N / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] = f(lane[i], lane[i + half]);
  return lane[0];
}
template <class T, int N>
T sum(Simd<T, N> x) {
  return fold(x, [](T a, T b) { return a + b; });
}
template <class T, int N>
T largest(Simd<T, N> x) {
  return fold(x, [](T a, T b) { return a > b ? a : b; });
}
// Whether any lane of a mask is set.
template <int N>
bool any(Simd<int32_t, N> mask) {
#if defined(__AVX2__)
  if constexpr (N == 8) return _mm256_movemask_epi8((__m256i)mask.v) != 0;
#endif
#if defined(__SSE2__)
  if constexpr (N == 4) return _mm_movemask_epi8((__m128i)mask.v) != 0;
#endif
  return fold(mask, [](int32_t a, int32_t b) { return a | b; }) != 0;
}

}  // namespace minigrad
