// Choosing the instance of a lane operation by operand type.
#pragma once

#include "decode.h"
#include "lanes.h"

namespace emulator {

/// Handlers of an operation whose destination and sources have the same type.
template <class Op, class T, u32 arity>
constexpr Handler same_type() {
  if constexpr (arity == 1) return map_lanes<Op, T, T>;
  if constexpr (arity == 2) return map_lanes<Op, T, T, T>;
  if constexpr (arity == 3) return map_lanes<Op, T, T, T, T>;
}

/// By integer type, 16 to 64 bits; null for others.
template <class Op, u32 arity>
Handler for_integer_type(Type type) {
  switch (type) {
    case Type::kU16:
      return same_type<Op, u16, arity>();
    case Type::kS16:
      return same_type<Op, i16, arity>();
    case Type::kU32:
      return same_type<Op, u32, arity>();
    case Type::kS32:
      return same_type<Op, i32, arity>();
    case Type::kU64:
      return same_type<Op, u64, arity>();
    case Type::kS64:
      return same_type<Op, i64, arity>();
    default:
      return nullptr;
  }
}

/// By untyped width, 16 to 64 bits; null for others.
template <class Op, u32 arity>
Handler for_bits_type(Type type) {
  switch (type) {
    case Type::kB16:
      return same_type<Op, u16, arity>();
    case Type::kB32:
      return same_type<Op, u32, arity>();
    case Type::kB64:
      return same_type<Op, u64, arity>();
    default:
      return nullptr;
  }
}

/// Fill destination and sources 1 to `sources`, all of one type.
inline void same_operands(Selection& s, Instruction& out, Type type, u32 sources) {
  out.operand[0] = s.destination(0, type_bytes(type));
  for (u32 k = 1; k <= sources; ++k) out.operand[k] = s.source(k, type);
}

/// True if a modifier is there; it stays.
inline bool has(const Selection& s, std::string_view modifier) {
  for (const std::string_view left : s.left()) {
    if (left == modifier) return true;
  }
  return false;
}

/// The type that take_type would take.
inline Type peek_type(const Selection& s) {
  for (const std::string_view modifier : s.left()) {
    if (type_of(modifier) != Type::kNone) return type_of(modifier);
  }
  return Type::kNone;
}

// Float forms of opcodes that integers have, too: float.cpp and half.cpp.
bool select_float_arithmetic(Selection& s, Instruction& out);  // add sub mul fma mad div
bool select_float_extreme(Selection& s, Instruction& out);     // min max
bool select_float_sign(Selection& s, Instruction& out);        // abs neg
bool select_half_arithmetic(Selection& s, Instruction& out);
bool select_half_extreme(Selection& s, Instruction& out);
bool select_half_sign(Selection& s, Instruction& out);
bool is_half(Type type);  // f16, bf16 and their pairs

/// The condition code's carry bit, a predicate that every program has.
constexpr u32 kCarry = 4;

}  // namespace emulator
