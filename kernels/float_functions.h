// exp and tanh as plain arithmetic that compilers turn into vectors: the same bits on every
// instruction set, and within 2 units in the last place. The float polynomials are those of Cephes
// (Moshier 1992, expf.c and tanhf.c); double goes to the C library. The float functions are
// constexpr so that CUDA kernels can call them.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace striate::kernels {

inline double exp_of(double x) { return std::exp(x); }
inline double tanh_of(double x) { return std::tanh(x); }

[[gnu::always_inline]] constexpr float exp_of(float x) {
  // Beyond these the result is infinity or 0 anyway; NaN passes both comparisons.
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  // Adding 1.5 * 2^23 rounds to an integer n and leaves it in the low bits: x = n ln 2 + r.
  const float rounded = x * 1.44269504f + 12582912.0f;
  const float n = rounded - 12582912.0f;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // 2^n in two factors: one alone cannot reach 2^128 nor the subnormal numbers.
  const int32_t power = std::bit_cast<int32_t>(rounded) - 0x4B400000;
  const int32_t half = power >> 1;
  const float a = std::bit_cast<float>(static_cast<uint32_t>(half + 127) << 23);
  const float b = std::bit_cast<float>(static_cast<uint32_t>(power - half + 127) << 23);
  return p * a * b;
}

[[gnu::always_inline]] constexpr float tanh_of(float x) {
  const float size = std::abs(x);
  const float far = 1.0f - 2.0f / (exp_of(2.0f * size) + 1.0f);
  const float square = x * x;
  float p = -5.70498872745e-3f;
  p = p * square + 2.06390887954e-2f;
  p = p * square - 5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square - 3.33332819422e-1f;
  const float near = p * square * x + x;
  return size < 0.625f ? near : x < 0 ? -far : far;
}

}  // namespace striate::kernels
