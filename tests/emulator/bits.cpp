// Bit operations: and or xor not cnot shl shr shf lop3 prmt bfe bfi brev popc clz bfind bmsk szext
// fns.
#include <algorithm>
#include <bit>
#include <type_traits>

#include "selectors.h"

namespace emulator {
namespace {

struct And {
  template <class T>
  T operator()(T a, T b) const {
    return a & b;
  }
};
struct Or {
  template <class T>
  T operator()(T a, T b) const {
    return a | b;
  }
};
struct Xor {
  template <class T>
  T operator()(T a, T b) const {
    return a ^ b;
  }
};
struct Not {
  template <class T>
  T operator()(T a) const {
    return static_cast<T>(~a);
  }
};
struct LogicalNot {
  template <class T>
  T operator()(T a) const {
    return a == 0;
  }
};

/// Shifts by the width or more give what a shift one by one would give.
struct ShiftLeft {
  template <class T>
  T operator()(T a, u32 count) const {
    return count >= 8 * sizeof(T) ? T{0} : static_cast<T>(a << (count & (8 * sizeof(T) - 1)));
  }
};
struct ShiftRight {
  template <class T>
  T operator()(T a, u32 count) const {
    const u32 most = 8 * sizeof(T) - 1;
    if constexpr (std::is_signed_v<T>) return static_cast<T>(a >> (count > most ? most : count));
    return count > most ? T{0} : static_cast<T>(a >> (count & most));
  }
};

struct FunnelLeft {
  u32 operator()(u32 a, u32 b, u32 count) const {
    return static_cast<u32>((u64{b} << 32 | a) << count >> 32);
  }
};
struct FunnelRight {
  u32 operator()(u32 a, u32 b, u32 count) const {
    return static_cast<u32>((u64{b} << 32 | a) >> count);
  }
};
template <class Op, bool clamp>
struct Funnel {
  u32 operator()(u32 a, u32 b, u32 count) const {
    return Op{}(a, b, clamp ? (count > 32 ? 32 : count) : count & 31);
  }
};

/// Bits of a lookup table by the three inputs' bits; operand[4] is the table.
struct Lookup {
  u32 operator()(u32 a, u32 b, u32 c, u32 table) const {
    u32 result = 0;
    for (u32 k = 0; k < 8; ++k) {
      const u32 chosen = (k & 4 ? a : ~a) & (k & 2 ? b : ~b) & (k & 1 ? c : ~c);
      result |= table >> k & 1 ? chosen : 0;
    }
    return result;
  }
};

struct Permute {
  u32 operator()(u32 a, u32 b, u32 selector) const {
    const u64 bytes = u64{b} << 32 | a;
    u32 result = 0;
    for (u32 k = 0; k < 4; ++k) {
      const u32 choice = selector >> (4 * k) & 0xf;
      const u32 byte = static_cast<u32>(bytes >> (8 * (choice & 7)) & 0xff);
      const u32 value = choice & 8 ? (byte & 0x80 ? 0xff : 0) : byte;
      result |= value << (8 * k);
    }
    return result;
  }
};

/// The other modes of prmt read only two bits of the selector: four bytes each by a table of
/// nibbles.
template <u32 mode>
struct PermuteMode {
  u32 operator()(u32 a, u32 b, u32 selector) const {
    // clang-format off
    static constexpr u32 kTables[6][4] = {
        {0x3210, 0x4321, 0x5432, 0x6543},   // f4e
        {0x5670, 0x6701, 0x7012, 0x0123},   // b4e
        {0x0000, 0x1111, 0x2222, 0x3333},   // rc8
        {0x3210, 0x3211, 0x3222, 0x3333},   // ecl
        {0x0000, 0x1110, 0x2210, 0x3210},   // ecr
        {0x1010, 0x3232, 0x1010, 0x3232},   // rc16
    };
    // clang-format on
    return Permute{}(a, b, kTables[mode][selector & 3]);
  }
};

/// Position and length are the low bytes of b and c.
struct ExtractField {
  template <class T>
  T operator()(T a, u32 b, u32 c) const {
    constexpr u32 bits = 8 * sizeof(T);
    const u32 position = b & 0xff, length = c & 0xff;
    using U = std::make_unsigned_t<T>;
    const u32 top = position + length > bits ? bits - 1 : position + length - 1;
    const bool sign = std::is_signed_v<T> && length &&
                      (static_cast<U>(a) >> (top > bits - 1 ? bits - 1 : top) & 1);
    const U field = position >= bits ? U{0} : static_cast<U>(static_cast<U>(a) >> position);
    const u32 present = position >= bits ? 0 : std::min(length, bits - position);
    const U mask = present >= bits ? ~U{0} : (U{1} << present) - 1;
    return static_cast<T>((field & mask) | (sign ? ~mask : U{0}));
  }
};

struct InsertField {
  template <class T>
  T operator()(T a, T b, u32 c, u32 d) const {
    constexpr u32 bits = 8 * sizeof(T);
    const u32 position = c & 0xff, length = d & 0xff;
    if (position >= bits || length == 0) return b;
    const T field = length >= bits ? ~T{0} : (T{1} << length) - 1;
    const T mask = static_cast<T>(field << position);
    return (b & ~mask) | ((a << position) & mask);
  }
};

struct Reverse {
  template <class T>
  T operator()(T a) const {
    T result = 0;
    for (u32 k = 0; k < 8 * sizeof(T); ++k) result |= (a >> k & 1) << (8 * sizeof(T) - 1 - k);
    return result;
  }
};
struct PopulationCount {
  template <class T>
  u32 operator()(T a) const {
    return static_cast<u32>(std::popcount(a));
  }
};
struct LeadingZeros {
  template <class T>
  u32 operator()(T a) const {
    return static_cast<u32>(std::countl_zero(a));
  }
};
/// Place of the highest bit that is not a sign bit; all ones if there is none.
template <bool shift_amount>
struct FindBit {
  template <class T>
  u32 operator()(T a) const {
    using U = std::make_unsigned_t<T>;
    const U bits = std::is_signed_v<T> && a < 0 ? ~static_cast<U>(a) : static_cast<U>(a);
    if (bits == 0) return ~0u;
    const u32 place = 8 * sizeof(T) - 1 - static_cast<u32>(std::countl_zero(bits));
    return shift_amount ? 8 * sizeof(T) - 1 - place : place;
  }
};
template <bool clamp>
struct BitMask {
  u32 operator()(u32 a, u32 b) const {
    const u32 position = clamp ? a : a & 31, length = clamp ? b : b & 31;
    if (position >= 32 || length == 0) return 0;
    const u32 field = length >= 32 ? ~0u : (1u << length) - 1;
    return field << position;
  }
};
template <bool clamp>
struct Extend {
  u32 operator()(u32 a, u32 n) const {
    if (clamp && n >= 32) return a;
    const u32 bits = n & 31;
    return bits == 0 ? 0 : a & ((1u << bits) - 1);
  }
  i32 operator()(i32 a, u32 n) const {
    if (clamp && n >= 32) return a;
    const u32 bits = n & 31;
    return bits == 0 ? 0 : static_cast<i32>(static_cast<u32>(a) << (32 - bits)) >> (32 - bits);
  }
};
/// The n-th set bit counted from `base`, upward for n > 0, downward for n < 0.
struct FindNth {
  u32 operator()(u32 mask, u32 base, u32 n) const {
    const i32 offset = static_cast<i32>(n);
    if (offset == 0) return mask >> (base & 31) & 1 ? base : ~0u;
    const i32 step = offset > 0 ? 1 : -1;
    i32 left = offset > 0 ? offset : -offset;
    for (i32 at = static_cast<i32>(base); at >= 0 && at < 32; at += step) {
      if (mask >> at & 1 && --left == 0) return static_cast<u32>(at);
    }
    return ~0u;
  }
};

// ---- Selection ----------------------------------------------------------------------------------

template <class Op>
void combine_predicates(Warp& warp, const Instruction& i) {
  set_predicate(warp, i.operand[0],
                Op{}(warp.predicate(i.operand[1]), warp.predicate(i.operand[2])));
}

void invert_predicate(Warp& warp, const Instruction& i) {
  set_predicate(warp, i.operand[0], ~warp.predicate(i.operand[1]));
}

template <class Op>
bool select_logic(Selection& s, Instruction& out) {
  const Type type = s.take_type();
  if (type == Type::kPred) {
    out.operand = {s.destination_predicate(0), s.source_predicate(1), s.source_predicate(2)};
    out.execute = combine_predicates<Op>;
    return true;
  }
  out.execute = for_bits_type<Op, 2>(type);
  if (!out.execute) return false;
  same_operands(s, out, type, 2);
  return true;
}

template <class Op>
bool select_unary(Selection& s, Instruction& out) {
  const Type type = s.take_type();
  if (type == Type::kPred) {
    if (s.opcode() != "not") return false;
    out.operand = {s.destination_predicate(0), s.source_predicate(1)};
    out.execute = invert_predicate;
    return true;
  }
  out.execute = for_bits_type<Op, 1>(type);
  if (!out.execute) return false;
  same_operands(s, out, type, 1);
  return true;
}

template <class Op>
Handler shift_handler(Type type) {
  switch (type) {
    case Type::kB16:
    case Type::kU16:
      return map_lanes<Op, u16, u16, u32>;
    case Type::kS16:
      return map_lanes<Op, i16, i16, u32>;
    case Type::kB32:
    case Type::kU32:
      return map_lanes<Op, u32, u32, u32>;
    case Type::kS32:
      return map_lanes<Op, i32, i32, u32>;
    case Type::kB64:
    case Type::kU64:
      return map_lanes<Op, u64, u64, u32>;
    case Type::kS64:
      return map_lanes<Op, i64, i64, u32>;
    default:
      return nullptr;
  }
}

template <class Op>
bool select_shift(Selection& s, Instruction& out) {
  const Type type = s.take_type();
  out.execute = shift_handler<Op>(type);
  if (!out.execute) return false;
  same_operands(s, out, type, 1);
  out.operand[2] = s.source(2, 4);
  return true;
}

bool select_funnel(Selection& s, Instruction& out) {
  const bool left = s.take("l");
  if (!left && !s.take("r")) return false;
  const bool clamp = s.take("clamp");
  if (!clamp && !s.take("wrap")) return false;
  if (s.take_type() != Type::kB32) return false;
  if (left) {
    out.execute = clamp ? map_lanes<Funnel<FunnelLeft, true>, u32, u32, u32, u32>
                        : map_lanes<Funnel<FunnelLeft, false>, u32, u32, u32, u32>;
  } else {
    out.execute = clamp ? map_lanes<Funnel<FunnelRight, true>, u32, u32, u32, u32>
                        : map_lanes<Funnel<FunnelRight, false>, u32, u32, u32, u32>;
  }
  same_operands(s, out, Type::kB32, 3);
  return true;
}

bool select_lookup(Selection& s, Instruction& out) {
  if (s.take_type() != Type::kB32) return false;
  if (s.immediate(4) > 255) return false;
  same_operands(s, out, Type::kB32, 4);
  out.execute = map_lanes<Lookup, u32, u32, u32, u32, u32>;
  return true;
}

bool select_permute(Selection& s, Instruction& out) {
  if (s.take_type() != Type::kB32) return false;
  const std::string_view mode = s.take_one({"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"});
  same_operands(s, out, Type::kB32, 3);
  if (mode.empty()) out.execute = map_lanes<Permute, u32, u32, u32, u32>;
  if (mode == "f4e") out.execute = map_lanes<PermuteMode<0>, u32, u32, u32, u32>;
  if (mode == "b4e") out.execute = map_lanes<PermuteMode<1>, u32, u32, u32, u32>;
  if (mode == "rc8") out.execute = map_lanes<PermuteMode<2>, u32, u32, u32, u32>;
  if (mode == "ecl") out.execute = map_lanes<PermuteMode<3>, u32, u32, u32, u32>;
  if (mode == "ecr") out.execute = map_lanes<PermuteMode<4>, u32, u32, u32, u32>;
  if (mode == "rc16") out.execute = map_lanes<PermuteMode<5>, u32, u32, u32, u32>;
  return true;
}

bool select_extract(Selection& s, Instruction& out) {
  const Type type = s.take_type();
  switch (type) {
    case Type::kU32:
      out.execute = map_lanes<ExtractField, u32, u32, u32, u32>;
      break;
    case Type::kS32:
      out.execute = map_lanes<ExtractField, i32, i32, u32, u32>;
      break;
    case Type::kU64:
      out.execute = map_lanes<ExtractField, u64, u64, u32, u32>;
      break;
    case Type::kS64:
      out.execute = map_lanes<ExtractField, i64, i64, u32, u32>;
      break;
    default:
      return false;
  }
  same_operands(s, out, type, 1);
  out.operand[2] = s.source(2, 4);
  out.operand[3] = s.source(3, 4);
  return true;
}

bool select_insert(Selection& s, Instruction& out) {
  const Type type = s.take_type();
  if (type == Type::kB32)
    out.execute = map_lanes<InsertField, u32, u32, u32, u32, u32>;
  else if (type == Type::kB64)
    out.execute = map_lanes<InsertField, u64, u64, u64, u32, u32>;
  else
    return false;
  same_operands(s, out, type, 2);
  out.operand[3] = s.source(3, 4);
  out.operand[4] = s.source(4, 4);
  return true;
}

/// The result has 32 bits whatever the source.
template <class Op>
bool select_count(Selection& s, Instruction& out) {
  const Type type = s.take_type();
  if (type == Type::kB32)
    out.execute = map_lanes<Op, u32, u32>;
  else if (type == Type::kB64)
    out.execute = map_lanes<Op, u32, u64>;
  else
    return false;
  out.operand = {s.destination(0, 4), s.source(1, type)};
  return true;
}

bool select_reverse(Selection& s, Instruction& out) {
  const Type type = s.take_type();
  if (type == Type::kB32)
    out.execute = map_lanes<Reverse, u32, u32>;
  else if (type == Type::kB64)
    out.execute = map_lanes<Reverse, u64, u64>;
  else
    return false;
  same_operands(s, out, type, 1);
  return true;
}

template <class Op>
Handler find_handler(Type type) {
  switch (type) {
    case Type::kU32:
      return map_lanes<Op, u32, u32>;
    case Type::kS32:
      return map_lanes<Op, u32, i32>;
    case Type::kU64:
      return map_lanes<Op, u32, u64>;
    case Type::kS64:
      return map_lanes<Op, u32, i64>;
    default:
      return nullptr;
  }
}

bool select_find(Selection& s, Instruction& out) {
  const bool amount = s.take("shiftamt");
  const Type type = s.take_type();
  out.execute = amount ? find_handler<FindBit<true>>(type) : find_handler<FindBit<false>>(type);
  if (!out.execute) return false;
  out.operand = {s.destination(0, 4), s.source(1, type)};
  return true;
}

bool select_mask(Selection& s, Instruction& out) {
  const bool clamp = s.take("clamp");
  if (!clamp && !s.take("wrap")) return false;
  if (s.take_type() != Type::kB32) return false;
  out.execute =
      clamp ? map_lanes<BitMask<true>, u32, u32, u32> : map_lanes<BitMask<false>, u32, u32, u32>;
  same_operands(s, out, Type::kB32, 2);
  return true;
}

bool select_extend(Selection& s, Instruction& out) {
  const bool clamp = s.take("clamp");
  if (!clamp && !s.take("wrap")) return false;
  const Type type = s.take_type();
  if (type == Type::kU32) {
    out.execute =
        clamp ? map_lanes<Extend<true>, u32, u32, u32> : map_lanes<Extend<false>, u32, u32, u32>;
  } else if (type == Type::kS32) {
    out.execute =
        clamp ? map_lanes<Extend<true>, i32, i32, u32> : map_lanes<Extend<false>, i32, i32, u32>;
  } else {
    return false;
  }
  same_operands(s, out, type, 2);
  return true;
}

bool select_nth(Selection& s, Instruction& out) {
  if (s.take_type() != Type::kB32) return false;
  same_operands(s, out, Type::kB32, 3);
  out.execute = map_lanes<FindNth, u32, u32, u32, u32>;
  return true;
}

}  // namespace

void register_bits() {
  register_opcode("and", select_logic<And>);
  register_opcode("or", select_logic<Or>);
  register_opcode("xor", select_logic<Xor>);
  register_opcode("not", select_unary<Not>);
  register_opcode("cnot", select_unary<LogicalNot>);
  register_opcode("shl", select_shift<ShiftLeft>);
  register_opcode("shr", select_shift<ShiftRight>);
  register_opcode("shf", select_funnel);
  register_opcode("lop3", select_lookup);
  register_opcode("prmt", select_permute);
  register_opcode("bfe", select_extract);
  register_opcode("bfi", select_insert);
  register_opcode("brev", select_reverse);
  register_opcode("popc", select_count<PopulationCount>);
  register_opcode("clz", select_count<LeadingZeros>);
  register_opcode("bfind", select_find);
  register_opcode("bmsk", select_mask);
  register_opcode("szext", select_extend);
  register_opcode("fns", select_nth);
}

}  // namespace emulator
