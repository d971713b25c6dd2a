// Integer arithmetic, opcode by opcode, against formulas in 128 bits.
#include "opcode_case.h"

namespace emulator::test {
namespace {

using Wide = __int128;

template <class T>
T low(Wide value) {
  return static_cast<T>(static_cast<unsigned __int128>(value));
}

/// Call `body(T{}, "s32")` for the six integer types.
template <class Body>
void each_type(Body body) {
  body(u16{}, "u16");
  body(i16{}, "s16");
  body(u32{}, "u32");
  body(i32{}, "s32");
  body(u64{}, "u64");
  body(i64{}, "s64");
}

TEST(Integer, Add) {
  each_type([](auto zero, const std::string& type) {
    using T = decltype(zero);
    check_opcode<T>(
        "add." + type + " d, a, b", [](T a, T b) { return low<T>(Wide{a} + b); }, edges<T>(),
        edges<T>());
  });
}

TEST(Integer, Sub) {
  each_type([](auto zero, const std::string& type) {
    using T = decltype(zero);
    check_opcode<T>(
        "sub." + type + " d, a, b", [](T a, T b) { return low<T>(Wide{a} - b); }, edges<T>(),
        edges<T>());
  });
}

i32 clamped(Wide value) {
  if (value > INT32_MAX) return INT32_MAX;
  return value < INT32_MIN ? INT32_MIN : static_cast<i32>(value);
}

TEST(Integer, AddAndSubSaturate) {
  check_opcode<i32>(
      "add.sat.s32 d, a, b", [](i32 a, i32 b) { return clamped(Wide{a} + b); }, edges<i32>(),
      edges<i32>());
  check_opcode<i32>(
      "sub.sat.s32 d, a, b", [](i32 a, i32 b) { return clamped(Wide{a} - b); }, edges<i32>(),
      edges<i32>());
}

TEST(Integer, AddOfHalves) {
  const auto sum = [](u32 a, u32 b) {
    return ((a & 0xffff) + (b & 0xffff)) % 65536 + ((a >> 16) + (b >> 16)) % 65536 * 65536;
  };
  check_opcode<u32>("add.u16x2 d, a, b", sum, edges<u32>(), edges<u32>());
  check_opcode<u32>("add.s16x2 d, a, b", sum, edges<u32>(), edges<u32>());
}

TEST(Integer, MulLowAndHigh) {
  each_type([](auto zero, const std::string& type) {
    using T = decltype(zero);
    check_opcode<T>(
        "mul.lo." + type + " d, a, b", [](T a, T b) { return low<T>(Wide{a} * b); }, edges<T>(),
        edges<T>());
    check_opcode<T>(
        "mul.hi." + type + " d, a, b",
        [](T a, T b) {
          if constexpr (std::is_same_v<T, u64>) {
            return static_cast<T>(static_cast<unsigned __int128>(a) * b >> 64);
          }
          return low<T>(Wide{a} * b >> 8 * sizeof(T));
        },
        edges<T>(), edges<T>());
  });
}

template <class T, class W>
void check_wide(const std::string& type) {
  check_opcode<W>(
      "mul.wide." + type + " d, a, b", [](T a, T b) { return low<W>(Wide{a} * b); }, edges<T>(),
      edges<T>());
  check_opcode<W>(
      "mad.wide." + type + " d, a, b, c", [](T a, T b, W c) { return low<W>(Wide{a} * b + c); },
      edges<T>(), edges<T>(), std::vector<W>{0, 1, W(-1), std::numeric_limits<W>::max()});
}

TEST(Integer, WideProducts) {
  check_wide<u16, u32>("u16");
  check_wide<i16, i32>("s16");
  check_wide<u32, u64>("u32");
  check_wide<i32, i64>("s32");
}

TEST(Integer, Mad) {
  each_type([](auto zero, const std::string& type) {
    using T = decltype(zero);
    const std::vector<T> c = {T(0), T(1), T(-1), std::numeric_limits<T>::max()};
    check_opcode<T>(
        "mad.lo." + type + " d, a, b, c", [](T x, T y, T z) { return low<T>(Wide{x} * y + z); },
        edges<T>(), edges<T>(), c);
    if constexpr (sizeof(T) < 8) {
      check_opcode<T>(
          "mad.hi." + type + " d, a, b, c",
          [](T x, T y, T z) { return low<T>((Wide{x} * y >> 8 * sizeof(T)) + z); }, edges<T>(),
          edges<T>(), c);
    }
  });
  check_opcode<i32>(
      "mad.hi.sat.s32 d, a, b, c",
      [](i32 a, i32 b, i32 c) { return clamped((Wide{a} * b >> 32) + c); }, edges<i32>(),
      edges<i32>(), edges<i32>());
}

TEST(Integer, DivAndRem) {
  each_type([](auto zero, const std::string& type) {
    using T = decltype(zero);
    check_opcode<T>(
        "div." + type + " d, a, b", [](T a, T b) { return b == 0 ? T(-1) : low<T>(Wide{a} / b); },
        edges<T>(), edges<T>());
    check_opcode<T>(
        "rem." + type + " d, a, b", [](T a, T b) { return b == 0 ? a : low<T>(Wide{a} % b); },
        edges<T>(), edges<T>());
  });
}

TEST(Integer, MinAndMax) {
  each_type([](auto zero, const std::string& type) {
    using T = decltype(zero);
    check_opcode<T>(
        "min." + type + " d, a, b", [](T a, T b) { return std::min(a, b); }, edges<T>(),
        edges<T>());
    check_opcode<T>(
        "max." + type + " d, a, b", [](T a, T b) { return std::max(a, b); }, edges<T>(),
        edges<T>());
  });
  check_opcode<i32>(
      "max.relu.s32 d, a, b",
      [](i32 a, i32 b) {
        return std::max({a, b, 0});
      },
      edges<i32>(), edges<i32>());
  check_opcode<i32>(
      "min.relu.s32 d, a, b", [](i32 a, i32 b) { return std::max(std::min(a, b), 0); },
      edges<i32>(), edges<i32>());
}

TEST(Integer, MinAndMaxOfHalves) {
  const auto halves = [](auto op) {
    return [op](u32 a, u32 b) {
      const u32 lower = static_cast<u16>(op(static_cast<u16>(a), static_cast<u16>(b)));
      const u32 upper = static_cast<u16>(op(static_cast<u16>(a >> 16), static_cast<u16>(b >> 16)));
      return lower + upper * 65536;
    };
  };
  check_opcode<u32>("min.u16x2 d, a, b", halves([](u16 a, u16 b) { return a < b ? a : b; }),
                    edges<u32>(), edges<u32>());
  check_opcode<u32>("max.s16x2 d, a, b",
                    halves([](u16 a, u16 b) { return i16(a) > i16(b) ? a : b; }), edges<u32>(),
                    edges<u32>());
}

template <class T>
void check_signs(const std::string& type) {
  check_opcode<T>(
      "abs." + type + " d, a", [](T a) { return low<T>(a < 0 ? -Wide{a} : Wide{a}); }, edges<T>());
  check_opcode<T>(
      "neg." + type + " d, a", [](T a) { return low<T>(-Wide{a}); }, edges<T>());
}

TEST(Integer, AbsAndNeg) {
  check_signs<i16>("s16");
  check_signs<i32>("s32");
  check_signs<i64>("s64");
}

TEST(Integer, Sad) {
  each_type([](auto zero, const std::string& type) {
    using T = decltype(zero);
    check_opcode<T>(
        "sad." + type + " d, a, b, c",
        [](T a, T b, T c) {
          const Wide difference = Wide{a} - b;
          return low<T>(c + (difference < 0 ? -difference : difference));
        },
        edges<T>(), edges<T>(), std::vector<T>{T(0), T(5), T(-1)});
  });
}

Wide of_24(u32 a, bool with_sign) {
  const Wide value = a & 0xffffff;
  return with_sign && value >= 0x800000 ? value - 0x1000000 : value;
}

TEST(Integer, Mul24AndMad24) {
  for (const bool with_sign : {false, true}) {
    const std::string type = with_sign ? "s32" : "u32";
    check_opcode<u32>(
        "mul24.lo." + type + " d, a, b",
        [=](u32 a, u32 b) { return low<u32>(of_24(a, with_sign) * of_24(b, with_sign)); },
        edges<u32>(), edges<u32>());
    check_opcode<u32>(
        "mul24.hi." + type + " d, a, b",
        [=](u32 a, u32 b) { return low<u32>(of_24(a, with_sign) * of_24(b, with_sign) >> 16); },
        edges<u32>(), edges<u32>());
    check_opcode<u32>(
        "mad24.lo." + type + " d, a, b, c",
        [=](u32 a, u32 b, u32 c) {
          return low<u32>(of_24(a, with_sign) * of_24(b, with_sign) + c);
        },
        edges<u32>(), edges<u32>(), std::vector<u32>{0, 7, ~0u});
  }
}

/// Bytes `first`.. of a word, with or without sign.
Wide byte_of(u32 word, u32 index, bool with_sign) {
  const u8 byte = static_cast<u8>(word >> (8 * index));
  return with_sign ? Wide{static_cast<i8>(byte)} : Wide{byte};
}

TEST(Integer, Dp4a) {
  for (const bool a_sign : {false, true}) {
    for (const bool b_sign : {false, true}) {
      const std::string types = std::string(a_sign ? ".s32" : ".u32") + (b_sign ? ".s32" : ".u32");
      check_opcode<u32>(
          "dp4a" + types + " d, a, b, c",
          [=](u32 a, u32 b, u32 c) {
            Wide sum = c;
            for (u32 k = 0; k < 4; ++k) {
              sum += byte_of(a, k, a_sign) * byte_of(b, k, b_sign);
            }
            return low<u32>(sum);
          },
          edges<u32>(), edges<u32>(), std::vector<u32>{0, 100, ~0u});
    }
  }
}

TEST(Integer, Dp2a) {
  for (const bool high : {false, true}) {
    check_opcode<u32>(
        std::string("dp2a.") + (high ? "hi" : "lo") + ".s32.u32 d, a, b, c",
        [=](u32 a, u32 b, u32 c) {
          const Wide first = static_cast<i16>(a), second = static_cast<i16>(a >> 16);
          const u32 at = high ? 2 : 0;
          return low<u32>(first * byte_of(b, at, false) + second * byte_of(b, at + 1, false) + c);
        },
        edges<u32>(), edges<u32>(), std::vector<u32>{0, 100, ~0u});
  }
}

// A chain of two words must give what one wide operation gives.
TEST(Integer, CarryChains) {
  const std::string split =
      "{\n.reg .b32 al, ah, bl, bh, dl, dh;\nmov.b64 {al, ah}, a;\nmov.b64 {bl, bh}, b;\n";
  const std::string join = "mov.b64 d, {dl, dh};\n}";
  check_opcode<u64>(
      split + "add.cc.u32 dl, al, bl;\naddc.u32 dh, ah, bh;\n" + join,
      [](u64 a, u64 b) { return a + b; }, edges<u64>(), edges<u64>());
  check_opcode<u64>(
      split + "sub.cc.u32 dl, al, bl;\nsubc.u32 dh, ah, bh;\n" + join,
      [](u64 a, u64 b) { return a - b; }, edges<u64>(), edges<u64>());
  check_opcode<u64>(
      split +
          "mul.lo.u32 dl, al, bl;\nmul.hi.u32 dh, al, bl;\n"
          "mad.lo.u32 dh, al, bh, dh;\nmad.lo.u32 dh, ah, bl, dh;\n" +
          join,
      [](u64 a, u64 b) { return a * b; }, edges<u64>(), edges<u64>());
}

TEST(Integer, CarryInAndOut) {
  // The high word of a 64-bit product plus addend, by mad.lo.cc and madc.hi.
  check_opcode<u64>(
      "{\n.reg .b64 l;\nmad.lo.cc.u64 l, a, b, c;\nmadc.hi.u64 d, a, b, 0;\n}",
      [](u64 a, u64 b, u64 c) {
        return static_cast<u64>((static_cast<unsigned __int128>(a) * b + c) >> 64);
      },
      edges<u64>(), edges<u64>(), edges<u64>());
  // addc.cc hands the carry on.
  check_opcode<u32>(
      "{\n.reg .b32 t;\nadd.cc.u32 t, a, b;\naddc.cc.u32 t, c, 0xffffffff;\naddc.u32 d, 0, 0;\n}",
      [](u32 a, u32 b, u32 c) {
        const u64 first = u64{a} + b, second = u64{c} + 0xffffffffu + (first >> 32);
        return static_cast<u32>(second >> 32);
      },
      edges<u32>(), edges<u32>(), std::vector<u32>{0, 1, ~0u});
  check_opcode<u64>(
      "{\n.reg .b64 t;\nsub.cc.u64 t, a, b;\nsubc.u64 d, 10, 3;\n}",
      [](u64 a, u64 b) { return a < b ? u64{6} : u64{7}; }, edges<u64>(), edges<u64>());
}

}  // namespace
}  // namespace emulator::test
