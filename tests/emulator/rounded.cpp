// Compiled with -frounding-math; the operations are out of line, so that none moves across the
// change of mode.
#include "rounded.h"

#include <cfenv>
#include <cmath>

namespace emulator {
namespace {

int mode_of(Rounding rounding) {
  switch (rounding) {
    case Rounding::kZero:
      return FE_TOWARDZERO;
    case Rounding::kDown:
      return FE_DOWNWARD;
    case Rounding::kUp:
      return FE_UPWARD;
    default:
      return FE_TONEAREST;
  }
}

template <class T>
__attribute__((noinline)) T compute(Arithmetic operation, T a, T b, T c) {
  switch (operation) {
    case Arithmetic::kAdd:
      return a + b;
    case Arithmetic::kSubtract:
      return a - b;
    case Arithmetic::kMultiply:
      return a * b;
    case Arithmetic::kDivide:
      return a / b;
    case Arithmetic::kFma:
      return std::fma(a, b, c);
    case Arithmetic::kSquareRoot:
      return std::sqrt(a);
  }
  return a;
}

template <class T>
T in_mode(Arithmetic operation, Rounding rounding, T a, T b, T c) {
  const RoundingScope scope(rounding);
  volatile T x = a, y = b, z = c;
  volatile T result = compute<T>(operation, x, y, z);
  return result;
}

template <class To, class From>
__attribute__((noinline)) To convert(From value) {
  return static_cast<To>(value);
}

template <class To, class From>
To convert_in_mode(From value, Rounding rounding) {
  const RoundingScope scope(rounding);
  volatile From x = value;
  volatile To result = convert<To, From>(x);
  return result;
}

}  // namespace

RoundingScope::RoundingScope(Rounding rounding) : saved_(static_cast<unsigned>(std::fegetround())) {
  std::fesetround(mode_of(rounding));
}

RoundingScope::~RoundingScope() { std::fesetround(static_cast<int>(saved_)); }

float rounded(Arithmetic operation, Rounding rounding, float a, float b, float c) {
  return in_mode(operation, rounding, a, b, c);
}

double rounded(Arithmetic operation, Rounding rounding, double a, double b, double c) {
  return in_mode(operation, rounding, a, b, c);
}

float rounded_float(double value, Rounding rounding) {
  return convert_in_mode<float>(value, rounding);
}
float rounded_float(i64 value, Rounding rounding) {
  return convert_in_mode<float>(value, rounding);
}
float rounded_float(u64 value, Rounding rounding) {
  return convert_in_mode<float>(value, rounding);
}
double rounded_double(i64 value, Rounding rounding) {
  return convert_in_mode<double>(value, rounding);
}
double rounded_double(u64 value, Rounding rounding) {
  return convert_in_mode<double>(value, rounding);
}

}  // namespace emulator
