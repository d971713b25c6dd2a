// Comparisons and choices: setp set selp slct.
#include <cmath>

#include "half.h"
#include "selectors.h"

namespace emulator {
namespace {

// clang-format off
enum Comparison : u32 {
  kEq, kNe, kLt, kLe, kGt, kGe, kEqu, kNeu, kLtu, kLeu, kGtu, kGeu, kNum, kNan, kComparisons,
};
// clang-format on

constexpr std::string_view kNames[] = {"eq",  "ne",  "lt",  "le",  "gt",  "ge",  "equ",
                                       "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

template <Comparison comparison, class T>
bool compare(T a, T b) {
  const bool unordered = a != a || b != b;
  switch (comparison) {
    case kEq: return a == b;
    case kNe: return a != b && !unordered;
    case kLt: return a < b;
    case kLe: return a <= b;
    case kGt: return a > b;
    case kGe: return a >= b;
    case kEqu: return a == b || unordered;
    case kNeu: return a != b;
    case kLtu: return !(a >= b);
    case kLeu: return !(a > b);
    case kGtu: return !(a <= b);
    case kGeu: return !(a < b);
    case kNum: return !unordered;
    default: return unordered;
  }
}

/// How the lanes of a row are read: as themselves, flushed, as halves or as half of a pair.
template <class T>
struct As {
  using Row = T;
  static T value(T x) { return x; }
};
struct AsFlushed {
  using Row = u32;
  static float value(u32 x) {
    return bits_as<float>(x & 0x7f800000u ? x : x & 0x80000000u);
  }
};
struct AsHalf {
  using Row = u16;
  static float value(u16 x) { return from_half(x); }
};
struct AsBfloat {
  using Row = u16;
  static float value(u16 x) { return from_bfloat(x); }
};
template <class Half, u32 shift>
struct AsPart {
  using Row = u32;
  static float value(u32 x) { return Half::value(static_cast<u16>(x >> shift)); }
};

template <Comparison comparison, class Reader>
u32 compare_rows(const Warp& warp, u32 a_row, u32 b_row) {
  const auto* a = warp.row<const typename Reader::Row>(a_row);
  const auto* b = warp.row<const typename Reader::Row>(b_row);
  u32 bits = 0;
  for (u32 lane = 0; lane < kLanes; ++lane) {
    const bool holds =
        compare<comparison, decltype(Reader::value(a[0]))>(Reader::value(a[lane]),
                                                           Reader::value(b[lane]));
    bits |= static_cast<u32>(holds) << lane;
  }
  return bits;
}

using Comparer = u32 (*)(const Warp&, u32, u32);

template <class Reader, size_t... K>
Comparer choose(u32 comparison, std::index_sequence<K...>) {
  static constexpr Comparer table[] = {compare_rows<static_cast<Comparison>(K), Reader>...};
  return table[comparison];
}
template <class Reader>
Comparer choose(u32 comparison) {
  return choose<Reader>(comparison, std::make_index_sequence<kComparisons>{});
}

/// One compare function for each of the two results of a pair type; both null if not known.
struct Comparers {
  Comparer low = nullptr, high = nullptr;
};

Comparers comparers_for(Type type, u32 comparison, bool flushes) {
  switch (type) {
    case Type::kB16:
    case Type::kU16: return {choose<As<u16>>(comparison), nullptr};
    case Type::kS16: return {choose<As<i16>>(comparison), nullptr};
    case Type::kB32:
    case Type::kU32: return {choose<As<u32>>(comparison), nullptr};
    case Type::kS32: return {choose<As<i32>>(comparison), nullptr};
    case Type::kB64:
    case Type::kU64: return {choose<As<u64>>(comparison), nullptr};
    case Type::kS64: return {choose<As<i64>>(comparison), nullptr};
    case Type::kF32:
      if (flushes) return {choose<AsFlushed>(comparison), nullptr};
      return {choose<As<float>>(comparison), nullptr};
    case Type::kF64: return {choose<As<double>>(comparison), nullptr};
    case Type::kF16: return {choose<AsHalf>(comparison), nullptr};
    case Type::kBf16: return {choose<AsBfloat>(comparison), nullptr};
    case Type::kF16x2:
      return {choose<AsPart<AsHalf, 0>>(comparison), choose<AsPart<AsHalf, 16>>(comparison)};
    case Type::kBf16x2:
      return {choose<AsPart<AsBfloat, 0>>(comparison), choose<AsPart<AsBfloat, 16>>(comparison)};
    default: return {};
  }
}

/// Consume the comparison; `lo ls hi hs` are the unsigned ones. kComparisons if there is none.
u32 take_comparison(Selection& s) {
  if (s.take("lo")) return kLt;
  if (s.take("ls")) return kLe;
  if (s.take("hi")) return kGt;
  if (s.take("hs")) return kGe;
  for (u32 k = 0; k < kComparisons; ++k) {
    if (s.take(kNames[k])) return k;
  }
  return kComparisons;
}

/// `ne` of integers has no unordered case; the float one is ordered.
enum Combine : u32 { kNone, kAnd, kOr, kXor };

u32 take_combine(Selection& s) {
  if (s.take("and")) return kAnd;
  if (s.take("or")) return kOr;
  return s.take("xor") ? kXor : kNone;
}

u32 combine(u32 how, u32 bits, u32 other) {
  switch (how) {
    case kAnd: return bits & other;
    case kOr: return bits | other;
    case kXor: return bits ^ other;
    default: return bits;
  }
}

// A comparer does not fit into an instruction's data, so that it is a template argument of the
// handler by way of a table of all comparers: their addresses are kept in `list` as two words each.
Comparer comparer_of(const u32* words) {
  return reinterpret_cast<Comparer>(u64{words[0]} | u64{words[1]} << 32);
}
void append(std::vector<u32>& words, Comparer comparer) {
  const u64 address = reinterpret_cast<u64>(comparer);
  words.push_back(static_cast<u32>(address));
  words.push_back(static_cast<u32>(address >> 32));
}

// ---- setp -----------------------------------------------------------------------------------------

/// operand: p, q, a, b, c; data[0]: Combine; data[1]: 1 if q is wanted.
void set_predicates(Warp& warp, const Instruction& i) {
  const u32 bits = comparer_of(i.list)(warp, i.operand[2], i.operand[3]);
  const u32 other = warp.predicate(i.operand[4]);
  if (i.data[1]) set_predicate(warp, i.operand[1], combine(i.data[0], ~bits, other));
  set_predicate(warp, i.operand[0], combine(i.data[0], bits, other));
}

/// p and q are the results of the two halves.
void set_pair(Warp& warp, const Instruction& i) {
  const u32 low = comparer_of(i.list)(warp, i.operand[2], i.operand[3]);
  const u32 high = comparer_of(i.list + 2)(warp, i.operand[2], i.operand[3]);
  const u32 other = warp.predicate(i.operand[4]);
  set_predicate(warp, i.operand[0], combine(i.data[0], low, other));
  set_predicate(warp, i.operand[1], combine(i.data[0], high, other));
}

bool read_comparison(Selection& s, Instruction& out, Comparers& comparers, Type& type,
                     bool with_result_type, Type& result) {
  const u32 comparison = take_comparison(s);
  out.data[0] = take_combine(s);
  const bool flushes = s.take("ftz");
  if (with_result_type) result = s.take_type();
  type = s.take_type();
  if (comparison == kComparisons) return false;
  comparers = comparers_for(type, comparison, flushes);
  std::vector<u32> words;
  append(words, comparers.low);
  append(words, comparers.high);
  out.list = s.keep(std::move(words));
  return comparers.low != nullptr;
}

bool select_setp(Selection& s, Instruction& out) {
  Comparers comparers;
  Type type, none;
  if (!read_comparison(s, out, comparers, type, false, none)) return false;
  const bool second = s.elements(0) > 1;
  out.operand[0] = s.destination_predicate(0, 0);
  if (second) out.operand[1] = s.destination_predicate(0, 1);
  out.operand[2] = s.source(1, type);
  out.operand[3] = s.source(2, type);
  if (out.data[0] != kNone) out.operand[4] = s.source_predicate(3);
  out.data[1] = second ? 1 : 0;
  if (comparers.high && !second) return false;
  out.execute = comparers.high ? set_pair : set_predicates;
  return true;
}

// ---- set ------------------------------------------------------------------------------------------

/// operand: d, -, a, b, c; data[1]: value of true.
template <class T>
void set_value(Warp& warp, const Instruction& i) {
  const u32 bits = combine(i.data[0], comparer_of(i.list)(warp, i.operand[2], i.operand[3]),
                           warp.predicate(i.operand[4]));
  T* d = warp.row<T>(i.operand[0]);
  each_lane(warp.mask,
            [&](u32 lane) { d[lane] = bits >> lane & 1 ? static_cast<T>(i.data[1]) : T{0}; });
}

void set_value_pair(Warp& warp, const Instruction& i) {
  const u32 other = warp.predicate(i.operand[4]);
  const u32 low =
      combine(i.data[0], comparer_of(i.list)(warp, i.operand[2], i.operand[3]), other);
  const u32 high =
      combine(i.data[0], comparer_of(i.list + 2)(warp, i.operand[2], i.operand[3]), other);
  u32* d = warp.row<u32>(i.operand[0]);
  each_lane(warp.mask, [&](u32 lane) {
    d[lane] = (low >> lane & 1 ? i.data[1] : 0) | (high >> lane & 1 ? i.data[1] << 16 : 0);
  });
}

bool select_set(Selection& s, Instruction& out) {
  Comparers comparers;
  Type type, result = Type::kNone;
  if (!read_comparison(s, out, comparers, type, true, result)) return false;
  const bool pair = comparers.high != nullptr;
  switch (result) {
    case Type::kU16:
    case Type::kS16: out.data[1] = 0xffff; break;
    case Type::kU32:
    case Type::kS32: out.data[1] = pair ? 0xffff : 0xffffffffu; break;
    case Type::kF32: out.data[1] = 0x3f800000u; break;
    case Type::kF16:
    case Type::kF16x2: out.data[1] = 0x3c00; break;
    case Type::kBf16:
    case Type::kBf16x2: out.data[1] = 0x3f80; break;
    default: return false;
  }
  const u32 bytes = type_bytes(result);
  if (pair && bytes != 4) return false;
  out.operand[0] = s.destination(0, bytes);
  out.operand[2] = s.source(1, type);
  out.operand[3] = s.source(2, type);
  if (out.data[0] != kNone) out.operand[4] = s.source_predicate(3);
  if (pair) out.execute = set_value_pair;
  else out.execute = bytes == 2 ? set_value<u16> : set_value<u32>;
  return true;
}

// ---- selp, slct -----------------------------------------------------------------------------------

template <class T>
void choose_by_predicate(Warp& warp, const Instruction& i) {
  T* d = warp.row<T>(i.operand[0]);
  const T* a = warp.row<const T>(i.operand[1]);
  const T* b = warp.row<const T>(i.operand[2]);
  const u32 bits = warp.predicate(i.operand[3]), mask = warp.mask;
#pragma GCC ivdep
  for (u32 lane = 0; lane < kLanes; ++lane) {
    const T value = bits >> lane & 1 ? a[lane] : b[lane];
    d[lane] = mask >> lane & 1 ? value : d[lane];
  }
}

bool select_selp(Selection& s, Instruction& out) {
  const Type type = s.take_type();
  switch (type_bytes(type)) {
    case 2: out.execute = choose_by_predicate<u16>; break;
    case 4: out.execute = choose_by_predicate<u32>; break;
    case 8: out.execute = choose_by_predicate<u64>; break;
    default: return false;
  }
  same_operands(s, out, type, 2);
  out.operand[3] = s.source_predicate(3);
  return true;
}

struct BySign {
  template <class T>
  T operator()(T a, T b, i32 c) const {
    return c >= 0 ? a : b;
  }
  template <class T>
  T operator()(T a, T b, float c) const {
    return c >= 0 ? a : b;
  }
};

bool select_slct(Selection& s, Instruction& out) {
  s.take("ftz");
  const Type type = s.take_type(), by = s.take_type();
  if (by != Type::kS32 && by != Type::kF32) return false;
  const bool whole = by == Type::kS32;
  switch (type_bytes(type)) {
    case 2:
      out.execute = whole ? map_lanes<BySign, u16, u16, u16, i32>
                          : map_lanes<BySign, u16, u16, u16, float>;
      break;
    case 4:
      out.execute = whole ? map_lanes<BySign, u32, u32, u32, i32>
                          : map_lanes<BySign, u32, u32, u32, float>;
      break;
    case 8:
      out.execute = whole ? map_lanes<BySign, u64, u64, u64, i32>
                          : map_lanes<BySign, u64, u64, u64, float>;
      break;
    default: return false;
  }
  same_operands(s, out, type, 2);
  out.operand[3] = s.source(3, by);
  return true;
}

}  // namespace

void register_compare() {
  register_opcode("setp", select_setp);
  register_opcode("set", select_set);
  register_opcode("selp", select_selp);
  register_opcode("slct", select_slct);
}

}  // namespace emulator
