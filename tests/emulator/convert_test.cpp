// cvt between integers and floats, by a table of types and rounding modes.
#include "opcode_case.h"

namespace emulator::test {
namespace {

using Long = long double;
using Wide = __int128;

template <class T>
T low(Wide value) {
  return static_cast<T>(static_cast<unsigned __int128>(value));
}

template <class To>
To clamped(Wide value) {
  const Wide least = std::numeric_limits<To>::min(), most = std::numeric_limits<To>::max();
  return static_cast<To>(value < least ? least : value > most ? most : value);
}

template <class To, class From>
void check_integers(const std::string& to, const std::string& from) {
  const std::string types = to + "." + from + " d, a";
  check_opcode<To>(
      "cvt." + types, [](From a) { return low<To>(a); }, edges<From>());
  check_opcode<To>(
      "cvt.sat." + types, [](From a) { return clamped<To>(a); }, edges<From>());
}

template <class From>
void check_integers_from(const std::string& from) {
  check_integers<u16, From>("u16", from);
  check_integers<i16, From>("s16", from);
  check_integers<u32, From>("u32", from);
  check_integers<i32, From>("s32", from);
  check_integers<u64, From>("u64", from);
  check_integers<i64, From>("s64", from);
}

TEST(Convert, Integers) {
  check_integers_from<u16>("u16");
  check_integers_from<i16>("s16");
  check_integers_from<u32>("u32");
  check_integers_from<i32>("s32");
  check_integers_from<u64>("u64");
  check_integers_from<i64>("s64");
}

// Bytes lie in wider registers: only the low byte counts, and results are extended.
TEST(Convert, Bytes) {
  check_opcode<u32>(
      "cvt.u32.u8 d, a", [](u16 a) { return a % 256; }, edges<u16>());
  check_opcode<i32>(
      "cvt.s32.s8 d, a", [](u16 a) { return static_cast<i8>(a); }, edges<u16>());
  check_opcode<i32>(
      "cvt.s32.s8 d, a", [](u32 a) { return static_cast<i8>(a); }, edges<u32>());
  check_opcode<i16>(
      "cvt.s8.s32 d, a", [](i32 a) { return static_cast<i8>(a); }, edges<i32>());
  check_opcode<u16>(
      "cvt.u8.u32 d, a", [](u32 a) { return a % 256; }, edges<u32>());
  check_opcode<u16>(
      "cvt.sat.u8.s32 d, a", [](i32 a) { return clamped<u8>(a); }, edges<i32>());
  check_opcode<i16>(
      "cvt.sat.s8.s32 d, a", [](i32 a) { return clamped<i8>(a); }, edges<i32>());
  check_opcode<u32>(
      "cvt.u8.u32 d, a", [](u32 a) { return a % 256; }, edges<u32>());
  check_opcode<u64>(
      "cvt.u16.u32 d, a", [](u32 a) { return a % 65536; }, edges<u32>());
}

Long integral(Long x, const std::string& mode) {
  if (mode == "rzi") return std::trunc(x);
  if (mode == "rmi") return std::floor(x);
  if (mode == "rpi") return std::ceil(x);
  const Long down = std::floor(x), rest = x - down;
  if (rest != 0.5L) return rest < 0.5L ? down : down + 1;
  return std::fmod(down, 2.0L) == 0 ? down : down + 1;
}

template <class To, class From>
To integer_of(From x, const std::string& mode) {
  if (std::isnan(x)) {
    const bool zero = sizeof(From) < 8 && sizeof(To) < 8;
    return zero ? To{0} : static_cast<To>(u64{1} << (8 * sizeof(To) - 1));
  }
  const Long whole = integral(x, mode);
  if (whole < static_cast<Long>(std::numeric_limits<To>::min())) {
    return std::numeric_limits<To>::min();
  }
  if (whole > static_cast<Long>(std::numeric_limits<To>::max())) {
    return std::numeric_limits<To>::max();
  }
  return static_cast<To>(whole);
}

template <class T>
std::vector<T> with_halves(std::vector<T> values) {
  for (const double x : {0.5,
                         1.5,
                         2.5,
                         -0.5,
                         -1.5,
                         0.49999997,
                         2147483647.0,
                         2147483648.0,
                         -2147483648.0,
                         -2147483904.0,
                         4294967295.0,
                         4294967296.0,
                         65535.5,
                         32767.5,
                         -32768.5,
                         9.223372036854775e18,
                         9.223372036854775807e18,
                         1.8446744073709552e19,
                         -9.3e18,
                         255.5,
                         -0.9}) {
    values.push_back(static_cast<T>(x));
  }
  return values;
}

template <class From>
void check_to_integers(const std::string& from, const std::vector<From>& values) {
  for (const std::string mode : {"rni", "rzi", "rmi", "rpi"}) {
    const auto check = [&](auto zero, const std::string& to) {
      using To = decltype(zero);
      check_opcode<To>(
          "cvt." + mode + "." + to + "." + from + " d, a",
          [=](From x) { return integer_of<To>(x, mode); }, values);
    };
    check(u16{}, "u16");
    check(i16{}, "s16");
    check(u32{}, "u32");
    check(i32{}, "s32");
    check(u64{}, "u64");
    check(i64{}, "s64");
  }
}

TEST(Convert, FloatsToIntegers) {
  check_to_integers<float>("f32", with_halves(float_edges()));
  check_to_integers<double>("f64", with_halves(double_edges()));
}

/// `exact` rounded to a float type by mode.
template <class To>
To rounded(Long exact, const std::string& mode) {
  To value = static_cast<To>(exact);
  if (std::isnan(exact) || std::isinf(exact)) return value;
  const bool down = mode == "rm" || (mode == "rz" && exact > 0);
  const bool up = mode == "rp" || (mode == "rz" && exact < 0);
  if (down && Long{value} > exact) value = std::nextafter(value, To(-INFINITY));
  if (up && Long{value} < exact) value = std::nextafter(value, To(INFINITY));
  return value;
}

template <class From>
void check_from_integer(const std::string& from) {
  std::vector<From> values = edges<From>();
  for (const u64 x : {0x1000001ull, 0x1000003ull, 0x7fffff80ull, 0x7fffffbfull, 0xffffff7full,
                      0x20000000000001ull, 0x7fffffffffffff00ull, 0x8000008000000000ull}) {
    values.push_back(static_cast<From>(x));
  }
  for (const std::string mode : {"rn", "rz", "rm", "rp"}) {
    check_opcode<float>(
        "cvt." + mode + ".f32." + from + " d, a", [=](From x) { return rounded<float>(x, mode); },
        values);
    check_opcode<double>(
        "cvt." + mode + ".f64." + from + " d, a", [=](From x) { return rounded<double>(x, mode); },
        values);
  }
}

TEST(Convert, IntegersToFloats) {
  check_from_integer<u16>("u16");
  check_from_integer<i16>("s16");
  check_from_integer<u32>("u32");
  check_from_integer<i32>("s32");
  check_from_integer<u64>("u64");
  check_from_integer<i64>("s64");
}

TEST(Convert, BetweenFloats) {
  std::vector<double> values = double_edges();
  for (const double x : {0x1.000001p0, 0x1.0000010000001p0, 0x1.fffffefffffffp127, 0x1.ffffffp127,
                         0x1p-150, 0x1.8p-149, -0x1.0000030p0, 1e-300}) {
    values.push_back(x);
  }
  for (const std::string mode : {"rn", "rz", "rm", "rp"}) {
    check_opcode<float>(
        "cvt." + mode + ".f32.f64 d, a", [=](double x) { return rounded<float>(x, mode); }, values);
  }
  check_opcode<double>(
      "cvt.f64.f32 d, a", [](float x) { return double{x}; }, float_edges());
  check_opcode<float>(
      "cvt.sat.f32.f32 d, a", [](float x) { return x > 0 ? std::min(x, 1.0f) : 0.0f; },
      float_edges());
  check_opcode<float>(
      "cvt.ftz.f32.f32 d, a",
      [](float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }, float_edges());
}

TEST(Convert, ToIntegralFloats) {
  const std::vector<float> values = with_halves(float_edges());
  for (const std::string mode : {"rni", "rzi", "rmi", "rpi"}) {
    check_opcode<float>(
        "cvt." + mode + ".f32.f32 d, a",
        [=](float x) {
          if (!std::isfinite(x)) return x;
          return std::copysign(static_cast<float>(integral(x, mode)), x);
        },
        values);
    check_opcode<double>(
        "cvt." + mode + ".f64.f64 d, a",
        [=](double x) {
          if (!std::isfinite(x)) return x;
          return std::copysign(static_cast<double>(integral(x, mode)), x);
        },
        with_halves(double_edges()));
  }
}

TEST(Convert, Tf32) {
  // 10 bits of mantissa remain; a tie goes away from zero.
  const auto nearest = [](float x) {
    if (!std::isfinite(x)) return x;
    if (std::fabs(x) < 0x1p-126f) {
      return std::copysign(
          static_cast<float>(std::floor(std::fabs(double{x}) / 0x1p-136 + 0.5) * 0x1p-136), x);
    }
    int exponent;
    const double mantissa = std::frexp(std::fabs(double{x}), &exponent);
    const double whole = std::floor(std::ldexp(mantissa, 11) + 0.5);
    return std::copysign(static_cast<float>(std::ldexp(whole, exponent - 11)), x);
  };
  std::vector<float> values = float_edges();
  for (const float x : {0x1.001p0f, 0x1.003p0f, 0x1.002p0f, 0x1.000ffep0f, -0x1.005p7f}) {
    values.push_back(x);
  }
  check_opcode<float>("cvt.rna.tf32.f32 d, a", nearest, values);
}

TEST(Convert, HalvesAndIntegers) {
  // 0x3c00 is 1, 0x4100 2.5, 0xc500 -5, 0x7bff 65504, 0x7c00 infinity, 0x7e00 NaN.
  const std::vector<u16> values = {0x3c00, 0x4100, 0xc500, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0};
  const auto exact = [](u16 bits) {
    const std::map<u16, float> table = {
        {0x3c00, 1},        {0x4100, 2.5f},      {0xc500, -5},  {0x7bff, 65504},
        {0x7c00, INFINITY}, {0xfc00, -INFINITY}, {0x7e00, NAN}, {0, 0}};
    return table.at(bits);
  };
  check_opcode<i32>(
      "cvt.rzi.s32.f16 d, a", [=](u16 x) { return integer_of<i32>(exact(x), "rzi"); }, values);
  check_opcode<u16>(
      "cvt.rni.u16.f16 d, a", [=](u16 x) { return integer_of<u16>(exact(x), "rni"); }, values);
  check_opcode<double>(
      "cvt.f64.f16 d, a", [=](u16 x) { return double{exact(x)}; }, values);
  const std::vector<i32> integers = {0, 1, -5, 65504, 65519, 65520, 2049, 2051, -2049};
  const std::map<i32, u16> nearest = {{0, 0},          {1, 0x3c00},     {-5, 0xc500},
                                      {65504, 0x7bff}, {65519, 0x7bff}, {65520, 0x7c00},
                                      {2049, 0x6800},  {2051, 0x6802},  {-2049, 0xe800}};
  check_opcode<u16>(
      "cvt.rn.f16.s32 d, a", [&](i32 x) { return nearest.at(x); }, integers);
  const std::map<i32, u16> down = {{0, 0},          {1, 0x3c00},     {-5, 0xc500},
                                   {65504, 0x7bff}, {65519, 0x7bff}, {65520, 0x7bff},
                                   {2049, 0x6800},  {2051, 0x6801},  {-2049, 0xe801}};
  check_opcode<u16>(
      "cvt.rm.f16.s32 d, a", [&](i32 x) { return down.at(x); }, integers);
}

TEST(Convert, Pack) {
  check_opcode<u32>(
      "cvt.pack.sat.u16.s32 d, a, b",
      [](i32 a, i32 b) { return u32{clamped<u16>(a)} << 16 | clamped<u16>(b); }, edges<i32>(),
      edges<i32>());
  check_opcode<u32>(
      "cvt.pack.sat.s8.s32.b32 d, a, b, c",
      [](i32 a, i32 b, u32 c) {
        return c << 16 | u32{u8(clamped<i8>(a))} << 8 | u8(clamped<i8>(b));
      },
      edges<i32>(), edges<i32>(), std::vector<u32>{0, 0x12345678});
}

}  // namespace
}  // namespace emulator::test
