// Bit operations, opcode by opcode, against bit-by-bit oracles.
#include "opcode_case.h"

namespace emulator::test {
namespace {

template <class T>
bool bit(T value, i64 at) {
  return at >= 0 && at < static_cast<i64>(8 * sizeof(T)) && (static_cast<u64>(value) >> at & 1);
}

/// The value whose bit k is `chosen(k)`.
template <class T, class Chosen>
T made_of(Chosen chosen) {
  u64 value = 0;
  for (u32 k = 0; k < 8 * sizeof(T); ++k) value |= u64{chosen(k) ? 1u : 0u} << k;
  return static_cast<T>(value);
}

const std::vector<u32> kCounts = {0, 1, 5, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, ~0u};

template <class Body>
void each_width(Body body) {
  body(u16{}, "b16");
  body(u32{}, "b32");
  body(u64{}, "b64");
}

TEST(Bits, AndOrXorNotCnot) {
  each_width([](auto zero, const std::string& type) {
    using T = decltype(zero);
    check_opcode<T>(
        "and." + type + " d, a, b",
        [](T a, T b) { return made_of<T>([=](u32 k) { return bit(a, k) && bit(b, k); }); },
        edges<T>(), edges<T>());
    check_opcode<T>(
        "or." + type + " d, a, b",
        [](T a, T b) { return made_of<T>([=](u32 k) { return bit(a, k) || bit(b, k); }); },
        edges<T>(), edges<T>());
    check_opcode<T>(
        "xor." + type + " d, a, b",
        [](T a, T b) { return made_of<T>([=](u32 k) { return bit(a, k) != bit(b, k); }); },
        edges<T>(), edges<T>());
    check_opcode<T>(
        "not." + type + " d, a", [](T a) { return made_of<T>([=](u32 k) { return !bit(a, k); }); },
        edges<T>());
    check_opcode<T>(
        "cnot." + type + " d, a", [](T a) { return T(a ? 0 : 1); }, edges<T>());
  });
}

TEST(Bits, LogicOfPredicates) {
  const std::string set = "setp.ne.u32 %p2, a, 0;\nsetp.ne.u32 %p3, b, 0;\n";
  const std::string take = ";\nselp.u32 d, 1, 0, p";
  const std::vector<u32> values = {0, 1};
  check_opcode<u32>(
      set + "and.pred p, %p2, %p3" + take, [](u32 a, u32 b) { return a & b; }, values, values);
  check_opcode<u32>(
      set + "or.pred p, %p2, %p3" + take, [](u32 a, u32 b) { return a | b; }, values, values);
  check_opcode<u32>(
      set + "xor.pred p, %p2, %p3" + take, [](u32 a, u32 b) { return a ^ b; }, values, values);
  check_opcode<u32>(
      set + "not.pred p, %p2" + take, [](u32 a, u32) { return 1 - a; }, values, values);
  check_opcode<u32>(
      set + "mov.pred p, %p3" + take, [](u32, u32 b) { return b; }, values, values);
}

template <class T>
void check_right_shift(const std::string& type) {
  check_opcode<T>(
      "shr." + type + " d, a, b",
      [](T a, u32 count) {
        return made_of<T>([=](u32 k) {
          const i64 from = i64{k} + count;
          const i64 top = 8 * sizeof(T) - 1;
          return from > top ? std::is_signed_v<T> && bit(a, top) : bit(a, from);
        });
      },
      edges<T>(), kCounts);
}

TEST(Bits, Shifts) {
  each_width([](auto zero, const std::string& type) {
    using T = decltype(zero);
    check_opcode<T>(
        "shl." + type + " d, a, b",
        [](T a, u32 count) { return made_of<T>([=](u32 k) { return bit(a, i64{k} - count); }); },
        edges<T>(), kCounts);
  });
  check_right_shift<u16>("u16");
  check_right_shift<i16>("s16");
  check_right_shift<u32>("u32");
  check_right_shift<i32>("s32");
  check_right_shift<u64>("u64");
  check_right_shift<i64>("s64");
}

TEST(Bits, Shf) {
  for (const bool clamp : {false, true}) {
    const std::string mode = clamp ? "clamp" : "wrap";
    const auto amount = [=](u32 c) { return clamp ? std::min(c, 32u) : c % 32; };
    check_opcode<u32>(
        "shf.l." + mode + ".b32 d, a, b, c",
        [=](u32 a, u32 b, u32 c) {
          const u64 both = u64{b} << 32 | a;
          return made_of<u32>([=](u32 k) { return bit(both, i64{k} + 32 - amount(c)); });
        },
        edges<u32>(), edges<u32>(), kCounts);
    check_opcode<u32>(
        "shf.r." + mode + ".b32 d, a, b, c",
        [=](u32 a, u32 b, u32 c) {
          const u64 both = u64{b} << 32 | a;
          return made_of<u32>([=](u32 k) { return bit(both, i64{k} + amount(c)); });
        },
        edges<u32>(), edges<u32>(), kCounts);
  }
}

TEST(Bits, Lop3) {
  for (u32 table = 0; table < 256; table += 3) {
    check_opcode<u32>(
        "lop3.b32 d, a, b, c, " + std::to_string(table),
        [=](u32 a, u32 b, u32 c) {
          return made_of<u32>(
              [=](u32 k) { return bit(table, 4 * bit(a, k) + 2 * bit(b, k) + bit(c, k)); });
        },
        std::vector<u32>{0, ~0u, 0xf0f0aa55u}, std::vector<u32>{0, ~0u, 0xccccu},
        std::vector<u32>{0, ~0u, 0xaaaau});
  }
}

TEST(Bits, Prmt) {
  const std::vector<u32> selectors = {0x3210, 0x7654, 0x0000, 0x7777, 0x3715,
                                      0xba98, 0xfedc, 0x8f40, 0x1234, 0xffff3210};
  check_opcode<u32>(
      "prmt.b32 d, a, b, c",
      [](u32 a, u32 b, u32 selector) {
        u8 bytes[8];
        std::memcpy(bytes, &a, 4);
        std::memcpy(bytes + 4, &b, 4);
        u8 result[4];
        for (u32 k = 0; k < 4; ++k) {
          const u32 choice = selector >> 4 * k & 15;
          result[k] = bytes[choice % 8];
          if (choice >= 8) result[k] = result[k] >= 128 ? 255 : 0;
        }
        u32 word;
        std::memcpy(&word, result, 4);
        return word;
      },
      edges<u32>(), edges<u32>(), selectors);
}

TEST(Bits, PrmtModes) {
  // The tables of the PTX manual, for bytes that hold their own number.
  const std::map<std::string, std::vector<u32>> tables = {
      {"f4e", {0x03020100, 0x04030201, 0x05040302, 0x06050403}},
      {"b4e", {0x05060700, 0x06070001, 0x07000102, 0x00010203}},
      {"rc8", {0x00000000, 0x01010101, 0x02020202, 0x03030303}},
      {"ecl", {0x03020100, 0x03020101, 0x03020202, 0x03030303}},
      {"ecr", {0x00000000, 0x01010100, 0x02020100, 0x03020100}},
      {"rc16", {0x01000100, 0x03020302, 0x01000100, 0x03020302}}};
  for (const auto& [mode, table] : tables) {
    check_opcode<u32>(
        "prmt.b32." + mode + " d, a, b, c",
        [&](u32, u32, u32 selector) { return table[selector & 3]; }, std::vector<u32>{0x03020100},
        std::vector<u32>{0x07060504}, std::vector<u32>{0, 1, 2, 3, 6});
  }
}

const std::vector<u32> kPlaces = {0, 1, 7, 16, 31, 32, 40, 63, 64, 200, 255, 256};

template <class T>
void check_extract(const std::string& type) {
  check_opcode<T>(
      "bfe." + type + " d, a, b, c",
      [](T a, u32 b, u32 c) {
        const i64 position = b & 255, length = c & 255, top = 8 * sizeof(T) - 1;
        const bool sign =
            std::is_signed_v<T> && length && bit(a, std::min(position + length - 1, top));
        return made_of<T>(
            [=](u32 k) { return k < length && position + k <= top ? bit(a, position + k) : sign; });
      },
      edges<T>(), kPlaces, kPlaces);
}

TEST(Bits, Bfe) {
  check_extract<u32>("u32");
  check_extract<i32>("s32");
  check_extract<u64>("u64");
  check_extract<i64>("s64");
}

template <class T>
void check_insert(const std::string& type) {
  check_opcode<T>(
      "bfi." + type + " d, a, b, c, e",
      [](T a, T b, u32 c, u32 e) {
        const i64 position = c & 255, length = e & 255;
        return made_of<T>([=](u32 k) {
          return k >= position && k < position + length ? bit(a, k - position) : bit(b, k);
        });
      },
      edges<T>(), std::vector<T>{0, T(-1), T(0x5a5a)}, kPlaces, kPlaces);
}

TEST(Bits, Bfi) {
  check_insert<u32>("b32");
  check_insert<u64>("b64");
}

template <class T>
void check_counts(const std::string& type) {
  constexpr i64 bits = 8 * sizeof(T);
  check_opcode<T>(
      "brev." + type + " d, a",
      [](T a) { return made_of<T>([=](u32 k) { return bit(a, bits - 1 - k); }); }, edges<T>());
  check_opcode<u32>(
      "popc." + type + " d, a",
      [](T a) {
        u32 count = 0;
        for (i64 k = 0; k < bits; ++k) count += bit(a, k);
        return count;
      },
      edges<T>());
  check_opcode<u32>(
      "clz." + type + " d, a",
      [](T a) {
        i64 k = bits - 1;
        while (k >= 0 && !bit(a, k)) --k;
        return static_cast<u32>(bits - 1 - k);
      },
      edges<T>());
}

TEST(Bits, BrevPopcClz) {
  check_counts<u32>("b32");
  check_counts<u64>("b64");
}

template <class T>
void check_find(const std::string& type) {
  const auto place = [](T a) {
    const bool flip = std::is_signed_v<T> && a < 0;
    for (i64 k = 8 * sizeof(T) - 1; k >= 0; --k) {
      if (bit(a, k) != flip) return k;
    }
    return i64{-1};
  };
  check_opcode<u32>(
      "bfind." + type + " d, a", [=](T a) { return static_cast<u32>(place(a)); }, edges<T>());
  check_opcode<u32>(
      "bfind.shiftamt." + type + " d, a",
      [=](T a) {
        const i64 at = place(a);
        return at < 0 ? ~0u : static_cast<u32>(8 * sizeof(T) - 1 - at);
      },
      edges<T>());
}

TEST(Bits, Bfind) {
  check_find<u32>("u32");
  check_find<i32>("s32");
  check_find<u64>("u64");
  check_find<i64>("s64");
}

TEST(Bits, Bmsk) {
  for (const bool clamp : {false, true}) {
    check_opcode<u32>(
        std::string("bmsk.") + (clamp ? "clamp" : "wrap") + ".b32 d, a, b",
        [=](u32 a, u32 b) {
          const u64 position = clamp ? a : a % 32, length = clamp ? b : b % 32;
          return made_of<u32>([=](u32 k) { return k >= position && k < position + length; });
        },
        kPlaces, kPlaces);
  }
}

template <class T>
void check_extend(const std::string& type, bool clamp) {
  check_opcode<T>(
      std::string("szext.") + (clamp ? "clamp." : "wrap.") + type + " d, a, b",
      [=](T a, u32 b) {
        if (clamp && b >= 32) return a;
        const i64 bits = b % 32;
        const bool sign = std::is_signed_v<T> && bits && bit(a, bits - 1);
        return made_of<T>([=](u32 k) { return k < bits ? bit(a, k) : sign; });
      },
      edges<T>(), kPlaces);
}

TEST(Bits, Szext) {
  for (const bool clamp : {false, true}) {
    check_extend<u32>("u32", clamp);
    check_extend<i32>("s32", clamp);
  }
}

TEST(Bits, Fns) {
  check_opcode<u32>(
      "fns.b32 d, a, b, c",
      [](u32 mask, u32 base, u32 n) {
        const i32 offset = static_cast<i32>(n);
        if (offset == 0) return bit(mask, base) ? base : ~0u;
        std::vector<u32> set;
        for (i32 k = base; k >= 0 && k<32; k += offset> 0 ? 1 : -1) {
          if (bit(mask, k)) set.push_back(k);
        }
        const u32 wanted = static_cast<u32>(std::abs(offset)) - 1;
        return wanted < set.size() ? set[wanted] : ~0u;
      },
      edges<u32>(), std::vector<u32>{0, 3, 16, 31}, std::vector<u32>{0, 1, 2, 5, 33, ~0u, ~1u});
}

}  // namespace
}  // namespace emulator::test
