// Functions of one float argument: rcp sqrt rsqrt ex2 lg2 sin cos tanh.
//
// The approximate units are taken as correctly rounded from double: the device differs by a few
// units in the last place, for which tests allow.
#include <cmath>

#include "rounded.h"
#include "selectors.h"

namespace emulator {
namespace {

float flush(float x) {
  const u32 bits = bits_as<u32>(x);
  return bits & 0x7f800000u ? x : bits_as<float>(bits & 0x80000000u);
}
double flush(double x) { return x; }
float canonical(float x) { return x == x ? x : bits_as<float>(0x7fffffffu); }
double canonical(double x) { return x == x ? x : bits_as<double>(0x7ff8000000000000ull); }

struct Reciprocal {
  template <class T>
  T operator()(T x) const {
    return T{1} / x;
  }
};
struct SquareRoot {
  template <class T>
  T operator()(T x) const {
    return std::sqrt(x);
  }
};
struct ReciprocalRoot {
  float operator()(float x) const { return static_cast<float>(1.0 / std::sqrt(double{x})); }
  double operator()(double x) const { return 1.0 / std::sqrt(x); }
};
struct Exponential {
  float operator()(float x) const { return static_cast<float>(std::exp2(double{x})); }
};
struct Logarithm {
  float operator()(float x) const { return static_cast<float>(std::log2(double{x})); }
};
struct Sine {
  float operator()(float x) const { return static_cast<float>(std::sin(double{x})); }
};
struct Cosine {
  float operator()(float x) const { return static_cast<float>(std::cos(double{x})); }
};
struct Tangent {
  float operator()(float x) const { return static_cast<float>(std::tanh(double{x})); }
};

template <class Op, bool flushes>
struct Function {
  template <class T>
  T operator()(T x) const {
    const T value = canonical(Op{}(flushes ? flush(x) : x));
    return flushes ? flush(value) : value;
  }
};

/// Upper 32 bits only, as rcp.approx.ftz.f64 promises.
template <class Op>
struct HighWord {
  double operator()(double x) const {
    return bits_as<double>(bits_as<u64>(canonical(Op{}(x))) & 0xffffffff00000000ull);
  }
};

/// Op in f32 on one f16 or bf16; bf16 results come from f32 by rounding once.
template <class Op, bool bfloat, bool flushes>
struct HalfFunction {
  u16 operator()(u16 x) const {
    const float value = bfloat ? from_bfloat(x) : from_half(x);
    const float result = Op{}(flushes ? flush(value) : value);
    return bfloat ? to_bfloat(result) : to_half(result);
  }
};
template <class Op, bool bfloat, bool flushes>
struct PairFunction {
  u32 operator()(u32 x) const {
    const HalfFunction<Op, bfloat, flushes> one;
    return one(static_cast<u16>(x)) | u32{one(static_cast<u16>(x >> 16))} << 16;
  }
};

/// data[0]: Arithmetic | Rounding << 8; data[1]: flush.
template <class T>
void directed(Warp& warp, const Instruction& i) {
  const auto operation = static_cast<Arithmetic>(i.data[0] & 0xff);
  const auto rounding = static_cast<Rounding>(i.data[0] >> 8);
  each_lane(warp.mask, [&](u32 lane) {
    T x = warp.row<const T>(i.operand[1])[lane];
    if (i.data[1]) x = flush(x);
    const bool root = operation == Arithmetic::kSquareRoot;
    T value = canonical(rounded(operation, rounding, root ? x : T{1}, x, x));
    warp.row<T>(i.operand[0])[lane] = i.data[1] ? flush(value) : value;
  });
}

Rounding rounding_of(std::string_view mode) {
  if (mode == "rz") return Rounding::kZero;
  if (mode == "rm") return Rounding::kDown;
  return mode == "rp" ? Rounding::kUp : Rounding::kNearest;
}

template <class Op>
bool select_exact(Selection& s, Instruction& out) {
  const bool approximate = s.take("approx");
  const std::string_view mode = s.take_one({"rn", "rz", "rm", "rp"});
  const bool flushes = s.take("ftz");
  const Type type = s.take_type();
  if (approximate == !mode.empty()) return false;
  if (type != Type::kF32 && type != Type::kF64) return false;
  same_operands(s, out, type, 1);
  if (type == Type::kF64 && approximate) {
    out.execute = map_lanes<HighWord<Op>, double, double>;
  } else if (approximate || mode == "rn") {
    if (type == Type::kF64)
      out.execute = map_lanes<Function<Op, false>, double, double>;
    else if (flushes)
      out.execute = map_lanes<Function<Op, true>, float, float>;
    else
      out.execute = map_lanes<Function<Op, false>, float, float>;
  } else {
    const bool root = s.opcode() == "sqrt";
    const Arithmetic operation = root ? Arithmetic::kSquareRoot : Arithmetic::kDivide;
    out.data = {static_cast<u32>(operation) | static_cast<u32>(rounding_of(mode)) << 8,
                flushes ? 1u : 0u};
    out.execute = type == Type::kF32 ? directed<float> : directed<double>;
  }
  return true;
}

bool select_reciprocal_root(Selection& s, Instruction& out) {
  if (!s.take("approx")) return false;
  const bool flushes = s.take("ftz");
  const Type type = s.take_type();
  if (type == Type::kF64) {
    out.execute = flushes ? map_lanes<HighWord<ReciprocalRoot>, double, double>
                          : map_lanes<Function<ReciprocalRoot, false>, double, double>;
  } else if (type == Type::kF32) {
    out.execute = flushes ? map_lanes<Function<ReciprocalRoot, true>, float, float>
                          : map_lanes<Function<ReciprocalRoot, false>, float, float>;
  } else {
    return false;
  }
  same_operands(s, out, type, 1);
  return true;
}

template <class Op>
Handler approximate_handler(Type type, bool flushes) {
  switch (type) {
    case Type::kF32:
      return flushes ? map_lanes<Function<Op, true>, float, float>
                     : map_lanes<Function<Op, false>, float, float>;
    case Type::kF16:
      return map_lanes<HalfFunction<Op, false, false>, u16, u16>;
    case Type::kF16x2:
      return map_lanes<PairFunction<Op, false, false>, u32, u32>;
    case Type::kBf16:
      return flushes ? map_lanes<HalfFunction<Op, true, true>, u16, u16>
                     : map_lanes<HalfFunction<Op, true, false>, u16, u16>;
    case Type::kBf16x2:
      return flushes ? map_lanes<PairFunction<Op, true, true>, u32, u32>
                     : map_lanes<PairFunction<Op, true, false>, u32, u32>;
    default:
      return nullptr;
  }
}

template <class Op, bool halves>
bool select_approximate(Selection& s, Instruction& out) {
  if (!s.take("approx")) return false;
  const bool flushes = s.take("ftz");
  const Type type = s.take_type();
  if (type != Type::kF32 && !halves) return false;
  out.execute = approximate_handler<Op>(type, flushes);
  if (!out.execute) return false;
  same_operands(s, out, type, 1);
  return true;
}

}  // namespace

void register_functions() {
  register_opcode("rcp", select_exact<Reciprocal>);
  register_opcode("sqrt", select_exact<SquareRoot>);
  register_opcode("rsqrt", select_reciprocal_root);
  register_opcode("ex2", select_approximate<Exponential, true>);
  register_opcode("lg2", select_approximate<Logarithm, false>);
  register_opcode("sin", select_approximate<Sine, false>);
  register_opcode("cos", select_approximate<Cosine, false>);
  register_opcode("tanh", select_approximate<Tangent, true>);
}

}  // namespace emulator
