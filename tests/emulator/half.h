// Conversions of 16-bit floats: IEEE binary16 and bfloat16.
#pragma once

#include <cmath>

#include "lanes.h"

namespace emulator {

enum class Rounding : u8 { kNearest, kZero, kDown, kUp, kNearestAway };

/// Round a double to a format with `mantissa` explicit bits, `exponent` bits and no trap: overflow
/// by the mode, NaN to the canonical quiet NaN. Rounds once.
u16 round_to_16(double value, int exponent, int mantissa, Rounding rounding, bool canonical_nan);

inline u16 to_half(double value, Rounding rounding = Rounding::kNearest) {
  return round_to_16(value, 5, 10, rounding, true);
}
inline u16 to_bfloat(double value, Rounding rounding = Rounding::kNearest) {
  return round_to_16(value, 8, 7, rounding, true);
}

inline float from_bfloat(u16 bits) { return bits_as<float>(static_cast<u32>(bits) << 16); }

/// Exact value of a binary16; NaNs keep their payload.
inline float from_half(u16 bits) {
  // The exponent is moved by a multiplication, which also makes subnormals normal.
  const u32 magnitude = static_cast<u32>(bits & 0x7fff) << 13;
  const float scaled = bits_as<float>(magnitude) * 0x1p112f;
  const u32 special = magnitude | 0x7f800000u;
  const u32 value = magnitude >= (0x7c00u << 13) ? special : bits_as<u32>(scaled);
  return bits_as<float>(value | static_cast<u32>(bits & 0x8000) << 16);
}

/// a * b + c rounded to odd: rounding the result once more to fewer bits rounds as if only once.
inline double fma_to_odd(double a, double b, double c) {
  const double product = a * b;  // exact for 16-bit factors
  const double sum = product + c;
  const double part = sum - product;
  const double error = (product - (sum - part)) + (c - part);
  const u64 bits = bits_as<u64>(sum);
  if (error == 0 || !std::isfinite(sum) || (bits & 1)) return sum;
  const bool away = (error > 0) == (sum > 0);
  return bits_as<double>(away ? bits + 1 : bits - 1);
}

}  // namespace emulator
