// Conversions: cvt between all types, in all rounding modes; cvt.pack.
//
// Frequent pairs have loops of their own; the rest goes lane by lane through a general conversion.
#include <algorithm>
#include <cmath>

#include "rounded.h"
#include "selectors.h"

namespace emulator {
namespace {

/// To an integer (kNone: not), by nearest even, toward zero, down, up.
struct Modes {
  bool to_integer = false;
  Rounding rounding = Rounding::kNearest;
  bool flush = false, saturate = false, relu = false, finite = false;
};

u32 pack_modes(const Modes& m) {
  return (m.to_integer ? 1u : 0) | static_cast<u32>(m.rounding) << 1 | (m.flush ? 16u : 0) |
         (m.saturate ? 32u : 0) | (m.relu ? 64u : 0) | (m.finite ? 128u : 0);
}
Modes unpack_modes(u32 bits) {
  Modes m;
  m.to_integer = bits & 1;
  m.rounding = static_cast<Rounding>(bits >> 1 & 7);
  m.flush = bits & 16;
  m.saturate = bits & 32;
  m.relu = bits & 64;
  m.finite = bits & 128;
  return m;
}

double round_to_integer(double x, Rounding rounding) {
  switch (rounding) {
    case Rounding::kZero:
      return std::trunc(x);
    case Rounding::kDown:
      return std::floor(x);
    case Rounding::kUp:
      return std::ceil(x);
    case Rounding::kNearestAway:
      return std::round(x);
    default:
      return std::nearbyint(x);
  }
}

// ---- The general conversion ---------------------------------------------------------------------

/// Bits of a source, zero- or sign-extended by its type.
u64 integer_bits(u64 bits, Type type) {
  const u32 shift = 64 - 8 * type_bytes(type);
  if (!is_signed(type)) return bits << shift >> shift;
  return static_cast<u64>(static_cast<i64>(bits << shift) >> shift);
}

double float_of(u64 bits, Type type, bool flush) {
  switch (type) {
    case Type::kF16:
      return from_half(static_cast<u16>(bits));
    case Type::kBf16:
      return from_bfloat(static_cast<u16>(bits));
    case Type::kF64:
      return bits_as<double>(bits);
    default: {
      const u32 word = static_cast<u32>(bits);
      return bits_as<float>(flush && !(word & 0x7f800000u) ? word & 0x80000000u : word);
    }
  }
}

/// 64-bit integers hold more digits than a double: what is lost is kept as a last odd digit, so
/// that a rounding to 16 bits comes out right.
double odd_double(u64 bits, bool is_negative) {
  const u64 magnitude = is_negative ? ~bits + 1 : bits;
  const u64 kept =
      magnitude >> 53 ? (magnitude & ~u64{0x7ff}) | (magnitude & 0x7ff ? 0x800 : 0) : magnitude;
  return is_negative ? -static_cast<double>(kept) : static_cast<double>(kept);
}

u64 bits_of_float(double value, Type type, const Modes& m) {
  if (std::isnan(value) && type == Type::kF32) return 0x7fffffffu;
  if (std::isnan(value) && type == Type::kF64) return 0x7ff8000000000000ull;
  switch (type) {
    case Type::kF16:
      return to_half(value, m.rounding);
    case Type::kBf16:
      return to_bfloat(value, m.rounding);
    case Type::kF64:
      return bits_as<u64>(value);
    default: {
      const u32 bits = bits_as<u32>(rounded_float(value, m.rounding));
      return m.flush && !(bits & 0x7f800000u) ? bits & 0x80000000u : bits;
    }
  }
}

u64 float_from_integer(u64 bits, bool with_sign, Type type, const Modes& m) {
  const i64 value = static_cast<i64>(bits);
  if (type == Type::kF64) {
    return bits_as<u64>(with_sign ? rounded_double(value, m.rounding)
                                  : rounded_double(bits, m.rounding));
  }
  if (type == Type::kF32) {
    return bits_as<u32>(with_sign ? rounded_float(value, m.rounding)
                                  : rounded_float(bits, m.rounding));
  }
  return bits_of_float(odd_double(bits, with_sign && value < 0), type, m);
}

u64 integer_from_float(double value, Type from, Type to, const Modes& m) {
  const u32 bits = 8 * type_bytes(to);
  if (std::isnan(value)) {
    const bool zero = from != Type::kF64 && bits < 64;
    return zero ? 0 : u64{1} << (bits - 1);
  }
  const double whole = round_to_integer(value, m.rounding);
  if (is_signed(to)) {
    const double limit = std::ldexp(1.0, static_cast<int>(bits) - 1);
    if (whole >= limit) return (u64{1} << (bits - 1)) - 1;
    if (whole <= -limit) return static_cast<u64>(-static_cast<i64>(u64{1} << (bits - 2)) * 2);
    return static_cast<u64>(static_cast<i64>(whole));
  }
  if (whole <= 0) return 0;
  if (whole >= std::ldexp(1.0, static_cast<int>(bits))) return ~u64{0} >> (64 - bits);
  return static_cast<u64>(whole);
}

u64 integer_from_integer(u64 bits, Type from, Type to, const Modes& m) {
  const u32 width = 8 * type_bytes(to);
  if (!m.saturate) return integer_bits(bits, to);
  const bool negative = is_signed(from) && static_cast<i64>(bits) < 0;
  if (is_signed(to)) {
    const i64 most = static_cast<i64>((u64{1} << (width - 1)) - 1);
    if (negative) return static_cast<u64>(std::max(static_cast<i64>(bits), -most - 1));
    return std::min(bits, static_cast<u64>(most));
  }
  if (negative) return 0;
  return std::min(bits, ~u64{0} >> (64 - width));
}

u64 float_from_float(double value, Type to, const Modes& m) {
  if (m.to_integer) value = round_to_integer(value, m.rounding);
  if (m.saturate) value = value > 0 ? std::min(value, 1.0) : 0.0;
  if (m.relu && value < 0) value = 0;
  if (m.relu && value == 0) value = 0;
  Modes narrowing = m;
  if (m.to_integer) narrowing.rounding = Rounding::kNearest;
  return bits_of_float(value, to, narrowing);
}

u64 convert(u64 bits, Type from, Type to, const Modes& m) {
  if (is_float(from)) {
    const double value = float_of(bits, from, m.flush);
    return is_float(to) ? float_from_float(value, to, m) : integer_from_float(value, from, to, m);
  }
  const u64 value = integer_bits(bits, from);
  if (is_float(to)) {
    u64 result = float_from_integer(value, is_signed(from), to, m);
    if (m.saturate) result = float_from_float(float_of(result, to, false), to, m);
    return result;
  }
  return integer_from_integer(value, from, to, m);
}

u64 read_lane(const Warp& warp, u32 row, u32 bytes, u32 lane) {
  u64 bits = 0;
  std::memcpy(&bits, warp.registers + row + lane * bytes, bytes);
  return bits;
}

/// data[0]: types and register widths; data[1]: modes.
void convert_lanes(Warp& warp, const Instruction& i) {
  const Type to = static_cast<Type>(i.data[0] & 0xff);
  const Type from = static_cast<Type>(i.data[0] >> 8 & 0xff);
  const u32 to_bytes = i.data[0] >> 16 & 0xff, from_bytes = i.data[0] >> 24;
  const Modes modes = unpack_modes(i.data[1]);
  each_lane(warp.mask, [&](u32 lane) {
    const u64 result = convert(read_lane(warp, i.operand[1], from_bytes, lane), from, to, modes);
    std::memcpy(warp.registers + i.operand[0] + lane * to_bytes, &result, to_bytes);
  });
}

// ---- Frequent pairs -----------------------------------------------------------------------------

template <class To>
struct Cast {
  template <class From>
  To operator()(From x) const {
    return static_cast<To>(x);
  }
};
/// Extends a narrow value that lies in a wider register.
template <class Narrow, class To>
struct CastFrom {
  template <class From>
  To operator()(From x) const {
    return static_cast<To>(static_cast<Narrow>(x));
  }
};
struct HalfToFloat {
  float operator()(u16 x) const { return from_half(x); }
};
struct BfloatToFloat {
  float operator()(u16 x) const { return from_bfloat(x); }
};
/// Round to nearest even in integer arithmetic; NaN becomes canonical.
struct FloatToBfloat {
  u16 operator()(u32 x) const {
    const u32 rounded = (x + 0x7fff + (x >> 16 & 1)) >> 16;
    return static_cast<u16>((x & 0x7fffffff) > 0x7f800000u ? 0x7fff : rounded);
  }
};
struct FloatToHalf {
  u16 operator()(u32 x) const {
    const u32 sign = x >> 16 & 0x8000, magnitude = x & 0x7fffffff;
    // Normal results: the exponent is moved, then the lower 13 bits are rounded.
    const u32 moved = magnitude - (112u << 23);
    const u32 normal = (moved + 0xfff + (moved >> 13 & 1)) >> 13;
    // Subnormal results: adding 0.5 puts their digits at the end of the sum, rounded.
    const u32 small = bits_as<u32>(bits_as<float>(magnitude) + 0.5f) - 0x3f000000u;
    u32 value = magnitude < (113u << 23) ? small : normal;
    value = magnitude >= 0x47800000u ? 0x7c00u : value;
    value = magnitude > 0x7f800000u ? 0x7fffu : value | sign;
    return static_cast<u16>(value);
  }
};
/// Nearest, ties away from zero, to 10 bits of mantissa.
struct FloatToTf32 {
  u32 operator()(u32 x) const {
    if ((x & 0x7fffffff) > 0x7f800000u) return 0x7fffffffu;
    if ((x & 0x7fffffff) == 0x7f800000u) return x;
    return (x + 0x1000u) & ~0x1fffu;
  }
};
template <bool relu>
struct FloatToTf32Nearest {
  u32 operator()(u32 x) const {
    if ((x & 0x7fffffff) > 0x7f800000u) return 0x7fffffffu;
    if (relu && x >> 31) return 0;
    return (x + 0xfffu + (x >> 13 & 1)) & ~0x1fffu;
  }
};
/// Toward zero, NaN is zero, out of range is the limit.
template <class To>
struct Truncate {
  To operator()(float x) const {
    constexpr float low = std::is_signed_v<To> ? -0x1p31f : 0.0f;
    constexpr float high = std::is_signed_v<To> ? 0x1p31f : 0x1p32f;
    if (!(x > low)) return x == x ? std::numeric_limits<To>::min() : To{0};
    return x >= high ? std::numeric_limits<To>::max() : static_cast<To>(x);
  }
};

template <class Op>
struct PackTwo {
  u32 operator()(u32 upper, u32 lower) const { return Op{}(lower) | u32{Op{}(upper)} << 16; }
};

template <class To>
Handler extend(Type from, u32 from_bytes) {
  switch (from) {
    case Type::kU8:
    case Type::kB8:
      return from_bytes == 2   ? map_lanes<CastFrom<u8, To>, To, u16>
             : from_bytes == 4 ? Handler{map_lanes<CastFrom<u8, To>, To, u32>}
                               : Handler{map_lanes<CastFrom<u8, To>, To, u64>};
    case Type::kS8:
      return from_bytes == 2   ? map_lanes<CastFrom<i8, To>, To, u16>
             : from_bytes == 4 ? Handler{map_lanes<CastFrom<i8, To>, To, u32>}
                               : Handler{map_lanes<CastFrom<i8, To>, To, u64>};
    case Type::kU16:
      return from_bytes == 2 ? Handler{map_lanes<Cast<To>, To, u16>} : nullptr;
    case Type::kS16:
      return from_bytes == 2 ? Handler{map_lanes<Cast<To>, To, i16>} : nullptr;
    case Type::kU32:
      return from_bytes == 4 ? Handler{map_lanes<Cast<To>, To, u32>} : nullptr;
    case Type::kS32:
      return from_bytes == 4 ? Handler{map_lanes<Cast<To>, To, i32>} : nullptr;
    case Type::kU64:
    case Type::kS64:
      return from_bytes == 8 ? Handler{map_lanes<Cast<To>, To, u64>} : nullptr;
    default:
      return nullptr;
  }
}

Handler integer_handler(Type to, Type from, u32 to_bytes, u32 from_bytes) {
  if (type_bytes(to) != to_bytes) return nullptr;
  if (to_bytes == 2) return extend<u16>(from, from_bytes);
  if (to_bytes == 4) return extend<u32>(from, from_bytes);
  return extend<u64>(from, from_bytes);
}

Handler frequent(Type to, Type from, u32 to_bytes, u32 from_bytes, const Modes& m) {
  if (m.flush || m.saturate || m.relu || m.finite) return nullptr;
  if (!is_float(to) && !is_float(from)) return integer_handler(to, from, to_bytes, from_bytes);
  const bool nearest = m.rounding == Rounding::kNearest && !m.to_integer;
  if (to == Type::kF32 && from == Type::kF16) return map_lanes<HalfToFloat, float, u16>;
  if (to == Type::kF32 && from == Type::kBf16) return map_lanes<BfloatToFloat, float, u16>;
  if (to == Type::kF64 && from == Type::kF32) return nullptr;
  if (nearest && to == Type::kF16 && from == Type::kF32) return map_lanes<FloatToHalf, u16, u32>;
  if (nearest && to == Type::kBf16 && from == Type::kF32) {
    return map_lanes<FloatToBfloat, u16, u32>;
  }
  if (nearest && to == Type::kF32 && from_bytes == 4) {
    if (from == Type::kS32) return map_lanes<Cast<float>, float, i32>;
    if (from == Type::kU32) return map_lanes<Cast<float>, float, u32>;
  }
  if (m.rounding == Rounding::kZero && from == Type::kF32 && to_bytes == 4) {
    if (to == Type::kS32) return map_lanes<Truncate<i32>, i32, float>;
    if (to == Type::kU32) return map_lanes<Truncate<u32>, u32, float>;
  }
  return nullptr;
}

// ---- Selection ----------------------------------------------------------------------------------

Modes take_modes(Selection& s) {
  Modes m;
  std::string_view mode = s.take_one({"rni", "rzi", "rmi", "rpi"});
  m.to_integer = !mode.empty();
  if (mode.empty()) mode = s.take_one({"rna", "rn", "rz", "rm", "rp"});
  if (mode.substr(0, 2) == "rz") m.rounding = Rounding::kZero;
  if (mode.substr(0, 2) == "rm") m.rounding = Rounding::kDown;
  if (mode.substr(0, 2) == "rp") m.rounding = Rounding::kUp;
  if (mode == "rna") m.rounding = Rounding::kNearestAway;
  m.flush = s.take("ftz");
  m.relu = s.take("relu");
  m.saturate = s.take("sat");
  m.finite = s.take("satfinite");
  return m;
}

/// Two f32 to one pair of 16 bits; the first source becomes the upper half.
struct PairModes {
  Type type;
  Modes modes;
};
void convert_pair(Warp& warp, const Instruction& i) {
  const Type to = static_cast<Type>(i.data[0]);
  const Modes modes = unpack_modes(i.data[1]);
  each_lane(warp.mask, [&](u32 lane) {
    const u64 upper = convert(warp.row<u32>(i.operand[1])[lane], Type::kF32, to, modes);
    const u64 lower = convert(warp.row<u32>(i.operand[2])[lane], Type::kF32, to, modes);
    warp.row<u32>(i.operand[0])[lane] = static_cast<u32>(lower | upper << 16);
  });
}

bool select_pair(Selection& s, Instruction& out, Type to, const Modes& m) {
  if (s.take_type() != Type::kF32 || m.finite || m.flush) return false;
  out.operand = {s.destination(0, 4), s.source(1, Type::kF32), s.source(2, Type::kF32)};
  const bool half = to == Type::kF16x2;
  if (m.rounding == Rounding::kNearest && !m.relu) {
    out.execute = half ? map_lanes<PackTwo<FloatToHalf>, u32, u32, u32>
                       : map_lanes<PackTwo<FloatToBfloat>, u32, u32, u32>;
  } else {
    out.data = {static_cast<u32>(half ? Type::kF16 : Type::kBf16), pack_modes(m)};
    out.execute = convert_pair;
  }
  return true;
}

bool select_tf32(Selection& s, Instruction& out, const Modes& m) {
  if (s.take_type() != Type::kF32 || m.finite) return false;
  out.operand = {s.destination(0, 4), s.source(1, Type::kF32)};
  if (m.rounding == Rounding::kNearestAway)
    out.execute = map_lanes<FloatToTf32, u32, u32>;
  else if (m.rounding != Rounding::kNearest)
    return false;
  else if (m.relu)
    out.execute = map_lanes<FloatToTf32Nearest<true>, u32, u32>;
  else
    out.execute = map_lanes<FloatToTf32Nearest<false>, u32, u32>;
  return true;
}

/// cvt.pack.sat.{u16,s16}.s32 d, a, b and cvt.pack.sat.{u8,s8}.s32.b32 d, a, b, c.
void pack_lanes(Warp& warp, const Instruction& i) {
  const Type to = static_cast<Type>(i.data[0]);
  Modes modes;
  modes.saturate = true;
  const u32 bits = 8 * type_bytes(to), field = (1u << bits) - 1;
  each_lane(warp.mask, [&](u32 lane) {
    const auto part = [&](u32 operand) {
      const u64 value = integer_bits(warp.row<u32>(i.operand[operand])[lane], Type::kS32);
      return static_cast<u32>(integer_from_integer(value, Type::kS32, to, modes)) & field;
    };
    const u32 packed = part(1) << bits | part(2);
    const u32 rest = bits == 8 ? warp.row<u32>(i.operand[3])[lane] << 16 : 0;
    warp.row<u32>(i.operand[0])[lane] = rest | packed;
  });
}

bool select_pack(Selection& s, Instruction& out) {
  if (!s.take("sat")) return false;
  const Type to = s.take_type();
  if (s.take_type() != Type::kS32) return false;
  const u32 bytes = type_bytes(to);
  if (is_float(to) || bytes > 2 || bytes == 0) return false;
  if (bytes == 1 && s.take_type() != Type::kB32) return false;
  same_operands(s, out, Type::kB32, bytes == 1 ? 3 : 2);
  out.data[0] = static_cast<u32>(to);
  out.execute = pack_lanes;
  return true;
}

bool select_convert(Selection& s, Instruction& out) {
  if (s.take("pack")) return select_pack(s, out);
  const Modes m = take_modes(s);
  const Type to = s.take_type();
  if (to == Type::kF16x2 || to == Type::kBf16x2) return select_pair(s, out, to, m);
  if (to == Type::kTf32) return select_tf32(s, out, m);
  const Type from = s.take_type();
  if (to == Type::kNone || from == Type::kNone || m.finite) return false;
  if (from == Type::kF16x2 || from == Type::kBf16x2 || from == Type::kTf32) return false;
  const u32 to_bytes = std::max(s.width(0), std::max(type_bytes(to), 2u));
  const u32 from_bytes = std::max(s.width(1), std::max(type_bytes(from), 2u));
  out.operand[0] = s.destination(0, to_bytes);
  out.operand[1] = type_bytes(from) == from_bytes ? s.source(1, from) : s.source(1, from_bytes);
  out.execute = frequent(to, from, to_bytes, from_bytes, m);
  if (out.execute) return true;
  out.data[0] =
      static_cast<u32>(to) | static_cast<u32>(from) << 8 | to_bytes << 16 | from_bytes << 24;
  out.data[1] = pack_modes(m);
  out.execute = convert_lanes;
  return true;
}

}  // namespace

void register_convert() { register_opcode("cvt", select_convert); }

}  // namespace emulator
