#include "half.h"

namespace emulator {

u16 round_to_16(double value, int exponent, int mantissa, Rounding rounding, bool canonical_nan) {
  const u64 bits = bits_as<u64>(value);
  const u16 sign = static_cast<u16>(bits >> 63 << 15);
  const bool negative = sign != 0;
  const u16 infinity = static_cast<u16>(((1 << exponent) - 1) << mantissa);
  if (std::isnan(value)) {
    if (canonical_nan) return 0x7fff;
    return static_cast<u16>(sign | infinity | 1 << (mantissa - 1));
  }
  if (std::isinf(value)) return sign | infinity;
  const int bias = (1 << (exponent - 1)) - 1;
  const int e = static_cast<int>(bits >> 52 & 0x7ff);
  if (e == 0) {  // zero or far below the smallest subnormal
    const bool bump = (bits << 1) && ((rounding == Rounding::kUp && !negative) ||
                                      (rounding == Rounding::kDown && negative));
    return static_cast<u16>(sign | (bump ? 1 : 0));
  }
  const u64 fraction = (bits & 0xfffffffffffffull) | 1ull << 52;
  int target = e - 1023 + bias;
  int shift = 52 - mantissa;
  if (target <= 0) {  // subnormal
    shift += 1 - target;
    target = 0;
  }
  u64 kept = 0, rest = fraction, half = 0;
  if (shift < 63) {
    kept = fraction >> shift;
    rest = fraction & ((u64{1} << shift) - 1);
    half = u64{1} << (shift - 1);
  } else {
    rest = fraction;
    half = ~u64{0};
  }
  bool up = false;
  switch (rounding) {
    case Rounding::kNearest:
      up = rest > half || (rest == half && (kept & 1));
      break;
    case Rounding::kNearestAway:
      up = rest >= half;
      break;
    case Rounding::kZero:
      break;
    case Rounding::kUp:
      up = rest != 0 && !negative;
      break;
    case Rounding::kDown:
      up = rest != 0 && negative;
      break;
  }
  kept += up;
  // The implicit bit carries into the exponent by itself.
  const u64 magnitude = target == 0 ? kept : (static_cast<u64>(target - 1) << mantissa) + kept;
  if (magnitude < infinity) return static_cast<u16>(sign | magnitude);
  const bool to_infinity = rounding == Rounding::kNearest || rounding == Rounding::kNearestAway ||
                           (rounding == Rounding::kUp && !negative) ||
                           (rounding == Rounding::kDown && negative);
  return static_cast<u16>(sign | (to_infinity ? infinity : infinity - 1));
}

}  // namespace emulator
