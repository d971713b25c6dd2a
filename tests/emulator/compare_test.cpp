// setp, set, selp, slct.
#include <map>

#include "opcode_case.h"

namespace emulator::test {
namespace {

/// The sense of a comparison by what holds: less, equal, greater or unordered.
bool expected(const std::string& name, bool less, bool equal, bool greater) {
  const bool unordered = !less && !equal && !greater;
  if (name == "num") return !unordered;
  if (name == "nan") return unordered;
  const bool accepts = name.size() == 3 && name.back() == 'u';
  if (unordered) return accepts;
  const std::string plain = name.substr(0, 2);
  if (plain == "eq") return equal;
  if (plain == "ne") return !equal;
  if (plain == "lt" || plain == "lo") return less;
  if (plain == "le" || plain == "ls") return less || equal;
  if (plain == "gt" || plain == "hi") return greater;
  return greater || equal;
}

template <class T>
bool expected_of(const std::string& name, T a, T b) {
  return expected(name, a<b, a == b, a> b);
}

const std::string kTake = ";\nselp.u32 d, 1, 0, p";

template <class T>
void check_integers(const std::string& type, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    check_opcode<u32>(
        "setp." + name + "." + type + " p, a, b" + kTake,
        [=](T a, T b) { return expected_of(name, a, b) ? 1u : 0u; }, edges<T>(), edges<T>());
  }
}

const std::vector<std::string> kSigned = {"eq", "ne", "lt", "le", "gt", "ge"};
const std::vector<std::string> kUnsigned = {"eq", "ne", "lo", "ls", "hi", "hs", "lt", "ge"};
const std::vector<std::string> kFloat = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                         "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

TEST(Compare, SetpOfIntegers) {
  check_integers<i16>("s16", kSigned);
  check_integers<i32>("s32", kSigned);
  check_integers<i64>("s64", kSigned);
  check_integers<u16>("u16", kUnsigned);
  check_integers<u32>("u32", kUnsigned);
  check_integers<u64>("u64", kUnsigned);
  check_integers<u32>("b32", {"eq", "ne"});
}

TEST(Compare, SetpOfFloats) {
  for (const std::string& name : kFloat) {
    check_opcode<u32>(
        "setp." + name + ".f32 p, a, b" + kTake,
        [=](float a, float b) { return expected_of(name, a, b) ? 1u : 0u; }, float_edges(),
        float_edges());
    check_opcode<u32>(
        "setp." + name + ".f64 p, a, b" + kTake,
        [=](double a, double b) { return expected_of(name, a, b) ? 1u : 0u; }, double_edges(),
        double_edges());
  }
  const auto flush = [](float x) { return std::fabs(x) < 0x1p-126f ? 0.0f : x; };
  check_opcode<u32>(
      "setp.lt.ftz.f32 p, a, b" + kTake,
      [=](float a, float b) { return flush(a) < flush(b) ? 1u : 0u; }, float_edges(),
      float_edges());
}

/// A few values of f16 by their bits.
const std::map<u16, float> kHalves = {{0x0000, 0.0f},    {0x8000, -0.0f},    {0x3c00, 1.0f},
                                      {0xbc00, -1.0f},   {0x7c00, INFINITY}, {0x7e00, NAN},
                                      {0x0001, 0x1p-24f}};

TEST(Compare, SetpOfHalves) {
  std::vector<u16> bits;
  for (const auto& [key, value] : kHalves) bits.push_back(key);
  for (const std::string& name : kFloat) {
    check_opcode<u32>(
        "setp." + name + ".f16 p, a, b" + kTake,
        [=](u16 a, u16 b) { return expected_of(name, kHalves.at(a), kHalves.at(b)) ? 1u : 0u; },
        bits, bits);
  }
  check_opcode<u32>(
      "setp.gt.bf16 p, a, b" + kTake, [](u16 a, u16 b) { return i16(a) > i16(b) ? 1u : 0u; },
      std::vector<u16>{0x3f80, 0x4000, 0}, std::vector<u16>{0x3f80, 0x4000, 0});
  // The pair's predicates: p for the low half, q for the high half.
  check_opcode<u32>(
      "setp.lt.f16x2 p|q, a, b;\nselp.u32 d, 1, 0, p;\n@q add.u32 d, d, 2",
      [](u32 a, u32 b) {
        const u32 low = kHalves.at(u16(a)) < kHalves.at(u16(b));
        const u32 high = kHalves.at(u16(a >> 16)) < kHalves.at(u16(b >> 16));
        return low + 2 * high;
      },
      std::vector<u32>{0x3c000000, 0xbc003c00, 0x7e007c00},
      std::vector<u32>{0x00003c00, 0x3c003c00});
}

TEST(Compare, SetpCombines) {
  const std::vector<u32> flags = {0, 1};
  const std::map<std::string, std::function<bool(bool, bool)>> operators = {
      {"and", [](bool x, bool y) { return x && y; }},
      {"or", [](bool x, bool y) { return x || y; }},
      {"xor", [](bool x, bool y) { return x != y; }}};
  for (const auto& [name, combine] : operators) {
    for (const bool negated : {false, true}) {
      check_opcode<u32>(
          "setp.ne.u32 %p2, c, 0;\nsetp.lt." + name + ".s32 p|q, a, b, " + (negated ? "!" : "") +
              "%p2;\nselp.u32 d, 1, 0, p;\n@q add.u32 d, d, 2",
          [&](i32 a, i32 b, u32 c) {
            const bool other = negated ? c == 0 : c != 0;
            return combine(a < b, other) + 2u * combine(a >= b, other);
          },
          edges<i32>(), edges<i32>(), flags);
    }
  }
}

TEST(Compare, Set) {
  check_opcode<u32>(
      "set.lt.u32.s32 d, a, b", [](i32 a, i32 b) { return a < b ? ~0u : 0u; }, edges<i32>(),
      edges<i32>());
  check_opcode<float>(
      "set.geu.f32.f32 d, a, b", [](float a, float b) { return !(a < b) ? 1.0f : 0.0f; },
      float_edges(), float_edges());
  check_opcode<u32>(
      "setp.ne.u32 %p2, c, 0;\nset.eq.and.u32.u64 d, a, b, %p2",
      [](u64 a, u64 b, u32 c) { return a == b && c ? ~0u : 0u; }, edges<u64>(), edges<u64>(),
      std::vector<u32>{0, 1});
  check_opcode<u32>(
      "set.lt.f16x2.f16x2 d, a, b",
      [](u32 a, u32 b) {
        const bool low = kHalves.at(u16(a)) < kHalves.at(u16(b));
        const bool high = kHalves.at(u16(a >> 16)) < kHalves.at(u16(b >> 16));
        return (low ? 0x3c00u : 0u) | (high ? 0x3c000000u : 0u);
      },
      std::vector<u32>{0x3c000000, 0xbc003c00, 0x7e007c00},
      std::vector<u32>{0x00003c00, 0x3c003c00});
  check_opcode<u16>(
      "set.gt.f16.f16 d, a, b",
      [](u16 a, u16 b) { return u16(kHalves.at(a) > kHalves.at(b) ? 0x3c00 : 0); },
      std::vector<u16>{0x3c00, 0xbc00, 0x7e00}, std::vector<u16>{0, 0x7c00});
}

template <class T>
void check_selp(const std::string& type) {
  check_opcode<T>(
      "setp.ne.u32 p, c, 0;\nselp." + type + " d, a, b, p",
      [](T a, T b, u32 c) { return c ? a : b; }, edges<T>(), edges<T>(), std::vector<u32>{0, 1, 2});
  check_opcode<T>(
      "setp.ne.u32 p, c, 0;\nselp." + type + " d, a, b, !p",
      [](T a, T b, u32 c) { return c ? b : a; }, edges<T>(), edges<T>(), std::vector<u32>{0, 1, 2});
}

TEST(Compare, Selp) {
  check_selp<u16>("b16");
  check_selp<u32>("f32");
  check_selp<u64>("b64");
}

TEST(Compare, Slct) {
  check_opcode<u32>(
      "slct.b32.s32 d, a, b, c", [](u32 a, u32 b, i32 c) { return c >= 0 ? a : b; },
      std::vector<u32>{1, 2}, std::vector<u32>{3}, edges<i32>());
  check_opcode<u64>(
      "slct.b64.f32 d, a, b, c", [](u64 a, u64 b, float c) { return c >= 0 ? a : b; },
      std::vector<u64>{1, 2}, std::vector<u64>{3}, float_edges());
}

}  // namespace
}  // namespace emulator::test
