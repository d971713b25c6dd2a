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
    case kEq:
      return a == b;
    case kNe:
      return a != b && !unordered;
    case kLt:
      return a < b;
    case kLe:
      return a <= b;
    case kGt:
      return a > b;
    case kGe:
      return a >= b;
    case kEqu:
      return a == b || unordered;
    case kNeu:
      return a != b;
    case kLtu:
      return !(a >= b);
    case kLeu:
      return !(a > b);
    case kGtu:
      return !(a <= b);
    case kGeu:
      return !(a < b);
    case kNum:
      return !unordered;
    default:
      return unordered;
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
  static float value(u32 x) { return bits_as<float>(x & 0x7f800000u ? x : x & 0x80000000u); }
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
u32 compare_rows(const Warp& warp, const Instruction& i) {
  const auto* a = warp.row<const typename Reader::Row>(i.operand[2]);
  const auto* b = warp.row<const typename Reader::Row>(i.operand[3]);
  using Value = decltype(Reader::value(a[0]));
  u32 bits = 0;
  for (u32 lane = 0; lane < kLanes; ++lane) {
    const bool holds = compare<comparison, Value>(Reader::value(a[lane]), Reader::value(b[lane]));
    bits |= static_cast<u32>(holds) << lane;
  }
  return bits;
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

enum Combine : u32 { kNone, kAnd, kOr, kXor };

u32 take_combine(Selection& s) {
  if (s.take("and")) return kAnd;
  if (s.take("or")) return kOr;
  return s.take("xor") ? kXor : kNone;
}

u32 combine(u32 how, u32 bits, u32 other) {
  switch (how) {
    case kAnd:
      return bits & other;
    case kOr:
      return bits | other;
    case kXor:
      return bits ^ other;
    default:
      return bits;
  }
}

// All forms share their operands: p or d, q, a, b, c; data[0]: Combine.

/// data[1]: 1 if q is wanted.
template <Comparison comparison, class Reader>
void set_predicates(Warp& warp, const Instruction& i) {
  const u32 bits = compare_rows<comparison, Reader>(warp, i);
  const u32 other = warp.predicate(i.operand[4]);
  if (i.data[1]) set_predicate(warp, i.operand[1], combine(i.data[0], ~bits, other));
  set_predicate(warp, i.operand[0], combine(i.data[0], bits, other));
}

/// p and q are the results of the two halves.
template <Comparison comparison, class Half>
void set_predicate_pair(Warp& warp, const Instruction& i) {
  const u32 low = compare_rows<comparison, AsPart<Half, 0>>(warp, i);
  const u32 high = compare_rows<comparison, AsPart<Half, 16>>(warp, i);
  const u32 other = warp.predicate(i.operand[4]);
  set_predicate(warp, i.operand[0], combine(i.data[0], low, other));
  set_predicate(warp, i.operand[1], combine(i.data[0], high, other));
}

/// data[1]: value of true.
template <Comparison comparison, class Reader, class T>
void set_value(Warp& warp, const Instruction& i) {
  const u32 bits =
      combine(i.data[0], compare_rows<comparison, Reader>(warp, i), warp.predicate(i.operand[4]));
  T* d = warp.row<T>(i.operand[0]);
  each_lane(warp.mask,
            [&](u32 lane) { d[lane] = bits >> lane & 1 ? static_cast<T>(i.data[1]) : T{0}; });
}

template <Comparison comparison, class Half>
void set_value_pair(Warp& warp, const Instruction& i) {
  const u32 other = warp.predicate(i.operand[4]);
  const u32 low = combine(i.data[0], compare_rows<comparison, AsPart<Half, 0>>(warp, i), other);
  const u32 high = combine(i.data[0], compare_rows<comparison, AsPart<Half, 16>>(warp, i), other);
  u32* d = warp.row<u32>(i.operand[0]);
  each_lane(warp.mask, [&](u32 lane) {
    d[lane] = (low >> lane & 1 ? i.data[1] : 0) | (high >> lane & 1 ? i.data[1] << 16 : 0);
  });
}

/// Handlers of one comparison of one type: for setp, and for set with 16- and 32-bit results.
struct Handlers {
  Handler predicates = nullptr, value_16 = nullptr, value_32 = nullptr;
};

template <Comparison comparison, class Reader>
constexpr Handlers kSingle = {set_predicates<comparison, Reader>,
                              set_value<comparison, Reader, u16>,
                              set_value<comparison, Reader, u32>};
template <Comparison comparison, class Half>
constexpr Handlers kPair = {set_predicate_pair<comparison, Half>, nullptr,
                            set_value_pair<comparison, Half>};

template <class Reader, size_t... K>
Handlers single(u32 comparison, std::index_sequence<K...>) {
  static constexpr Handlers table[] = {kSingle<static_cast<Comparison>(K), Reader>...};
  return table[comparison];
}
template <class Half, size_t... K>
Handlers pair(u32 comparison, std::index_sequence<K...>) {
  static constexpr Handlers table[] = {kPair<static_cast<Comparison>(K), Half>...};
  return table[comparison];
}

Handlers handlers_for(Type type, u32 comparison, bool flushes) {
  constexpr auto all = std::make_index_sequence<kComparisons>{};
  switch (type) {
    case Type::kB16:
    case Type::kU16:
      return single<As<u16>>(comparison, all);
    case Type::kS16:
      return single<As<i16>>(comparison, all);
    case Type::kB32:
    case Type::kU32:
      return single<As<u32>>(comparison, all);
    case Type::kS32:
      return single<As<i32>>(comparison, all);
    case Type::kB64:
    case Type::kU64:
      return single<As<u64>>(comparison, all);
    case Type::kS64:
      return single<As<i64>>(comparison, all);
    case Type::kF32:
      return flushes ? single<AsFlushed>(comparison, all) : single<As<float>>(comparison, all);
    case Type::kF64:
      return single<As<double>>(comparison, all);
    case Type::kF16:
      return single<AsHalf>(comparison, all);
    case Type::kBf16:
      return single<AsBfloat>(comparison, all);
    case Type::kF16x2:
      return pair<AsHalf>(comparison, all);
    case Type::kBf16x2:
      return pair<AsBfloat>(comparison, all);
    default:
      return {};
  }
}

bool is_pair(Type type) { return type == Type::kF16x2 || type == Type::kBf16x2; }

void comparison_operands(Selection& s, Instruction& out, Type type) {
  out.operand[2] = s.source(1, type);
  out.operand[3] = s.source(2, type);
  if (out.data[0] != kNone) out.operand[4] = s.source_predicate(3);
}

bool select_setp(Selection& s, Instruction& out) {
  const u32 comparison = take_comparison(s);
  if (comparison == kComparisons) return false;
  out.data[0] = take_combine(s);
  const bool flushes = s.take("ftz");
  const Type type = s.take_type();
  const bool second = s.elements(0) > 1;
  if (is_pair(type) && !second) return false;
  out.execute = handlers_for(type, comparison, flushes).predicates;
  if (!out.execute) return false;
  out.operand[0] = s.destination_predicate(0, 0);
  if (second) out.operand[1] = s.destination_predicate(0, 1);
  out.data[1] = second ? 1 : 0;
  comparison_operands(s, out, type);
  return true;
}

/// What `set` writes for true in each half or word; 0 if the type cannot be a result.
u32 value_of_true(Type result, bool pair) {
  switch (result) {
    case Type::kU16:
    case Type::kS16:
      return 0xffff;
    case Type::kU32:
    case Type::kS32:
      return pair ? 0xffff : 0xffffffffu;
    case Type::kF32:
      return 0x3f800000u;
    case Type::kF16:
    case Type::kF16x2:
      return 0x3c00;
    case Type::kBf16:
    case Type::kBf16x2:
      return 0x3f80;
    default:
      return 0;
  }
}

bool select_set(Selection& s, Instruction& out) {
  const u32 comparison = take_comparison(s);
  if (comparison == kComparisons) return false;
  out.data[0] = take_combine(s);
  const bool flushes = s.take("ftz");
  const Type result = s.take_type(), type = s.take_type();
  out.data[1] = value_of_true(result, is_pair(type));
  if (!out.data[1]) return false;
  const Handlers handlers = handlers_for(type, comparison, flushes);
  out.execute = type_bytes(result) == 2 ? handlers.value_16 : handlers.value_32;
  if (!out.execute) return false;
  out.operand[0] = s.destination(0, type_bytes(result));
  comparison_operands(s, out, type);
  return true;
}

// ---- selp, slct ---------------------------------------------------------------------------------

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
    case 2:
      out.execute = choose_by_predicate<u16>;
      break;
    case 4:
      out.execute = choose_by_predicate<u32>;
      break;
    case 8:
      out.execute = choose_by_predicate<u64>;
      break;
    default:
      return false;
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
      out.execute =
          whole ? map_lanes<BySign, u16, u16, u16, i32> : map_lanes<BySign, u16, u16, u16, float>;
      break;
    case 4:
      out.execute =
          whole ? map_lanes<BySign, u32, u32, u32, i32> : map_lanes<BySign, u32, u32, u32, float>;
      break;
    case 8:
      out.execute =
          whole ? map_lanes<BySign, u64, u64, u64, i32> : map_lanes<BySign, u64, u64, u64, float>;
      break;
    default:
      return false;
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
