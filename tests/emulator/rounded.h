// Arithmetic of f32 and f64 in the rounding modes that are not the host's own.
#pragma once

#include "half.h"

namespace emulator {

/// Sets the host's rounding mode while it lives. What runs under it must be called through
/// functions that the compiler cannot look into: see rounded.cpp.
class RoundingScope {
 public:
  explicit RoundingScope(Rounding rounding);
  ~RoundingScope();
  RoundingScope(const RoundingScope&) = delete;
  RoundingScope& operator=(const RoundingScope&) = delete;

 private:
  unsigned saved_;
};

enum class Arithmetic : u8 { kAdd, kSubtract, kMultiply, kDivide, kFma, kSquareRoot };

float rounded(Arithmetic operation, Rounding rounding, float a, float b, float c);
/// Conversions that round once.
float rounded_float(double value, Rounding rounding);
float rounded_float(i64 value, Rounding rounding);
float rounded_float(u64 value, Rounding rounding);
double rounded_double(i64 value, Rounding rounding);
double rounded_double(u64 value, Rounding rounding);

double rounded(Arithmetic operation, Rounding rounding, double a, double b, double c);

}  // namespace emulator
