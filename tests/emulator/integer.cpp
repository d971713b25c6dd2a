// Integer arithmetic: add sub mul mad div rem min max abs neg sad, 24-bit and dot products, carry.
#include <algorithm>
#include <type_traits>

#include "selectors.h"

namespace emulator {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;

template <class T, class Signed, class Unsigned>
using LikeSignOf = std::conditional_t<std::is_signed_v<T>, Signed, Unsigned>;

/// Twice as wide, with the same sign.
template <class T>
using Wider = std::conditional_t<sizeof(T) == 2, LikeSignOf<T, i32, u32>,
                                 std::conditional_t<sizeof(T) == 4, LikeSignOf<T, i64, u64>,
                                                    LikeSignOf<T, __int128, unsigned __int128>>>;

struct Add {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(Unsigned<T>(a) + Unsigned<T>(b));
  }
};
struct Subtract {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(Unsigned<T>(a) - Unsigned<T>(b));
  }
};
struct AddSaturated {
  i32 operator()(i32 a, i32 b) const {
    return static_cast<i32>(std::clamp<i64>(i64{a} + b, INT32_MIN, INT32_MAX));
  }
};
struct SubtractSaturated {
  i32 operator()(i32 a, i32 b) const {
    return static_cast<i32>(std::clamp<i64>(i64{a} - b, INT32_MIN, INT32_MAX));
  }
};
struct MultiplyLow {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(u64(a) * u64(b));
  }
};
struct MultiplyHigh {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>((static_cast<Wider<T>>(a) * static_cast<Wider<T>>(b)) >> (8 * sizeof(T)));
  }
};
struct MultiplyWide {
  template <class T>
  Wider<T> operator()(T a, T b) const {
    return static_cast<Wider<T>>(a) * static_cast<Wider<T>>(b);
  }
};
struct MadLow {
  template <class T>
  T operator()(T a, T b, T c) const {
    return static_cast<T>(u64(a) * u64(b) + u64(c));
  }
};
struct MadHigh {
  template <class T>
  T operator()(T a, T b, T c) const {
    return Add{}(MultiplyHigh{}(a, b), c);
  }
};
struct MadHighSaturated {
  i32 operator()(i32 a, i32 b, i32 c) const { return AddSaturated{}(MultiplyHigh{}(a, b), c); }
};
struct MadWide {
  template <class T>
  Wider<T> operator()(T a, T b, Wider<T> c) const {
    return Add{}(MultiplyWide{}(a, b), c);
  }
};

/// A division by zero gives all ones, its remainder the dividend, as on the hardware.
struct Divide {
  template <class T>
  T operator()(T a, T b) const {
    if (b == 0) return static_cast<T>(~T{0});
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return Subtract{}(T{0}, a);
    return static_cast<T>(a / b);
  }
};
struct Remainder {
  template <class T>
  T operator()(T a, T b) const {
    if (b == 0) return a;
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
    return static_cast<T>(a % b);
  }
};
struct Minimum {
  template <class T>
  T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};
struct Maximum {
  template <class T>
  T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};
struct Absolute {
  template <class T>
  T operator()(T a) const {
    return a < 0 ? Subtract{}(T{0}, a) : a;
  }
};
struct Negate {
  template <class T>
  T operator()(T a) const {
    return Subtract{}(T{0}, a);
  }
};
struct AbsoluteDifference {
  template <class T>
  T operator()(T a, T b, T c) const {
    return Add{}(c, a < b ? Subtract{}(b, a) : Subtract{}(a, b));
  }
};

/// Op, then negative results become zero.
template <class Op>
struct Relu {
  template <class T>
  T operator()(T a, T b) const {
    return Maximum{}(Op{}(a, b), T{0});
  }
};

/// Op on the two 16-bit halves of a word.
template <class Op, class T>
struct Halves {
  u32 operator()(u32 a, u32 b) const {
    const u32 low = static_cast<u16>(Op{}(static_cast<T>(a), static_cast<T>(b)));
    const u32 high = static_cast<u16>(Op{}(static_cast<T>(a >> 16), static_cast<T>(b >> 16)));
    return low | high << 16;
  }
};

template <class Op>
Handler for_halves(Type type) {
  if (type == Type::kU16x2) return map_lanes<Halves<Op, u16>, u32, u32, u32>;
  if (type == Type::kS16x2) return map_lanes<Halves<Op, i16>, u32, u32, u32>;
  return nullptr;
}

// ---- 24-bit products, dot products --------------------------------------------------------------

i64 low24(i32 a) { return a << 8 >> 8; }
u64 low24(u32 a) { return a & 0xffffff; }

struct Multiply24Low {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(low24(a) * low24(b));
  }
};
struct Multiply24High {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>((low24(a) * low24(b)) >> 16);
  }
};
template <class Op>
struct Mad24 {
  template <class T>
  T operator()(T a, T b, T c) const {
    return Add{}(Op{}(a, b), c);
  }
};

/// Four products of bytes, or two of 16-bit words with bytes, added to c.
template <bool signed_a, bool signed_b, u32 bits, u32 first>
struct Dot {
  u32 operator()(u32 a, u32 b, u32 c) const {
    u32 sum = c;
    for (u32 k = 0; k < 32 / bits; ++k) {
      const u32 left = part(a, k * bits, bits, signed_a);
      const u32 right = part(b, (first + k) * 8, 8, signed_b);
      sum += left * right;
    }
    return sum;
  }
  static u32 part(u32 word, u32 at, u32 count, bool with_sign) {
    const u32 up = word << (32 - count - at);
    return with_sign ? static_cast<u32>(static_cast<i32>(up) >> (32 - count)) : up >> (32 - count);
  }
};

template <u32 bits, u32 first>
Handler dot_handler(bool signed_a, bool signed_b) {
  if (signed_a && signed_b) return map_lanes<Dot<true, true, bits, first>, u32, u32, u32, u32>;
  if (signed_a) return map_lanes<Dot<true, false, bits, first>, u32, u32, u32, u32>;
  if (signed_b) return map_lanes<Dot<false, true, bits, first>, u32, u32, u32, u32>;
  return map_lanes<Dot<false, false, bits, first>, u32, u32, u32, u32>;
}

// ---- Carry chains -------------------------------------------------------------------------------

/// The carry enters if data[0] & 1, is written if data[0] & 2.
template <class T, bool subtract>
void add_with_carry(Warp& warp, const Instruction& i) {
  T* d = warp.row<T>(i.operand[0]);
  const T* a = warp.row<const T>(i.operand[1]);
  const T* b = warp.row<const T>(i.operand[2]);
  const u32 in = i.data[0] & 1 ? warp.predicate(kCarry) : 0;
  u32 carries = 0;
  each_lane(warp.mask, [&](u32 lane) {
    const T carry = in >> lane & 1;
    const T first = subtract ? a[lane] - b[lane] : a[lane] + b[lane];
    const bool one = subtract ? a[lane] < b[lane] : first < a[lane];
    const T second = subtract ? first - carry : first + carry;
    const bool two = subtract ? first < carry : second < first;
    carries |= u32{one || two} << lane;
    d[lane] = second;
  });
  if (i.data[0] & 2) set_predicate(warp, kCarry, carries);
}

/// operand[3]: c. The product's half is taken first, then added with carry.
template <class T, class Product>
void mad_with_carry(Warp& warp, const Instruction& i) {
  T* d = warp.row<T>(i.operand[0]);
  const T* a = warp.row<const T>(i.operand[1]);
  const T* b = warp.row<const T>(i.operand[2]);
  const T* c = warp.row<const T>(i.operand[3]);
  const u32 in = i.data[0] & 1 ? warp.predicate(kCarry) : 0;
  using U = Unsigned<T>;
  u32 carries = 0;
  each_lane(warp.mask, [&](u32 lane) {
    const U product = static_cast<U>(Product{}(a[lane], b[lane]));
    const U carry = in >> lane & 1;
    const U first = product + static_cast<U>(c[lane]);
    const U second = first + carry;
    carries |= u32{first < product || second < first} << lane;
    d[lane] = static_cast<T>(second);
  });
  if (i.data[0] & 2) set_predicate(warp, kCarry, carries);
}

template <class Product>
Handler mad_carry_handler(Type type) {
  switch (type) {
    case Type::kU32:
      return mad_with_carry<u32, Product>;
    case Type::kS32:
      return mad_with_carry<i32, Product>;
    case Type::kU64:
      return mad_with_carry<u64, Product>;
    case Type::kS64:
      return mad_with_carry<i64, Product>;
    default:
      return nullptr;
  }
}

bool select_add_carry(Selection& s, Instruction& out, bool carry_in, bool subtract) {
  const bool carry_out = s.take("cc");
  const Type type = s.take_type();
  const u32 bytes = type_bytes(type);
  if (is_float(type) || (bytes != 4 && bytes != 8)) return false;
  same_operands(s, out, type, 2);
  out.data[0] = (carry_in ? 1 : 0) | (carry_out ? 2 : 0);
  if (bytes == 4)
    out.execute = subtract ? add_with_carry<u32, true> : add_with_carry<u32, false>;
  else
    out.execute = subtract ? add_with_carry<u64, true> : add_with_carry<u64, false>;
  return true;
}

bool select_mad_carry(Selection& s, Instruction& out, bool carry_in) {
  const bool high = s.take("hi");
  if (!high && !s.take("lo")) return false;
  const bool carry_out = s.take("cc");
  const Type type = s.take_type();
  out.execute = high ? mad_carry_handler<MultiplyHigh>(type) : mad_carry_handler<MultiplyLow>(type);
  if (!out.execute) return false;
  same_operands(s, out, type, 3);
  out.data[0] = (carry_in ? 1 : 0) | (carry_out ? 2 : 0);
  return true;
}

// ---- Selection ----------------------------------------------------------------------------------

template <class Op, class Saturated, bool subtract>
bool select_sum(Selection& s, Instruction& out) {
  if (is_float(peek_type(s))) return select_float_arithmetic(s, out);
  if (has(s, "cc")) return select_add_carry(s, out, false, subtract);
  const bool saturated = s.take("sat");
  const Type type = s.take_type();
  if (saturated && type == Type::kS32) {
    out.execute = map_lanes<Saturated, i32, i32, i32>;
  } else if (!saturated) {
    out.execute = for_integer_type<Op, 2>(type);
    if (!out.execute) out.execute = for_halves<Op>(type);
  }
  if (!out.execute) return false;
  same_operands(s, out, type, 2);
  return true;
}

bool select_add_in(Selection& s, Instruction& out) { return select_add_carry(s, out, true, false); }
bool select_subtract_in(Selection& s, Instruction& out) {
  return select_add_carry(s, out, true, true);
}
bool select_mad_in(Selection& s, Instruction& out) { return select_mad_carry(s, out, true); }

/// Destination (and c) twice as wide as the factors.
void wide_operands(Selection& s, Instruction& out, Type type, bool with_c) {
  const u32 bytes = 2 * type_bytes(type);
  out.operand[0] = s.destination(0, bytes);
  out.operand[1] = s.source(1, type);
  out.operand[2] = s.source(2, type);
  if (with_c) out.operand[3] = s.source(3, bytes);
}

Handler wide_handler(Type type, bool with_c) {
  switch (type) {
    case Type::kU16:
      return with_c ? Handler{map_lanes<MadWide, u32, u16, u16, u32>}
                    : map_lanes<MultiplyWide, u32, u16, u16>;
    case Type::kS16:
      return with_c ? Handler{map_lanes<MadWide, i32, i16, i16, i32>}
                    : map_lanes<MultiplyWide, i32, i16, i16>;
    case Type::kU32:
      return with_c ? Handler{map_lanes<MadWide, u64, u32, u32, u64>}
                    : map_lanes<MultiplyWide, u64, u32, u32>;
    case Type::kS32:
      return with_c ? Handler{map_lanes<MadWide, i64, i32, i32, i64>}
                    : map_lanes<MultiplyWide, i64, i32, i32>;
    default:
      return nullptr;
  }
}

bool select_multiply(Selection& s, Instruction& out) {
  if (is_float(peek_type(s))) return select_float_arithmetic(s, out);
  const std::string_view part = s.take_one({"lo", "hi", "wide"});
  const Type type = s.take_type();
  if (part == "wide") {
    out.execute = wide_handler(type, false);
    if (out.execute) wide_operands(s, out, type, false);
    return out.execute != nullptr;
  }
  if (part.empty()) return false;
  out.execute = part == "lo" ? for_integer_type<MultiplyLow, 2>(type)
                             : for_integer_type<MultiplyHigh, 2>(type);
  if (!out.execute) return false;
  same_operands(s, out, type, 2);
  return true;
}

bool select_mad(Selection& s, Instruction& out) {
  if (is_float(peek_type(s))) return select_float_arithmetic(s, out);
  if (has(s, "cc")) return select_mad_carry(s, out, false);
  const std::string_view part = s.take_one({"lo", "hi", "wide"});
  const bool saturated = s.take("sat");
  const Type type = s.take_type();
  if (part == "wide") {
    out.execute = wide_handler(type, true);
    if (out.execute) wide_operands(s, out, type, true);
    return out.execute != nullptr;
  }
  if (part.empty()) return false;
  if (saturated) {
    if (part == "hi" && type == Type::kS32) {
      out.execute = map_lanes<MadHighSaturated, i32, i32, i32, i32>;
    }
  } else {
    out.execute =
        part == "lo" ? for_integer_type<MadLow, 3>(type) : for_integer_type<MadHigh, 3>(type);
  }
  if (!out.execute) return false;
  same_operands(s, out, type, 3);
  return true;
}

template <class Low, class High, u32 arity>
bool select_24(Selection& s, Instruction& out) {
  const bool high = s.take("hi");
  if (!high && !s.take("lo")) return false;
  const Type type = s.take_type();
  if (type == Type::kU32) {
    out.execute = high ? same_type<High, u32, arity>() : same_type<Low, u32, arity>();
  } else if (type == Type::kS32) {
    out.execute = high ? same_type<High, i32, arity>() : same_type<Low, i32, arity>();
  } else {
    return false;
  }
  same_operands(s, out, type, arity);
  return true;
}

template <class Op>
bool select_division(Selection& s, Instruction& out) {
  if (is_float(peek_type(s))) return select_float_arithmetic(s, out);
  const Type type = s.take_type();
  out.execute = for_integer_type<Op, 2>(type);
  if (!out.execute) return false;
  same_operands(s, out, type, 2);
  return true;
}

template <class Op>
bool select_extreme(Selection& s, Instruction& out) {
  if (is_float(peek_type(s))) return select_float_extreme(s, out);
  const bool relu = s.take("relu");
  const Type type = s.take_type();
  if (relu) {
    if (type == Type::kS32) out.execute = map_lanes<Relu<Op>, i32, i32, i32>;
    if (type == Type::kS16x2) out.execute = for_halves<Relu<Op>>(type);
  } else {
    out.execute = for_integer_type<Op, 2>(type);
    if (!out.execute) out.execute = for_halves<Op>(type);
  }
  if (!out.execute) return false;
  same_operands(s, out, type, 2);
  return true;
}

template <class Op>
bool select_sign(Selection& s, Instruction& out) {
  if (is_float(peek_type(s))) return select_float_sign(s, out);
  const Type type = s.take_type();
  switch (type) {
    case Type::kS16:
      out.execute = map_lanes<Op, i16, i16>;
      break;
    case Type::kS32:
      out.execute = map_lanes<Op, i32, i32>;
      break;
    case Type::kS64:
      out.execute = map_lanes<Op, i64, i64>;
      break;
    default:
      return false;
  }
  same_operands(s, out, type, 1);
  return true;
}

bool select_difference(Selection& s, Instruction& out) {
  const Type type = s.take_type();
  out.execute = for_integer_type<AbsoluteDifference, 3>(type);
  if (!out.execute) return false;
  same_operands(s, out, type, 3);
  return true;
}

bool select_dot(Selection& s, Instruction& out) {
  const bool four = s.opcode() == "dp4a";
  const bool high = !four && s.take("hi");
  if (!four && !high && !s.take("lo")) return false;
  const Type a = s.take_type(), b = s.take_type();
  const auto allowed = [](Type type) { return type == Type::kU32 || type == Type::kS32; };
  if (!allowed(a) || !allowed(b)) return false;
  if (four)
    out.execute = dot_handler<8, 0>(is_signed(a), is_signed(b));
  else if (high)
    out.execute = dot_handler<16, 2>(is_signed(a), is_signed(b));
  else
    out.execute = dot_handler<16, 0>(is_signed(a), is_signed(b));
  same_operands(s, out, Type::kB32, 3);
  return true;
}

}  // namespace

void register_integer() {
  register_opcode("add", select_sum<Add, AddSaturated, false>);
  register_opcode("sub", select_sum<Subtract, SubtractSaturated, true>);
  register_opcode("addc", select_add_in);
  register_opcode("subc", select_subtract_in);
  register_opcode("mul", select_multiply);
  register_opcode("mad", select_mad);
  register_opcode("madc", select_mad_in);
  register_opcode("mul24", select_24<Multiply24Low, Multiply24High, 2>);
  register_opcode("mad24", select_24<Mad24<Multiply24Low>, Mad24<Multiply24High>, 3>);
  register_opcode("div", select_division<Divide>);
  register_opcode("rem", select_division<Remainder>);
  register_opcode("min", select_extreme<Minimum>);
  register_opcode("max", select_extreme<Maximum>);
  register_opcode("abs", select_sign<Absolute>);
  register_opcode("neg", select_sign<Negate>);
  register_opcode("sad", select_difference);
  register_opcode("dp4a", select_dot);
  register_opcode("dp2a", select_dot);
}

}  // namespace emulator
