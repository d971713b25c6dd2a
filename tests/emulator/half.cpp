// Arithmetic of f16, bf16 and their pairs: add sub mul fma min max abs neg.
//
// Each result is computed in double so that rounding to 16 bits is the only rounding.
#include "half.h"

#include <cmath>

#include "selectors.h"

namespace emulator {
namespace {

struct Half {
  static double value(u16 bits) { return from_half(bits); }
  static u16 round(double x) { return to_half(x); }
  static constexpr u16 kInfinity = 0x7c00, kOne = 0x3c00, kLeast = 0x0400, kNan = 0x7fff;
};
struct Bfloat {
  static double value(u16 bits) { return from_bfloat(bits); }
  static u16 round(double x) { return to_bfloat(x); }
  static constexpr u16 kInfinity = 0x7f80, kOne = 0x3f80, kLeast = 0x0080, kNan = 0x7fff;
};

struct Add {
  double operator()(double a, double b) const { return fma_to_odd(a, 1, b); }
};
struct Subtract {
  double operator()(double a, double b) const { return fma_to_odd(a, 1, -b); }
};
struct Multiply {
  double operator()(double a, double b) const { return a * b; }
};
struct Fma {
  double operator()(double a, double b, double c) const { return fma_to_odd(a, b, c); }
};

enum Finish : u32 { kAsIs, kFlush, kSaturate, kFlushSaturate, kRelu };

template <class F>
u16 flush(u16 bits) {
  return (bits & 0x7fff) < F::kLeast ? bits & 0x8000 : bits;
}

template <class F, class Op, u32 finish>
struct One {
  template <class... T>
  u16 operator()(T... bits) const {
    constexpr bool flushes = finish == kFlush || finish == kFlushSaturate;
    u16 value = F::round(Op{}(F::value(flushes ? flush<F>(bits) : bits)...));
    if (flushes) value = flush<F>(value);
    const bool nan = (value & 0x7fff) > F::kInfinity;
    if (finish == kSaturate || finish == kFlushSaturate) {
      if (nan || value & 0x8000) return 0;
      return value > F::kOne ? F::kOne : value;
    }
    if (finish == kRelu && !nan && value & 0x8000) return 0;
    return value;
  }
};

/// An operation of 16 bits on both halves of a word.
template <class Op>
struct Both {
  template <class... T>
  u32 operator()(T... words) const {
    const u32 low = Op{}(static_cast<u16>(words)...);
    const u32 high = Op{}(static_cast<u16>(words >> 16)...);
    return low | high << 16;
  }
};

template <class F, class Op, u32 arity, u32 finish>
Handler one_or_both(bool pair) {
  return pair ? same_type<Both<One<F, Op, finish>>, u32, arity>()
              : same_type<One<F, Op, finish>, u16, arity>();
}

template <class F, class Op, u32 arity>
Handler finished(bool pair, u32 finish) {
  switch (finish) {
    case kAsIs:
      return one_or_both<F, Op, arity, kAsIs>(pair);
    case kFlush:
      return one_or_both<F, Op, arity, kFlush>(pair);
    case kSaturate:
      return one_or_both<F, Op, arity, kSaturate>(pair);
    case kFlushSaturate:
      return one_or_both<F, Op, arity, kFlushSaturate>(pair);
    default:
      return one_or_both<F, Op, arity, kRelu>(pair);
  }
}

template <class F>
Handler arithmetic(std::string_view opcode, bool pair, u32 finish) {
  if (opcode == "add") return finished<F, Add, 2>(pair, finish);
  if (opcode == "sub") return finished<F, Subtract, 2>(pair, finish);
  if (opcode == "mul") return finished<F, Multiply, 2>(pair, finish);
  if (opcode == "fma") return finished<F, Fma, 3>(pair, finish);
  return nullptr;
}

template <class F, bool smaller, bool keep_nan, bool xor_sign>
struct Extreme {
  u16 operator()(u16 a, u16 b) const {
    const u16 sign = xor_sign ? (a ^ b) & 0x8000 : 0;
    const u16 x = xor_sign ? a & 0x7fff : a, y = xor_sign ? b & 0x7fff : b;
    const bool x_nan = (x & 0x7fff) > F::kInfinity, y_nan = (y & 0x7fff) > F::kInfinity;
    if ((x_nan && y_nan) || (keep_nan && (x_nan || y_nan))) return F::kNan;
    if (x_nan) return y | sign;
    if (y_nan) return x | sign;
    const bool x_less = order(x) < order(y);
    return (x_less == smaller ? x : y) | sign;
  }
  /// Integers in the order of the floats, -0 before +0.
  static i32 order(u16 bits) { return bits & 0x8000 ? -(bits & 0x7fff) - 1 : bits; }
};

template <class F, bool smaller>
Handler extreme(bool pair, bool keep_nan, bool xor_sign) {
  const auto pick = [&](auto single, auto both) { return pair ? both : single; };
  if (keep_nan && xor_sign) {
    using Op = Extreme<F, smaller, true, true>;
    return pick(map_lanes<Op, u16, u16, u16>, map_lanes<Both<Op>, u32, u32, u32>);
  }
  if (keep_nan) {
    using Op = Extreme<F, smaller, true, false>;
    return pick(map_lanes<Op, u16, u16, u16>, map_lanes<Both<Op>, u32, u32, u32>);
  }
  if (xor_sign) {
    using Op = Extreme<F, smaller, false, true>;
    return pick(map_lanes<Op, u16, u16, u16>, map_lanes<Both<Op>, u32, u32, u32>);
  }
  using Op = Extreme<F, smaller, false, false>;
  return pick(map_lanes<Op, u16, u16, u16>, map_lanes<Both<Op>, u32, u32, u32>);
}

struct Absolute {
  u16 operator()(u16 bits) const { return bits & 0x7fff; }
};
struct Negate {
  u16 operator()(u16 bits) const { return bits ^ 0x8000; }
};

bool is_pair(Type type) { return type == Type::kF16x2 || type == Type::kBf16x2; }
bool is_bfloat(Type type) { return type == Type::kBf16 || type == Type::kBf16x2; }

}  // namespace

bool is_half(Type type) { return type >= Type::kF16 && type <= Type::kBf16x2; }

bool select_half_arithmetic(Selection& s, Instruction& out) {
  s.take("rn");
  const bool flushes = s.take("ftz"), saturates = s.take("sat"), relu = s.take("relu");
  const Type type = s.take_type();
  if (relu && (flushes || saturates)) return false;
  const u32 finish = relu ? kRelu : (flushes ? 1u : 0u) | (saturates ? 2u : 0u);
  out.execute = is_bfloat(type) ? arithmetic<Bfloat>(s.opcode(), is_pair(type), finish)
                                : arithmetic<Half>(s.opcode(), is_pair(type), finish);
  if (!out.execute) return false;
  same_operands(s, out, type, s.opcode() == "fma" ? 3 : 2);
  return true;
}

bool select_half_extreme(Selection& s, Instruction& out) {
  const bool smaller = s.opcode() == "min";
  if (s.take("ftz")) return false;
  const bool keep_nan = s.take("NaN"), xor_sign = s.take("xorsign");
  s.take("abs");
  const Type type = s.take_type();
  const bool pair = is_pair(type);
  if (is_bfloat(type)) {
    out.execute = smaller ? extreme<Bfloat, true>(pair, keep_nan, xor_sign)
                          : extreme<Bfloat, false>(pair, keep_nan, xor_sign);
  } else {
    out.execute = smaller ? extreme<Half, true>(pair, keep_nan, xor_sign)
                          : extreme<Half, false>(pair, keep_nan, xor_sign);
  }
  same_operands(s, out, type, 2);
  return true;
}

bool select_half_sign(Selection& s, Instruction& out) {
  const bool absolute = s.opcode() == "abs";
  if (s.take("ftz")) return false;
  const Type type = s.take_type();
  if (is_pair(type)) {
    out.execute =
        absolute ? map_lanes<Both<Absolute>, u32, u32> : map_lanes<Both<Negate>, u32, u32>;
  } else {
    out.execute = absolute ? map_lanes<Absolute, u16, u16> : map_lanes<Negate, u16, u16>;
  }
  same_operands(s, out, type, 1);
  return true;
}

void register_half() {}

}  // namespace emulator
