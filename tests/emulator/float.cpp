// Arithmetic of f32 and f64: add sub mul fma mad div min max abs neg copysign testp.
//
// The host rounds as the device does: to nearest even, results exact to the last bit. The directed
// modes go lane by lane through rounded.cpp. NaN results are the canonical NaN, as the device's.
#include <cmath>

#include "rounded.h"
#include "selectors.h"

namespace emulator {
namespace {

inline float canonical(float x) { return x == x ? x : bits_as<float>(0x7fffffffu); }
inline double canonical(double x) { return x == x ? x : bits_as<double>(0x7ff8000000000000ull); }

inline float flush(float x) {
  const u32 bits = bits_as<u32>(x);
  return bits & 0x7f800000u ? x : bits_as<float>(bits & 0x80000000u);
}

template <class T>
T saturate(T x) {
  // NaN becomes zero.
  const T above = x > T{0} ? x : T{0};
  return above < T{1} ? above : T{1};
}

struct Add {
  template <class T>
  T operator()(T a, T b) const {
    return a + b;
  }
};
struct Subtract {
  template <class T>
  T operator()(T a, T b) const {
    return a - b;
  }
};
struct Multiply {
  template <class T>
  T operator()(T a, T b) const {
    return a * b;
  }
};
struct Divide {
  template <class T>
  T operator()(T a, T b) const {
    return a / b;
  }
};
struct Fma {
  float operator()(float a, float b, float c) const { return __builtin_fmaf(a, b, c); }
  double operator()(double a, double b, double c) const { return __builtin_fma(a, b, c); }
};

/// Op with canonical NaNs, to nearest.
template <class Op>
struct Plain {
  template <class... T>
  auto operator()(T... x) const {
    return canonical(Op{}(x...));
  }
};
template <class Op>
struct Flushed {
  template <class... T>
  auto operator()(T... x) const {
    return flush(canonical(Op{}(flush(x)...)));
  }
};
template <class Op>
struct Saturated {
  template <class... T>
  auto operator()(T... x) const {
    return saturate(Op{}(x...));
  }
};

// ---- Directed rounding --------------------------------------------------------------------------

/// data[0]: Arithmetic | Rounding << 8; data[1]: 1 flush, 2 saturate. operand[1...3]: sources.
template <class T>
void directed(Warp& warp, const Instruction& i) {
  const auto operation = static_cast<Arithmetic>(i.data[0] & 0xff);
  const auto rounding = static_cast<Rounding>(i.data[0] >> 8);
  const bool flushes = i.data[1] & 1, saturates = i.data[1] & 2;
  const auto in = [&](u32 operand, u32 lane) {
    const T value = warp.row<const T>(i.operand[operand])[lane];
    if constexpr (sizeof(T) == 4) return flushes ? flush(value) : value;
    return value;
  };
  each_lane(warp.mask, [&](u32 lane) {
    T value = canonical(rounded(operation, rounding, in(1, lane), in(2, lane), in(3, lane)));
    if constexpr (sizeof(T) == 4) value = flushes ? flush(value) : value;
    warp.row<T>(i.operand[0])[lane] = saturates ? saturate(value) : value;
  });
}

Rounding rounding_of(std::string_view modifier) {
  if (modifier == "rz") return Rounding::kZero;
  if (modifier == "rm") return Rounding::kDown;
  if (modifier == "rp") return Rounding::kUp;
  return Rounding::kNearest;
}

template <class Op, u32 arity>
Handler nearest(Type type, bool flushes, bool saturates) {
  if (type == Type::kF64) {
    return saturates || flushes ? nullptr : same_type<Plain<Op>, double, arity>();
  }
  if (flushes) {
    return saturates ? same_type<Saturated<Flushed<Op>>, float, arity>()
                     : same_type<Flushed<Op>, float, arity>();
  }
  return saturates ? same_type<Saturated<Plain<Op>>, float, arity>()
                   : same_type<Plain<Op>, float, arity>();
}

struct Form {
  Arithmetic operation;
  u32 sources;
};

bool form_of(std::string_view opcode, Form& form) {
  if (opcode == "add")
    form = {Arithmetic::kAdd, 2};
  else if (opcode == "sub")
    form = {Arithmetic::kSubtract, 2};
  else if (opcode == "mul")
    form = {Arithmetic::kMultiply, 2};
  else if (opcode == "div")
    form = {Arithmetic::kDivide, 2};
  else if (opcode == "fma" || opcode == "mad")
    form = {Arithmetic::kFma, 3};
  else
    return false;
  return true;
}

Handler nearest(Arithmetic operation, Type type, bool flushes, bool saturates) {
  switch (operation) {
    case Arithmetic::kAdd:
      return nearest<Add, 2>(type, flushes, saturates);
    case Arithmetic::kSubtract:
      return nearest<Subtract, 2>(type, flushes, saturates);
    case Arithmetic::kMultiply:
      return nearest<Multiply, 2>(type, flushes, saturates);
    case Arithmetic::kDivide:
      return nearest<Divide, 2>(type, flushes, saturates);
    case Arithmetic::kFma:
      return nearest<Fma, 3>(type, flushes, saturates);
    default:
      return nullptr;
  }
}

// ---- Minimum and maximum ------------------------------------------------------------------------

/// The smaller (or greater); a NaN loses, or wins with `keep_nan`; -0 is smaller than +0.
template <bool smaller, bool keep_nan>
struct Extreme {
  template <class T>
  T operator()(T a, T b) const {
    if (a != a) return keep_nan || b != b ? canonical(a) : b;
    if (b != b) return keep_nan ? canonical(b) : a;
    if (a == b) return std::signbit(a) == smaller ? a : b;
    return (a < b) == smaller ? a : b;
  }
  template <class T>
  T operator()(T a, T b, T c) const {
    return (*this)((*this)(a, b), c);
  }
};
/// The one of greater (smaller) magnitude decides; the result's sign is the xor of the signs.
template <class Op>
struct XorSign {
  float operator()(float a, float b) const {
    const u32 sign = (bits_as<u32>(a) ^ bits_as<u32>(b)) & 0x80000000u;
    const float value = Op{}(std::fabs(a), std::fabs(b));
    return value != value ? value : bits_as<float>(bits_as<u32>(value) | sign);
  }
};

template <bool smaller, bool keep_nan>
Handler extreme_handler(Type type, bool flushes, bool xor_sign, size_t sources) {
  using Op = Extreme<smaller, keep_nan>;
  if (type == Type::kF64) {
    return keep_nan || flushes || xor_sign ? nullptr : map_lanes<Op, double, double, double>;
  }
  if (sources == 3) {
    if (xor_sign) return nullptr;
    return flushes ? map_lanes<Flushed<Op>, float, float, float, float>
                   : map_lanes<Op, float, float, float, float>;
  }
  if (xor_sign) {
    return flushes ? map_lanes<Flushed<XorSign<Op>>, float, float, float>
                   : map_lanes<XorSign<Op>, float, float, float>;
  }
  return flushes ? map_lanes<Flushed<Op>, float, float, float> : map_lanes<Op, float, float, float>;
}

// ---- Signs --------------------------------------------------------------------------------------

template <class T>
struct Absolute {
  T operator()(T bits) const { return bits & ~(T{1} << (8 * sizeof(T) - 1)); }
};
template <class T>
struct Negate {
  T operator()(T bits) const { return bits ^ (T{1} << (8 * sizeof(T) - 1)); }
};
template <class Op>
struct FlushedBits {
  u32 operator()(u32 bits) const { return Op{}(bits & 0x7f800000u ? bits : bits & 0x80000000u); }
};
template <class T>
struct CopySign {
  T operator()(T a, T b) const {
    const T sign = T{1} << (8 * sizeof(T) - 1);
    return (b & ~sign) | (a & sign);
  }
};

bool select_copysign(Selection& s, Instruction& out) {
  const Type type = s.take_type();
  if (type == Type::kF32)
    out.execute = map_lanes<CopySign<u32>, u32, u32, u32>;
  else if (type == Type::kF64)
    out.execute = map_lanes<CopySign<u64>, u64, u64, u64>;
  else
    return false;
  same_operands(s, out, type, 2);
  return true;
}

// ---- testp --------------------------------------------------------------------------------------

enum TestClass : u32 { kFinite, kInfinite, kNumber, kNotANumber, kNormal, kSubnormal };

template <class T>
bool is_of(TestClass wanted, T x) {
  switch (wanted) {
    case kFinite:
      return std::isfinite(x);
    case kInfinite:
      return std::isinf(x);
    case kNumber:
      return !std::isnan(x);
    case kNotANumber:
      return std::isnan(x);
    case kNormal:
      return std::isnormal(x);
    case kSubnormal:
      return std::fpclassify(x) == FP_SUBNORMAL;
  }
  return false;
}

template <class T>
void test(Warp& warp, const Instruction& i) {
  const T* a = warp.row<const T>(i.operand[1]);
  u32 bits = 0;
  for (u32 lane = 0; lane < kLanes; ++lane) {
    bits |= u32{is_of(static_cast<TestClass>(i.data[0]), a[lane])} << lane;
  }
  set_predicate(warp, i.operand[0], bits);
}

bool select_test(Selection& s, Instruction& out) {
  const std::string_view wanted =
      s.take_one({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  if (wanted.empty()) return false;
  const Type type = s.take_type();
  if (wanted == "finite") out.data[0] = kFinite;
  if (wanted == "infinite") out.data[0] = kInfinite;
  if (wanted == "number") out.data[0] = kNumber;
  if (wanted == "notanumber") out.data[0] = kNotANumber;
  if (wanted == "normal") out.data[0] = kNormal;
  if (wanted == "subnormal") out.data[0] = kSubnormal;
  if (type == Type::kF32)
    out.execute = test<float>;
  else if (type == Type::kF64)
    out.execute = test<double>;
  else
    return false;
  out.operand = {s.destination_predicate(0), s.source(1, type)};
  return true;
}

}  // namespace

bool select_float_arithmetic(Selection& s, Instruction& out) {
  if (is_half(peek_type(s))) return select_half_arithmetic(s, out);
  Form form;
  if (!form_of(s.opcode(), form)) return false;
  // div.approx and div.full are taken as exact: tests allow for their error.
  const bool approximate =
      form.operation == Arithmetic::kDivide && !s.take_one({"approx", "full"}).empty();
  const std::string_view mode = s.take_one({"rn", "rz", "rm", "rp"});
  const bool flushes = s.take("ftz"), saturates = s.take("sat");
  const Type type = s.take_type();
  if (type != Type::kF32 && type != Type::kF64) return false;
  if (form.operation == Arithmetic::kDivide && mode.empty() && !approximate) return false;
  if (form.operation == Arithmetic::kFma && mode.empty()) return false;
  same_operands(s, out, type, form.sources);
  if (mode.empty() || mode == "rn") {
    out.execute = nearest(form.operation, type, flushes, saturates);
    return out.execute != nullptr;
  }
  if (form.sources == 2) out.operand[3] = out.operand[2];
  out.data = {static_cast<u32>(form.operation) | static_cast<u32>(rounding_of(mode)) << 8,
              (flushes ? 1u : 0u) | (saturates ? 2u : 0u)};
  out.execute = type == Type::kF32 ? directed<float> : directed<double>;
  return true;
}

bool select_float_extreme(Selection& s, Instruction& out) {
  if (is_half(peek_type(s))) return select_half_extreme(s, out);
  const bool smaller = s.opcode() == "min";
  const bool flushes = s.take("ftz"), keep_nan = s.take("NaN"), xor_sign = s.take("xorsign");
  s.take("abs");
  const Type type = s.take_type();
  if (type != Type::kF32 && type != Type::kF64) return false;
  const size_t sources = s.operands() - 1;
  if (sources < 2 || sources > 3 || (sources == 3 && type == Type::kF64)) return false;
  if (smaller) {
    out.execute = keep_nan ? extreme_handler<true, true>(type, flushes, xor_sign, sources)
                           : extreme_handler<true, false>(type, flushes, xor_sign, sources);
  } else {
    out.execute = keep_nan ? extreme_handler<false, true>(type, flushes, xor_sign, sources)
                           : extreme_handler<false, false>(type, flushes, xor_sign, sources);
  }
  if (!out.execute) return false;
  same_operands(s, out, type, static_cast<u32>(sources));
  return true;
}

bool select_float_sign(Selection& s, Instruction& out) {
  if (is_half(peek_type(s))) return select_half_sign(s, out);
  const bool absolute = s.opcode() == "abs";
  const bool flushes = s.take("ftz");
  const Type type = s.take_type();
  if (type == Type::kF64 && !flushes) {
    out.execute = absolute ? map_lanes<Absolute<u64>, u64, u64> : map_lanes<Negate<u64>, u64, u64>;
  } else if (type == Type::kF32 && flushes) {
    out.execute = absolute ? map_lanes<FlushedBits<Absolute<u32>>, u32, u32>
                           : map_lanes<FlushedBits<Negate<u32>>, u32, u32>;
  } else if (type == Type::kF32) {
    out.execute = absolute ? map_lanes<Absolute<u32>, u32, u32> : map_lanes<Negate<u32>, u32, u32>;
  } else {
    return false;
  }
  same_operands(s, out, type, 1);
  return true;
}

void register_float() {
  register_opcode("fma", select_float_arithmetic);
  register_opcode("copysign", select_copysign);
  register_opcode("testp", select_test);
}

}  // namespace emulator
