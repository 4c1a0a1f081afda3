// gelu in both its forms, and their slopes.
#pragma once

#include "common.cuh"

namespace {

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// Phi(x), and its slope; erfc keeps the digits of its lower tail.
__device__ __forceinline__ float normal_cdf(float x) { return 0.5f * erfcf(-0.70710678f * x); }
__device__ __forceinline__ float normal_density(float x) { return 0.39894228f * expf(-0.5f * x * x); }

__device__ __forceinline__ float gelu(float x) { return x * normal_cdf(x); }
__device__ __forceinline__ float gelu_slope(float x) { return normal_cdf(x) + x * normal_density(x); }

// x/2 (1 + tanh u) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3)
__device__ __forceinline__ float gelu_share(float x) { return sigmoid(1.59576912f * x * (1.0f + 0.044715f * x * x)); }
__device__ __forceinline__ float gelu_tanh(float x) { return x * gelu_share(x); }
__device__ __forceinline__ float gelu_tanh_slope(float x) {
  const float s = gelu_share(x), du = 1.59576912f * (1.0f + 0.134145f * x * x);
  return s * (1.0f + x * du * (1.0f - s));
}

}  // namespace
