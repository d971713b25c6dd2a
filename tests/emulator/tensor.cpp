// Matrix multiply-add of a warp: mma.sync.
//
//   D[M,N] = C[M,N] + A[M,K] B[K,N], each matrix spread over the registers of 32 lanes as the
//   fragment tables of the PTX ISA say.
//
// Products of f16, bf16 and tf32 elements are exact in f32; they are added in f32 one after the
// other in the order of k, beginning with C. Hardware adds in groups, with truncation, so tests
// compare with a tolerance. With f16 accumulators the sum is rounded once, at the end. Of a tf32
// operand the low 13 bits are ignored.
#include "tensor.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "half.h"

namespace emulator {

bool whole_warp(Warp& warp, const Instruction& instruction) {
  const u32 ready = gather_lanes(warp, instruction, kAllLanes);
  if (ready && ready != kAllLanes)
    fault(warp, instruction, kIllegalInstruction, static_cast<u32>(__builtin_ctz(ready)),
          "the instruction needs all 32 lanes of the warp, but some do not exist or have exited");
  return ready != 0;
}

namespace {

constexpr u32 kN = 8;  // columns of C and D, in every shape

// ---- Element types ------------------------------------------------------------------------------

struct Half {
  using Word = u32;
  using Value = float;
  static constexpr u32 kPerRegister = 2;
  static float value(u32 word, u32 part) { return from_half(static_cast<u16>(word >> 16 * part)); }
};

struct Brain {
  using Word = u32;
  using Value = float;
  static constexpr u32 kPerRegister = 2;
  static float value(u32 word, u32 part) {
    return std::bit_cast<float>(part ? word & 0xffff0000u : word << 16);
  }
};

struct Tf32 {
  using Word = u32;
  using Value = float;
  static constexpr u32 kPerRegister = 1;
  static float value(u32 word, u32) { return std::bit_cast<float>(word & 0xffffe000u); }
};

struct Double {
  using Word = u64;
  using Value = double;
  static constexpr u32 kPerRegister = 1;
  static double value(u64 word, u32) { return std::bit_cast<double>(word); }
};

struct Signed {
  using Word = u32;
  using Value = i32;
  static constexpr u32 kPerRegister = 4;
  static i32 value(u32 word, u32 part) { return static_cast<i8>(word >> 8 * part); }
};

struct Unsigned {
  using Word = u32;
  using Value = i32;
  static constexpr u32 kPerRegister = 4;
  static i32 value(u32 word, u32 part) { return static_cast<u8>(word >> 8 * part); }
};

// ---- Fragments ----------------------------------------------------------------------------------
//
// Lane = 4 * group + t. A register of A or B holds neighbouring elements of the direction of k,
// beginning at t times their number; registers of A alternate between the rows group and group + 8
// (if M is 16) and then go on by four lanes' worth of k. C and D hold columns 2t and 2t+1.

template <class Element, u32 kM, u32 kK>
void load_a(const Warp& warp, const u32* registers, typename Element::Value (&a)[kM][kK]) {
  constexpr u32 kPer = Element::kPerRegister, kRows = kM / 8;
  for (u32 r = 0; r < kM * kK / (32 * kPer); ++r) {
    const auto* row = warp.row<typename Element::Word>(registers[r]);
    for (u32 part = 0; part < kPer; ++part) {
      typename Element::Value values[kLanes];
      for (u32 lane = 0; lane < kLanes; ++lane) values[lane] = Element::value(row[lane], part);
      for (u32 lane = 0; lane < kLanes; ++lane)
        a[lane / 4 + 8 * (r % kRows)][(lane % 4 + 4 * (r / kRows)) * kPer + part] = values[lane];
    }
  }
}

template <class Element, u32 kK>
void load_b(const Warp& warp, const u32* registers, typename Element::Value (&b)[kK][kN]) {
  constexpr u32 kPer = Element::kPerRegister;
  for (u32 r = 0; r < kK * kN / (32 * kPer); ++r) {
    const auto* row = warp.row<typename Element::Word>(registers[r]);
    for (u32 part = 0; part < kPer; ++part) {
      typename Element::Value values[kLanes];
      for (u32 lane = 0; lane < kLanes; ++lane) values[lane] = Element::value(row[lane], part);
      for (u32 lane = 0; lane < kLanes; ++lane)
        b[(lane % 4 + 4 * r) * kPer + part][lane / 4] = values[lane];
    }
  }
}

/// Load C when each of its registers holds one element of type T.
template <class T, u32 kM>
void load_c(const Warp& warp, const u32* registers, T (&c)[kM][kN]) {
  for (u32 r = 0; r < kM / 4; ++r)
    for (u32 lane = 0; lane < kLanes; ++lane)
      c[lane / 4 + 8 * (r / 2)][lane % 4 * 2 + r % 2] = warp.row<T>(registers[r])[lane];
}

template <class T, u32 kM>
void store_d(const Warp& warp, const u32* registers, const T (&d)[kM][kN]) {
  for (u32 r = 0; r < kM / 4; ++r)
    for (u32 lane = 0; lane < kLanes; ++lane)
      warp.row<T>(registers[r])[lane] = d[lane / 4 + 8 * (r / 2)][lane % 4 * 2 + r % 2];
}

/// The same for registers of two f16 elements.
template <u32 kM>
void load_c_half(const Warp& warp, const u32* registers, float (&c)[kM][kN]) {
  for (u32 r = 0; r < kM / 8; ++r)
    for (u32 lane = 0; lane < kLanes; ++lane)
      for (u32 part = 0; part < 2; ++part)
        c[lane / 4 + 8 * r][lane % 4 * 2 + part] =
            Half::value(warp.row<u32>(registers[r])[lane], part);
}

u32 pack(float low, float high) { return to_half(low) | static_cast<u32>(to_half(high)) << 16; }

template <u32 kM>
void store_d_half(const Warp& warp, const u32* registers, const float (&d)[kM][kN]) {
  for (u32 r = 0; r < kM / 8; ++r)
    for (u32 lane = 0; lane < kLanes; ++lane) {
      const float* pair = &d[lane / 4 + 8 * r][lane % 4 * 2];
      warp.row<u32>(registers[r])[lane] = pack(pair[0], pair[1]);
    }
}

// ---- Handlers -----------------------------------------------------------------------------------

// Instruction::list holds the offsets of the registers of D, A, B and C, in this order.
struct Lists {
  const u32 *d, *a, *b, *c;
};

template <u32 kD, u32 kA, u32 kB>
Lists lists(const Instruction& instruction) {
  const u32* all = instruction.list;
  return {all, all + kD, all + kD + kA, all + kD + kA + kB};
}

enum Flag : u32 { kHalfC = 1, kHalfD = 2, kSaturate = 4 };  // in Instruction::data[0]

template <class Element, u32 kM, u32 kK, bool kHalfResult>
void mma_float(Warp& warp, const Instruction& instruction) {
  if (!whole_warp(warp, instruction)) return;
  constexpr u32 kPer = Element::kPerRegister, kD = kHalfResult ? kM / 8 : kM / 4;
  const Lists at = lists<kD, kM * kK / (32 * kPer), kK * kN / (32 * kPer)>(instruction);
  float a[kM][kK], b[kK][kN], d[kM][kN];
  load_a<Element>(warp, at.a, a);
  load_b<Element>(warp, at.b, b);
  if (instruction.data[0] & kHalfC)
    load_c_half(warp, at.c, d);
  else
    load_c(warp, at.c, d);
  for (u32 i = 0; i < kM; ++i)
    for (u32 k = 0; k < kK; ++k)
      for (u32 j = 0; j < kN; ++j) d[i][j] += a[i][k] * b[k][j];
  if constexpr (kHalfResult)
    store_d_half(warp, at.d, d);
  else
    store_d(warp, at.d, d);
}

template <u32 kM, u32 kK>
void mma_double(Warp& warp, const Instruction& instruction) {
  if (!whole_warp(warp, instruction)) return;
  const Lists at = lists<kM / 4, kM * kK / 32, kK * kN / 32>(instruction);
  double a[kM][kK], b[kK][kN], d[kM][kN];
  load_a<Double>(warp, at.a, a);
  load_b<Double>(warp, at.b, b);
  load_c(warp, at.c, d);
  for (u32 i = 0; i < kM; ++i)
    for (u32 k = 0; k < kK; ++k)
      for (u32 j = 0; j < kN; ++j) d[i][j] = std::fma(a[i][k], b[k][j], d[i][j]);
  store_d(warp, at.d, d);
}

template <class A, class B, u32 kM, u32 kK>
void mma_integer(Warp& warp, const Instruction& instruction) {
  if (!whole_warp(warp, instruction)) return;
  const Lists at = lists<kM / 4, kM * kK / 128, kK * kN / 128>(instruction);
  i32 a[kM][kK], b[kK][kN], d[kM][kN];
  load_a<A>(warp, at.a, a);
  load_b<B>(warp, at.b, b);
  load_c(warp, at.c, d);
  const bool saturate = instruction.data[0] & kSaturate;
  for (u32 i = 0; i < kM; ++i)
    for (u32 j = 0; j < kN; ++j) {
      i64 sum = d[i][j];
      for (u32 k = 0; k < kK; ++k) sum += a[i][k] * b[k][j];
      if (saturate) sum = std::clamp<i64>(sum, INT32_MIN, INT32_MAX);
      d[i][j] = static_cast<i32>(sum);
    }
  store_d(warp, at.d, d);
}

// m8n8k4 of f16: four products at once. Product `p` belongs to lanes 4p..4p+3 and 16+4p..16+4p+3;
// the lower four hold the first half of the rows (or columns), the upper four the second.
template <bool kColumnA, bool kRowB>
void mma_quads(Warp& warp, const Instruction& instruction) {
  if (!whole_warp(warp, instruction)) return;
  const u32 flags = instruction.data[0];
  const u32* d_at = instruction.list;
  const u32* a_at = d_at + (flags & kHalfD ? 4 : 8);
  const u32 *b_at = a_at + 2, *c_at = b_at + 2;
  const auto half_at = [&](const u32* at, u32 lane, u32 i) {
    return Half::value(warp.row<u32>(at[i / 2])[lane], i % 2);
  };
  const auto row_of = [](bool half, u32 lane, u32 i) {
    return half ? lane % 4 + 4 * (lane / 16) : (lane & 1) + (i & 2) + 4 * (lane / 16);
  };
  const auto column_of = [](bool half, u32 lane, u32 i) {
    return half ? i : (i & 4) + (lane & 2) + (i & 1);
  };
  float a[4][8][4], b[4][4][8], d[4][8][8];
  for (u32 lane = 0; lane < kLanes; ++lane) {
    const u32 p = lane % 16 / 4, t = lane % 4, upper = 4 * (lane / 16);
    for (u32 i = 0; i < 4; ++i) {
      (kColumnA ? a[p][i + upper][t] : a[p][t + upper][i]) = half_at(a_at, lane, i);
      (kRowB ? b[p][t][i + upper] : b[p][i][t + upper]) = half_at(b_at, lane, i);
    }
    for (u32 i = 0; i < 8; ++i)
      d[p][row_of(flags & kHalfC, lane, i)][column_of(flags & kHalfC, lane, i)] =
          flags & kHalfC ? half_at(c_at, lane, i) : warp.row<float>(c_at[i])[lane];
  }
  for (u32 p = 0; p < 4; ++p)
    for (u32 i = 0; i < 8; ++i)
      for (u32 k = 0; k < 4; ++k)
        for (u32 j = 0; j < 8; ++j) d[p][i][j] += a[p][i][k] * b[p][k][j];
  for (u32 lane = 0; lane < kLanes; ++lane)
    for (u32 i = 0; i < 8; ++i) {
      const float* value =
          &d[lane % 16 / 4][row_of(flags & kHalfD, lane, i)][column_of(flags & kHalfD, lane, i)];
      if (!(flags & kHalfD))
        warp.row<float>(d_at[i])[lane] = *value;
      else if (i % 2 == 0)
        warp.row<u32>(d_at[i / 2])[lane] = pack(value[0], value[1]);
    }
}

// ---- Selection ----------------------------------------------------------------------------------

struct Form {
  std::string_view shape;
  Type d, a, b, c;
};

Handler float_handler(const Form& form) {
  const bool half = form.d == Type::kF16;
  if (form.a != form.b || (half && (form.a != Type::kF16 || form.c != Type::kF16))) return nullptr;
  if (!half && form.d != Type::kF32) return nullptr;
  if (form.c != Type::kF32 && (form.c != Type::kF16 || form.a != Type::kF16)) return nullptr;
  if (form.shape == "m16n8k16") {
    if (form.a == Type::kF16)
      return half ? mma_float<Half, 16, 16, true> : mma_float<Half, 16, 16, false>;
    if (form.a == Type::kBf16) return mma_float<Brain, 16, 16, false>;
  } else if (form.shape == "m16n8k8") {
    if (form.a == Type::kF16)
      return half ? mma_float<Half, 16, 8, true> : mma_float<Half, 16, 8, false>;
    if (form.a == Type::kBf16) return mma_float<Brain, 16, 8, false>;
    if (form.a == Type::kTf32) return mma_float<Tf32, 16, 8, false>;
  } else if (form.shape == "m16n8k4") {
    if (form.a == Type::kTf32) return mma_float<Tf32, 16, 4, false>;
  }
  return nullptr;
}

Handler double_handler(const Form& form) {
  if (form.a != Type::kF64 || form.b != Type::kF64 || form.c != Type::kF64) return nullptr;
  if (form.shape == "m8n8k4") return mma_double<8, 4>;
  if (form.shape == "m16n8k4") return mma_double<16, 4>;
  if (form.shape == "m16n8k8") return mma_double<16, 8>;
  if (form.shape == "m16n8k16") return mma_double<16, 16>;
  return nullptr;
}

template <class A, class B>
Handler integer_handler(std::string_view shape) {
  if (shape == "m8n8k16") return mma_integer<A, B, 8, 16>;
  if (shape == "m16n8k16") return mma_integer<A, B, 16, 16>;
  if (shape == "m16n8k32") return mma_integer<A, B, 16, 32>;
  return nullptr;
}

Handler integer_handler(const Form& form) {
  if (form.c != Type::kS32) return nullptr;
  if (form.a == Type::kS8 && form.b == Type::kS8)
    return integer_handler<Signed, Signed>(form.shape);
  if (form.a == Type::kS8 && form.b == Type::kU8)
    return integer_handler<Signed, Unsigned>(form.shape);
  if (form.a == Type::kU8 && form.b == Type::kS8)
    return integer_handler<Unsigned, Signed>(form.shape);
  if (form.a == Type::kU8 && form.b == Type::kU8)
    return integer_handler<Unsigned, Unsigned>(form.shape);
  return nullptr;
}

Handler quads_handler(bool column_a, bool row_b) {
  if (column_a) return row_b ? mma_quads<true, true> : mma_quads<true, false>;
  return row_b ? mma_quads<false, true> : mma_quads<false, false>;
}

bool select_mma(Selection& selection, Instruction& out) {
  if (!selection.take("sync") || !selection.take("aligned") || selection.operands() != 4)
    return false;
  std::vector<std::string_view> layouts;
  for (const std::string_view modifier : selection.statement().modifiers)
    if (modifier == "row" || modifier == "col") layouts.push_back(modifier);
  if (layouts.size() != 2) return false;
  for (const std::string_view layout : layouts) selection.take(layout);
  Form form;
  form.shape =
      selection.take_one({"m8n8k4", "m8n8k16", "m16n8k4", "m16n8k8", "m16n8k16", "m16n8k32"});
  if (selection.take("satfinite")) out.data[0] |= kSaturate;
  form.d = selection.take_type();
  form.a = selection.take_type();
  form.b = selection.take_type();
  form.c = selection.take_type();
  if (form.c == Type::kF16) out.data[0] |= kHalfC;
  if (form.d == Type::kF16) out.data[0] |= kHalfD;

  const bool quads = form.shape == "m8n8k4" && form.a == Type::kF16 && form.b == Type::kF16;
  if (quads)
    out.execute = quads_handler(layouts[0] == "col", layouts[1] == "row");
  else if (layouts[0] != "row" || layouts[1] != "col")
    return false;
  else if (form.d == Type::kF64)
    out.execute = double_handler(form);
  else if (form.d == Type::kS32)
    out.execute = integer_handler(form);
  else
    out.execute = float_handler(form);
  if (!out.execute) return false;

  const u32 bytes = form.d == Type::kF64 ? 8 : 4;
  std::vector<u32> registers;
  for (size_t e = 0; e < selection.elements(0); ++e)
    registers.push_back(selection.destination(0, bytes, e));
  for (size_t operand = 1; operand < 4; ++operand)
    for (size_t e = 0; e < selection.elements(operand); ++e)
      registers.push_back(operand == 3 && form.c == Type::kF32
                              ? selection.source(operand, Type::kF32, e)
                              : selection.source(operand, bytes, e));
  out.list = selection.keep(std::move(registers));
  return true;
}

}  // namespace

void register_mma() { register_opcode("mma", select_mma); }

void register_tensor() {
  register_mma();
  register_matrix_transfers();
  register_async_copies();
}

}  // namespace emulator
