// Arithmetic of f32 and f64 and functions of one argument.
//
// The oracle for f32 computes in long double, whose 64 bits of mantissa make sums, products and
// quotients of f32 exact enough to round once; directed modes step from there by comparing.
#include <cfenv>

#include "opcode_case.h"

namespace emulator::test {
namespace {

using Long = long double;

/// `exact` rounded to f32 by mode: the nearest, then a step if it lies on the wrong side.
float rounded_to(Long exact, const std::string& mode) {
  float value = static_cast<float>(exact);
  if (std::isnan(exact) || std::isinf(exact)) return value;
  const float inf = std::numeric_limits<float>::infinity();
  const bool down = mode == "rm" || (mode == "rz" && exact > 0);
  const bool up = mode == "rp" || (mode == "rz" && exact < 0);
  if (down && Long{value} > exact) value = std::nextafterf(value, -inf);
  if (up && Long{value} < exact) value = std::nextafterf(value, inf);
  return value;
}

const std::vector<std::string> kModes = {"rn", "rz", "rm", "rp"};

/// Products of f32 are exact in long double; a sum of values far apart is not, so that the sign of
/// what is lost is put into the last digit.
Long sum_to_odd(Long a, Long b) {
  const Long sum = a + b;
  if (!std::isfinite(sum)) return sum;
  const Long part = sum - a;
  const Long error = (a - (sum - part)) + (b - part);
  int exponent;
  const Long mantissa = std::ldexp(std::frexp(sum, &exponent), 64);
  if (error == 0 || std::fmod(mantissa, 2.0L) != 0) return sum;
  return std::nextafterl(sum, error > 0 ? INFINITY : -INFINITY);
}

/// The sum x + (-x) is -0 when rounding down.
float zero_sign(float value, Long a, Long b, const std::string& mode) {
  if (value != 0 || a != -b || a == 0) return value;
  return mode == "rm" ? -0.0f : 0.0f;
}

TEST(Float, AddSubMul) {
  for (const std::string& mode : kModes) {
    const auto add = [=](float a, float b) {
      if (a == 0 && b == 0) {
        const bool negative =
            mode == "rm" ? std::signbit(a) || std::signbit(b) : std::signbit(a) && std::signbit(b);
        return negative ? -0.0f : 0.0f;
      }
      return zero_sign(rounded_to(sum_to_odd(a, b), mode), a, b, mode);
    };
    check_opcode<float>("add." + mode + ".f32 d, a, b", add, float_edges(), float_edges());
    check_opcode<float>(
        "sub." + mode + ".f32 d, a, b", [=](float a, float b) { return add(a, -b); }, float_edges(),
        float_edges());
    check_opcode<float>(
        "mul." + mode + ".f32 d, a, b",
        [=](float a, float b) { return rounded_to(Long{a} * b, mode); }, float_edges(),
        float_edges());
  }
  check_opcode<float>(
      "add.f32 d, a, b", [](float a, float b) { return a + b; }, float_edges(), float_edges());
}

TEST(Float, Fma) {
  const std::vector<float> c = {0.0f, -0.0f, 1.0f, -1.0f, 1e-40f, 0x1p-149f, 3e38f, INFINITY, NAN};
  check_opcode<float>(
      "fma.rn.f32 d, a, b, c", [](float a, float b, float z) { return std::fmaf(a, b, z); },
      float_edges(), float_edges(), c);
  for (const std::string mode : {"rz", "rm", "rp"}) {
    check_opcode<float>(
        "fma." + mode + ".f32 d, a, b, c",
        [=](float a, float b, float z) { return rounded_to(sum_to_odd(Long{a} * b, z), mode); },
        std::vector<float>{1.1f, -2.7f, 3e38f, 0x1p-120f, 1e-40f},
        std::vector<float>{1.3f, -0.7f, 5.5f, 0x1p-20f},
        std::vector<float>{0.3f, -1e-30f, 1e20f, -7.7f});
  }
  check_opcode<double>(
      "fma.rn.f64 d, a, b, c", [](double a, double b, double z) { return std::fma(a, b, z); },
      double_edges(), double_edges(), std::vector<double>{0.0, 1.0, -1e300});
  check_opcode<float>(
      "mad.rn.f32 d, a, b, c", [](float a, float b, float z) { return std::fmaf(a, b, z); },
      float_edges(), float_edges(), c);
}

TEST(Float, DivAndRcpAndSqrt) {
  for (const std::string& mode : kModes) {
    // A quotient is never exact without being a short number, so 64 bits decide the rounding.
    const auto divide = [=](float a, float b) { return rounded_to(Long{a} / b, mode); };
    check_opcode<float>("div." + mode + ".f32 d, a, b", divide, float_edges(), float_edges());
    check_opcode<float>(
        "rcp." + mode + ".f32 d, a", [=](float a) { return divide(1.0f, a); }, float_edges());
    check_opcode<float>(
        "sqrt." + mode + ".f32 d, a", [=](float a) { return rounded_to(std::sqrt(Long{a}), mode); },
        float_edges());
  }
  check_opcode<double>(
      "div.rn.f64 d, a, b", [](double a, double b) { return a / b; }, double_edges(),
      double_edges());
  check_opcode<double>(
      "sqrt.rn.f64 d, a", [](double a) { return std::sqrt(a); }, double_edges());
  check_opcode<double>(
      "rcp.rn.f64 d, a", [](double a) { return 1 / a; }, double_edges());
}

TEST(Float, ApproximateDivision) {
  const auto values = std::vector<float>{1.0f, -3.0f, 0.1f, 1e10f, 7e-12f};
  check_near<float>(
      1e-6, 0, "div.approx.f32 d, a, b", [](float a, float b) { return a / b; }, values, values);
  check_near<float>(
      1e-6, 0, "div.full.f32 d, a, b", [](float a, float b) { return a / b; }, values, values);
}

TEST(Float, Doubles) {
  check_opcode<double>(
      "add.f64 d, a, b", [](double a, double b) { return a + b; }, double_edges(), double_edges());
  check_opcode<double>(
      "sub.rn.f64 d, a, b", [](double a, double b) { return a - b; }, double_edges(),
      double_edges());
  check_opcode<double>(
      "mul.rn.f64 d, a, b", [](double a, double b) { return a * b; }, double_edges(),
      double_edges());
  // 0.1 + 0.2 and neighbours by hand: nearest is above, so toward zero is one step below.
  const std::vector<double> a = {0.1}, b = {0.2};
  check_opcode<double>(
      "add.rz.f64 d, a, b", [](double, double) { return 0x1.3333333333333p-2; }, a, b);
  check_opcode<double>(
      "add.rm.f64 d, a, b", [](double, double) { return 0x1.3333333333333p-2; }, a, b);
  check_opcode<double>(
      "add.rp.f64 d, a, b", [](double, double) { return 0x1.3333333333334p-2; }, a, b);
}

float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

float clamped(float x) {
  if (std::isnan(x)) return 0;
  return x <= 0 ? 0 : std::min(x, 1.0f);
}

TEST(Float, FlushAndSaturate) {
  check_opcode<float>(
      "add.ftz.f32 d, a, b", [](float a, float b) { return flushed(flushed(a) + flushed(b)); },
      float_edges(), float_edges());
  check_opcode<float>(
      "mul.rn.ftz.f32 d, a, b", [](float a, float b) { return flushed(flushed(a) * flushed(b)); },
      float_edges(), float_edges());
  check_opcode<float>(
      "add.sat.f32 d, a, b", [](float a, float b) { return clamped(a + b); }, float_edges(),
      float_edges());
  check_opcode<float>(
      "fma.rn.ftz.sat.f32 d, a, b, c",
      [](float a, float b, float c) {
        return clamped(flushed(std::fmaf(flushed(a), flushed(b), flushed(c))));
      },
      float_edges(), float_edges(), std::vector<float>{0.0f, 0.25f, NAN});
  check_opcode<float>(
      "mul.rz.ftz.sat.f32 d, a, b",
      [](float a, float b) {
        return clamped(flushed(rounded_to(Long{flushed(a)} * flushed(b), "rz")));
      },
      float_edges(), float_edges());
}

/// The manual's rules: a NaN loses unless both are, or wins with .NaN; -0 is below +0.
template <class T>
T extreme(T a, T b, bool smaller, bool keep_nan) {
  if (std::isnan(a) && std::isnan(b)) return NAN;
  if (std::isnan(a) || std::isnan(b)) return keep_nan ? T(NAN) : std::isnan(a) ? b : a;
  const bool below = a < b || (a == b && std::signbit(a) && !std::signbit(b));
  return below == smaller ? a : b;
}

TEST(Float, MinAndMax) {
  for (const bool smaller : {true, false}) {
    const std::string name = smaller ? "min" : "max";
    check_opcode<float>(
        name + ".f32 d, a, b", [=](float a, float b) { return extreme(a, b, smaller, false); },
        float_edges(), float_edges());
    check_opcode<float>(
        name + ".NaN.f32 d, a, b", [=](float a, float b) { return extreme(a, b, smaller, true); },
        float_edges(), float_edges());
    check_opcode<float>(
        name + ".ftz.f32 d, a, b",
        [=](float a, float b) { return extreme(flushed(a), flushed(b), smaller, false); },
        float_edges(), float_edges());
    check_opcode<double>(
        name + ".f64 d, a, b", [=](double a, double b) { return extreme(a, b, smaller, false); },
        double_edges(), double_edges());
    check_opcode<float>(
        name + ".xorsign.abs.f32 d, a, b",
        [=](float a, float b) {
          const float value = extreme(std::fabs(a), std::fabs(b), smaller, false);
          return std::signbit(a) != std::signbit(b) ? -value : value;
        },
        float_edges(), float_edges());
  }
}

TEST(Float, AbsNegCopysign) {
  check_opcode<u32>(
      "abs.f32 d, a", [](u32 a) { return a & 0x7fffffffu; }, edges<u32>());
  check_opcode<u32>(
      "neg.f32 d, a", [](u32 a) { return a ^ 0x80000000u; }, edges<u32>());
  check_opcode<u64>(
      "abs.f64 d, a", [](u64 a) { return a << 1 >> 1; }, edges<u64>());
  check_opcode<u64>(
      "neg.f64 d, a", [](u64 a) { return a ^ u64 { 1 } << 63; }, edges<u64>());
  check_opcode<float>(
      "abs.ftz.f32 d, a", [](float a) { return std::fabs(flushed(a)); }, float_edges());
  check_opcode<float>(
      "neg.ftz.f32 d, a", [](float a) { return -flushed(a); }, float_edges());
  check_opcode<float>(
      "copysign.f32 d, a, b", [](float sign, float value) { return std::copysign(value, sign); },
      float_edges(), float_edges());
  check_opcode<double>(
      "copysign.f64 d, a, b", [](double sign, double value) { return std::copysign(value, sign); },
      double_edges(), double_edges());
}

template <class T>
void check_tests(const std::string& type, const std::vector<T>& values) {
  const std::map<std::string, std::function<bool(T)>> tests = {
      {"finite", [](T x) { return std::fabs(x) <= std::numeric_limits<T>::max(); }},
      {"infinite", [](T x) { return std::fabs(x) > std::numeric_limits<T>::max(); }},
      {"number", [](T x) { return x == x; }},
      {"notanumber", [](T x) { return x != x; }},
      {"normal",
       [](T x) {
         return std::fabs(x) >= std::numeric_limits<T>::min() &&
                std::fabs(x) <= std::numeric_limits<T>::max();
       }},
      {"subnormal", [](T x) { return x != 0 && std::fabs(x) < std::numeric_limits<T>::min(); }}};
  for (const auto& [name, test] : tests) {
    check_opcode<u32>(
        "testp." + name + "." + type + " p, a;\nselp.u32 d, 1, 0, p",
        [&](T x) { return test(x) ? 1u : 0u; }, values);
  }
}

TEST(Float, Testp) {
  check_tests<float>("f32", float_edges());
  check_tests<double>("f64", double_edges());
}

TEST(Float, ApproximateFunctions) {
  const std::vector<float> values = {0.0f,  -0.0f, 1.0f,  -1.0f, 0.5f,     2.0f,      3.7f, -6.25f,
                                     1e-3f, 20.5f, 88.0f, NAN,   INFINITY, -INFINITY, 1e-5f};
  const double ulps = 1e-6;
  check_near<float>(
      ulps, 0, "ex2.approx.f32 d, a", [](float x) { return std::exp2(x); }, values);
  check_near<float>(
      ulps, 0, "lg2.approx.f32 d, a", [](float x) { return std::log2(x); }, values);
  check_near<float>(
      ulps, 2e-6, "sin.approx.f32 d, a", [](float x) { return std::sin(x); }, values);
  check_near<float>(
      ulps, 2e-6, "cos.approx.f32 d, a", [](float x) { return std::cos(x); }, values);
  check_near<float>(
      1e-3, 0, "tanh.approx.f32 d, a", [](float x) { return std::tanh(x); }, values);
  check_near<float>(
      ulps, 0, "rcp.approx.f32 d, a", [](float x) { return 1 / x; }, values);
  check_near<float>(
      ulps, 0, "sqrt.approx.f32 d, a", [](float x) { return std::sqrt(x); }, values);
  check_near<float>(
      ulps, 0, "rsqrt.approx.f32 d, a", [](float x) { return 1 / std::sqrt(x); }, values);
  check_near<double>(
      1e-9, 0, "rsqrt.approx.f64 d, a", [](double x) { return 1 / std::sqrt(x); },
      std::vector<double>{0.0, 1.0, 2.0, 1e300, -1.0, INFINITY});
  check_near<double>(
      1e-5, 0, "rcp.approx.ftz.f64 d, a", [](double x) { return 1 / x; },
      std::vector<double>{1.0, 3.0, -1e100, INFINITY});
}

TEST(Float, ApproximateFunctionsFlush) {
  check_opcode<float>(
      "rcp.approx.ftz.f32 d, a", [](float x) { return 1 / flushed(x); },
      std::vector<float>{1e-40f, -1e-40f, 0.0f, 1.0f});
  check_opcode<float>(
      "ex2.approx.ftz.f32 d, a", [](float x) { return flushed(std::exp2(x)); },
      std::vector<float>{-130.0f, -127.5f, -200.0f, 3.0f});
  check_opcode<float>(
      "lg2.approx.ftz.f32 d, a", [](float x) { return std::log2(flushed(x)); },
      std::vector<float>{1e-40f, 1.0f, 8.0f});
}

}  // namespace
}  // namespace emulator::test
