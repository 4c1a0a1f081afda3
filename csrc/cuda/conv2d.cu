// Convolution of images x (n, in, h, w) with w (out, in / groups, kh, kw) to y (n, out, oh, ow), and both gradients, as
// products of matrices that are never stored (implicit GEMM): a column or row of one of them is a place in an image,
// found when it is loaded. blockIdx.z is the group.
//
//   forward           y  (out, images x places) = w  (out, taps)                 x (taps, images x places)
//   backward_input    dx (in, images x pixels)  = w^T (in, out x window)         dy (out x window, images x pixels)
//   backward_weight   dw (out, taps)            = dy (out, images x places)      x^T (images x places, taps)

#include "gemm.cuh"

// Sizes of all arrays; in and out are channels of one group.
struct Convolution {
  int images, groups, in, out, h, w, oh, ow, kh, kw;
  int stride_h, stride_w, pad_h, pad_w, dil_h, dil_w;
};

namespace {

// A channel and a tap of the window, from their place in a row of the weights.
struct Tap {
  int channel, i, j;

  __device__ __forceinline__ Tap(const Convolution& s, Size k)
      : channel(static_cast<int>(k / (s.kh * s.kw))),
        i(static_cast<int>(k / s.kw % s.kh)),
        j(static_cast<int>(k % s.kw)) {}
};

// An image and a place in it, of images that are `h` x `w`.
struct Place {
  Size image;
  int row, column;

  __device__ __forceinline__ Place(Size at, int h, int w)
      : image(at / (h * w)), row(static_cast<int>(at / w % h)), column(static_cast<int>(at % w)) {}
};

// x where a window's tap lies, 0 in the padding.
__device__ __forceinline__ float pixel(const Real* x, const Convolution& s, const Place& at, const Tap& tap) {
  const int r = at.row * s.stride_h - s.pad_h + tap.i * s.dil_h, c = at.column * s.stride_w - s.pad_w + tap.j * s.dil_w;
  if (r < 0 || r >= s.h || c < 0 || c >= s.w) return 0.0f;
  return wide(x[((at.image * s.groups * s.in + blockIdx.z * s.in + tap.channel) * s.h + r) * s.w + c]);
}

// dy of the window whose tap lies on a pixel, 0 if there is none.
__device__ __forceinline__ float window(const Real* dy, const Convolution& s, const Place& at, const Tap& tap) {
  const int r = at.row + s.pad_h - tap.i * s.dil_h, c = at.column + s.pad_w - tap.j * s.dil_w;
  if (r < 0 || c < 0 || r % s.stride_h || c % s.stride_w || r / s.stride_h >= s.oh || c / s.stride_w >= s.ow)
    return 0.0f;
  const Size channel = at.image * s.groups * s.out + blockIdx.z * s.out + tap.channel;
  return wide(dy[(channel * s.oh + r / s.stride_h) * s.ow + c / s.stride_w]);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    conv2d_forward(Real* y, const Real* x, const Real* w, const Real* bias, const Convolution s) {
  const Size places = static_cast<Size>(s.oh) * s.ow, taps = static_cast<Size>(s.in) * s.kh * s.kw;
  const Size first = blockIdx.z * s.out;
  const auto load_w = [&](Size o, Size k) { return wide(w[(first + o) * taps + k]); };
  const auto load_x = [&](Size k, Size at) { return pixel(x, s, Place(at, s.oh, s.ow), Tap(s, k)); };
  gemm<Along::depth, Along::width>(Size{s.out}, s.images * places, taps, load_w, load_x,
                                   [&](float sum, Size o, Size at) {
                                     y[(at / places * s.groups * s.out + first + o) * places + at % places] =
                                         bias ? sum + wide(bias[first + o]) : sum;
                                   });
}

extern "C" __global__ void __launch_bounds__(256)
    conv2d_backward_input(Real* dx, const Real* dy, const Real* w, const Convolution s) {
  const Size pixels = static_cast<Size>(s.h) * s.w, taps = static_cast<Size>(s.kh) * s.kw, first = blockIdx.z * s.in;
  const auto load_w = [&](Size c, Size k) {  // k: an output channel and a tap
    return wide(w[((blockIdx.z * s.out + k / taps) * s.in + c) * taps + k % taps]);
  };
  const auto load_dy = [&](Size k, Size at) { return window(dy, s, Place(at, s.h, s.w), Tap(s, k)); };
  gemm<Along::depth, Along::width>(Size{s.in}, s.images * pixels, s.out * taps, load_w, load_dy,
                                   [&](float sum, Size c, Size at) {
                                     dx[(at / pixels * s.groups * s.in + first + c) * pixels + at % pixels] = sum;
                                   });
}

// The sum over images and places is cut into pieces, `depth` long: blockIdx.y is one of them. Where there are several,
// what comes of each goes to parts (pieces, the size of dw).
extern "C" __global__ void __launch_bounds__(256)
    conv2d_backward_weight(Real* dw, float* parts, const Real* dy, const Real* x, long long depth,
                           const Convolution s) {
  const Size places = static_cast<Size>(s.oh) * s.ow, taps = static_cast<Size>(s.in) * s.kh * s.kw;
  const Size first = blockIdx.z * s.out, begin = blockIdx.y * depth, left = s.images * places - begin;
  const auto load_dy = [&](Size o, Size in_piece) {
    const Size at = begin + in_piece;
    return wide(dy[(at / places * s.groups * s.out + first + o) * places + at % places]);
  };
  const auto load_x = [&](Size at, Size k) { return pixel(x, s, Place(begin + at, s.oh, s.ow), Tap(s, k)); };
  gemm<Along::depth, Along::depth>(Size{s.out}, taps, left < depth ? left : depth, load_dy, load_x,
                                   [&](float sum, Size o, Size k) {
                                     const Size i = (first + o) * taps + k;
                                     if (parts)
                                       parts[blockIdx.y * s.groups * s.out * taps + i] = sum;
                                     else
                                       dw[i] = sum;
                                   });
}

extern "C" __global__ void __launch_bounds__(256)
    conv2d_backward_weight_sum(Real* dw, const float* parts, long long size, int pieces) {
  const Size i = static_cast<Size>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= size) return;
  float sum = 0.0f;
  for (int p = 0; p < pieces; ++p) sum += parts[p * size + i];
  dw[i] = sum;
}

// db: a block for each channel adds up dy (images, channels, places).
extern "C" __global__ void __launch_bounds__(256)
    conv2d_backward_weight_bias(Real* db, const Real* dy, long long images, int channels, long long places) {
  float total = 0.0f;
  for (Size i = threadIdx.x; i < images * places; i += blockDim.x)
    total += wide(dy[(i / places * channels + blockIdx.x) * places + i % places]);
  total = sum<Block>(total);
  if (threadIdx.x == 0) db[blockIdx.x] = total;
}
