// Arithmetic of f16 and bf16. The oracle finds the nearest value by searching all 65536.
#include <algorithm>

#include "opcode_case.h"

namespace emulator::test {
namespace {

using Long = long double;

struct Format {
  std::string name;
  int exponent, mantissa;

  int bias() const { return (1 << (exponent - 1)) - 1; }
  u16 infinity() const { return static_cast<u16>(((1 << exponent) - 1) << mantissa); }
  bool is_nan(u16 bits) const { return (bits & 0x7fff) > infinity(); }
  Long value(u16 bits) const {
    const int e = bits >> mantissa & ((1 << exponent) - 1);
    const int m = bits & ((1 << mantissa) - 1);
    const Long sign = bits & 0x8000 ? -1 : 1;
    if (is_nan(bits)) return NAN;
    if ((bits & 0x7fff) == infinity()) return sign * INFINITY;
    if (e == 0) return sign * std::ldexp(Long(m), 1 - bias() - mantissa);
    return sign * std::ldexp(Long(m + (1 << mantissa)), e - bias() - mantissa);
  }
  /// Nearest by bisection over the ordered positive values; ties to the even one.
  u16 nearest(Long x) const {
    if (std::isnan(x)) return 0x7fff;
    const u16 sign = std::signbit(x) ? 0x8000 : 0;
    const Long magnitude = std::fabs(x);
    u32 low = 0, high = infinity();
    while (high - low > 1) {
      const u32 middle = (low + high) / 2;
      (value(static_cast<u16>(middle)) <= magnitude ? low : high) = middle;
    }
    // Beyond the greatest value rounding goes on as if the exponent did.
    const Long above =
        high == infinity() ? std::ldexp(1.0L, bias() + 1) : value(static_cast<u16>(high));
    const Long to_low = magnitude - value(static_cast<u16>(low)), to_high = above - magnitude;
    const bool up = to_high < to_low || (to_high == to_low && high % 2 == 0);
    return sign | static_cast<u16>(up ? high : low);
  }
};

const Format kHalf = {"f16", 5, 10};
const Format kBfloat = {"bf16", 8, 7};

std::vector<u16> values_of(const Format& f) {
  const u16 one = static_cast<u16>(f.bias() << f.mantissa);
  std::vector<u16> values = {0,
                             1,
                             2,
                             3,
                             one,
                             u16(one + 1),
                             u16(one + 3),
                             u16(f.infinity() - 1),
                             f.infinity(),
                             u16(1 << f.mantissa),
                             u16((1 << f.mantissa) - 1),
                             u16(one + (1 << f.mantissa)),
                             0x3555,
                             0x4248,
                             0x1234};
  const size_t count = values.size();
  for (size_t i = 0; i < count; ++i) values.push_back(values[i] | 0x8000);
  values.push_back(static_cast<u16>(f.infinity() + 1));
  return values;
}

/// Check a 16-bit form, then its pair with the second operand's halves exchanged.
template <class Oracle>
void check_binary(const Format& f, const std::string& opcode, Oracle oracle) {
  check_opcode<u16>(opcode + "." + f.name + " d, a, b", oracle, values_of(f), values_of(f));
  std::vector<u32> pairs;
  const std::vector<u16> values = values_of(f);
  for (size_t i = 0; i < values.size(); ++i) {
    pairs.push_back(values[i] | u32{values[(i * 7 + 3) % values.size()]} << 16);
  }
  check_opcode<u32>(
      opcode + "." + f.name + "x2 d, a, b",
      [=](u32 a, u32 b) {
        const u32 low = oracle(static_cast<u16>(a), static_cast<u16>(b));
        const u32 high = oracle(static_cast<u16>(a >> 16), static_cast<u16>(b >> 16));
        return low | high << 16;
      },
      pairs, pairs);
}

TEST(Half, AddSubMul) {
  for (const Format& f : {kHalf, kBfloat}) {
    check_binary(f, "add.rn", [=](u16 a, u16 b) { return f.nearest(f.value(a) + f.value(b)); });
    check_binary(f, "sub.rn", [=](u16 a, u16 b) { return f.nearest(f.value(a) - f.value(b)); });
    check_binary(f, "mul.rn", [=](u16 a, u16 b) { return f.nearest(f.value(a) * f.value(b)); });
  }
}

/// a * b + c with the lost part's sign in the last of 64 bits.
Long exact_fma(Long a, Long b, Long c) {
  const Long product = a * b, sum = product + c;
  if (!std::isfinite(sum)) return sum;
  const Long part = sum - product, error = (product - (sum - part)) + (c - part);
  if (error == 0) return sum;
  int exponent;
  const Long mantissa = std::ldexp(std::frexp(sum, &exponent), 64);
  if (std::fmod(mantissa, 2.0L) != 0) return sum;
  return std::nextafterl(sum, error > 0 ? INFINITY : -INFINITY);
}

TEST(Half, Fma) {
  for (const Format& f : {kHalf, kBfloat}) {
    const auto fma = [=](u16 a, u16 b, u16 c) {
      return f.nearest(exact_fma(f.value(a), f.value(b), f.value(c)));
    };
    check_opcode<u16>("fma.rn." + f.name + " d, a, b, c", fma, values_of(f), values_of(f),
                      values_of(f));
    check_opcode<u16>(
        "fma.rn.relu." + f.name + " d, a, b, c",
        [=](u16 a, u16 b, u16 c) {
          const u16 value = fma(a, b, c);
          return !f.is_nan(value) && value & 0x8000 ? u16{0} : value;
        },
        values_of(f), values_of(f), std::vector<u16>{0, 0x3c00, 0xbc00});
    check_opcode<u32>(
        "fma.rn." + f.name + "x2 d, a, b, c",
        [=](u32 a, u32 b, u32 c) {
          const u32 low = fma(u16(a), u16(b), u16(c));
          return low | u32{fma(u16(a >> 16), u16(b >> 16), u16(c >> 16))} << 16;
        },
        std::vector<u32>{0x3c003f80, 0x12344248}, std::vector<u32>{0x42484248},
        std::vector<u32>{0, 0x3f80bc00});
  }
}

TEST(Half, FlushAndSaturate) {
  const auto flush = [](u16 bits) { return (bits & 0x7c00) ? bits : u16(bits & 0x8000); };
  check_opcode<u16>(
      "add.ftz.f16 d, a, b",
      [=](u16 a, u16 b) {
        return flush(kHalf.nearest(kHalf.value(flush(a)) + kHalf.value(flush(b))));
      },
      values_of(kHalf), values_of(kHalf));
  check_opcode<u16>(
      "mul.sat.f16 d, a, b",
      [=](u16 a, u16 b) {
        const Long value = kHalf.value(a) * kHalf.value(b);
        if (std::isnan(value) || value <= 0) return u16{0};
        return kHalf.nearest(std::min(value, 1.0L));
      },
      values_of(kHalf), values_of(kHalf));
}

TEST(Half, MinAndMax) {
  for (const Format& f : {kHalf, kBfloat}) {
    for (const bool smaller : {true, false}) {
      for (const bool keep_nan : {false, true}) {
        const std::string opcode = std::string(smaller ? "min" : "max") + (keep_nan ? ".NaN" : "");
        check_binary(f, opcode, [=](u16 a, u16 b) {
          if (f.is_nan(a) && f.is_nan(b)) return u16{0x7fff};
          if (f.is_nan(a) || f.is_nan(b)) return keep_nan ? u16{0x7fff} : f.is_nan(a) ? b : a;
          const Long x = f.value(a), y = f.value(b);
          const bool below = x < y || (x == y && std::signbit(x) && !std::signbit(y));
          return below == smaller ? a : b;
        });
      }
    }
  }
}

TEST(Half, AbsAndNeg) {
  for (const Format& f : {kHalf, kBfloat}) {
    check_opcode<u16>(
        "abs." + f.name + " d, a", [](u16 a) { return a & 0x7fff; }, values_of(f));
    check_opcode<u16>(
        "neg." + f.name + " d, a", [](u16 a) { return a ^ 0x8000; }, values_of(f));
    check_opcode<u32>(
        "neg." + f.name + "x2 d, a", [](u32 a) { return a ^ 0x80008000u; }, edges<u32>());
    check_opcode<u32>(
        "abs." + f.name + "x2 d, a", [](u32 a) { return a & 0x7fff7fffu; }, edges<u32>());
  }
}

TEST(Half, Functions) {
  const std::vector<u16> some = {0, 0x3c00, 0xbc00, 0x4248, 0x7c00, 0xfc00, 0x7e00, 0x3555};
  check_opcode<u16>(
      "ex2.approx.f16 d, a", [](u16 a) { return kHalf.nearest(std::exp2(kHalf.value(a))); }, some);
  check_opcode<u16>(
      "tanh.approx.f16 d, a", [](u16 a) { return kHalf.nearest(std::tanh(kHalf.value(a))); }, some);
  check_opcode<u16>(
      "tanh.approx.bf16 d, a", [](u16 a) { return kBfloat.nearest(std::tanh(kBfloat.value(a))); },
      some);
  check_opcode<u32>(
      "ex2.approx.f16x2 d, a",
      [](u32 a) {
        const u32 low = kHalf.nearest(std::exp2(kHalf.value(u16(a))));
        return low | u32{kHalf.nearest(std::exp2(kHalf.value(u16(a >> 16))))} << 16;
      },
      std::vector<u32>{0x3c004248, 0xbc007c00});
}

// Every value of both formats: to f32 exactly, and from f32 at and around each midpoint.
TEST(Half, ConvertsEveryValue) {
  std::vector<u16> all(65536);
  for (u32 k = 0; k < all.size(); ++k) all[k] = static_cast<u16>(k);
  for (const Format& f : {kHalf, kBfloat}) {
    check_opcode<float>(
        "cvt.f32." + f.name + " d, a", [=](u16 a) { return static_cast<float>(f.value(a)); }, all);
    std::vector<float> around;
    for (u32 k = 0; k < f.infinity(); k += 3) {
      const Long low = f.value(static_cast<u16>(k));
      const Long high =
          k + 1 == f.infinity() ? std::ldexp(1.0L, f.bias() + 1) : f.value(static_cast<u16>(k + 1));
      const float middle = static_cast<float>((low + high) / 2);
      for (const float x : {static_cast<float>(low), middle, std::nextafterf(middle, 0),
                            std::nextafterf(middle, INFINITY)}) {
        around.push_back(k % 2 ? -x : x);
      }
    }
    check_opcode<u16>(
        "cvt.rn." + f.name + ".f32 d, a", [=](float x) { return f.nearest(x); }, around);
    check_opcode<u16>(
        "cvt.rn." + f.name + ".f32 d, a", [=](float x) { return f.nearest(x); }, float_edges());
  }
}

TEST(Half, ConvertsPairs) {
  for (const Format& f : {kHalf, kBfloat}) {
    check_opcode<u32>(
        "cvt.rn." + f.name + "x2.f32 d, a, b",
        [=](float a, float b) { return u32{f.nearest(a)} << 16 | f.nearest(b); }, float_edges(),
        float_edges());
    check_opcode<u32>(
        "cvt.rn.relu." + f.name + "x2.f32 d, a, b",
        [=](float a, float b) {
          const auto relu = [](float x) { return x <= 0 ? 0.0f : x; };
          return u32{f.nearest(relu(a))} << 16 | f.nearest(relu(b));
        },
        float_edges(), float_edges());
  }
}

}  // namespace
}  // namespace emulator::test
