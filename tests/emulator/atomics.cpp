// Atomic operations on global and shared memory: atom, red.
#include <algorithm>
#include <cstring>

#include "half.h"
#include "memory_access.h"

namespace emulator {
namespace {

// operand[0]: result (scratch for red), operand[1]: base address, operand[2]: b, operand[3]: c;
// addend[0]; data[0]: bytes of an address.

struct Add {
  template <class T>
  T operator()(T old, T b, T) const {
    return static_cast<T>(old + b);
  }
};
struct Minimum {
  template <class T>
  T operator()(T old, T b, T) const {
    return std::min(old, b);
  }
};
struct Maximum {
  template <class T>
  T operator()(T old, T b, T) const {
    return std::max(old, b);
  }
};
struct And {
  template <class T>
  T operator()(T old, T b, T) const {
    return old & b;
  }
};
struct Or {
  template <class T>
  T operator()(T old, T b, T) const {
    return old | b;
  }
};
struct Xor {
  template <class T>
  T operator()(T old, T b, T) const {
    return old ^ b;
  }
};
struct Exchange {
  template <class T>
  T operator()(T, T b, T) const {
    return b;
  }
};
struct CompareAndSwap {
  template <class T>
  T operator()(T old, T b, T c) const {
    return old == b ? c : old;
  }
};
struct Increment {
  template <class T>
  T operator()(T old, T b, T) const {
    return old >= b ? T{0} : static_cast<T>(old + 1);
  }
};
struct Decrement {
  template <class T>
  T operator()(T old, T b, T) const {
    return old == 0 || old > b ? b : static_cast<T>(old - 1);
  }
};
struct AddFloat {
  u32 operator()(u32 old, u32 b, u32) const {
    return bits_as<u32>(bits_as<float>(old) + bits_as<float>(b));
  }
};
struct AddDouble {
  u64 operator()(u64 old, u64 b, u64) const {
    return bits_as<u64>(bits_as<double>(old) + bits_as<double>(b));
  }
};
struct AddHalf {
  u16 operator()(u16 old, u16 b, u16) const { return to_half(from_half(old) + from_half(b)); }
};
struct AddBfloat {
  u16 operator()(u16 old, u16 b, u16) const {
    return to_bfloat(static_cast<double>(from_bfloat(old)) + from_bfloat(b));
  }
};
template <class Op>
struct Pair {
  u32 operator()(u32 old, u32 b, u32) const {
    const u32 low = Op{}(static_cast<u16>(old), static_cast<u16>(b), 0);
    const u32 high = Op{}(static_cast<u16>(old >> 16), static_cast<u16>(b >> 16), 0);
    return low | high << 16;
  }
};

/// Blocks may run on several host threads: the operation is atomic for the host, too.
template <class T, class Op>
T update(u64 address, T b, T c) {
  T* place = reinterpret_cast<T*>(address);
  T old = __atomic_load_n(place, __ATOMIC_SEQ_CST);
  T desired = Op{}(old, b, c);
  while (!__atomic_compare_exchange_n(place, &old, desired, false, __ATOMIC_SEQ_CST,
                                      __ATOMIC_SEQ_CST)) {
    desired = Op{}(old, b, c);
  }
  return old;
}

template <class T, class Op, Space space>
void atomic(Warp& warp, const Instruction& i) {
  u64 address[kLanes];
  fill_addresses(warp, i.operand[1], i.data[0], i.addend[0], address);
  const u64 base = reach(warp, i, space, AccessKind::kAtomic, sizeof(T), address);
  T* result = warp.row<T>(i.operand[0]);
  const T* b = warp.row<const T>(i.operand[2]);
  const T* c = warp.row<const T>(i.operand[3]);
  each_lane(warp.mask, [&](u32 lane) {
    const T operand = b[lane];
    result[lane] = update<T, Op>(base + address[lane], operand, c[lane]);
  });
}

template <class T, class Op>
Handler in_space(Space space) {
  switch (space) {
    case Space::kGlobal:
      return atomic<T, Op, Space::kGlobal>;
    case Space::kShared:
      return atomic<T, Op, Space::kShared>;
    case Space::kGeneric:
      return atomic<T, Op, Space::kGeneric>;
    default:
      return nullptr;
  }
}

template <class Op>
Handler for_integer(Type type, Space space) {
  switch (type) {
    case Type::kU32:
    case Type::kB32:
      return in_space<u32, Op>(space);
    case Type::kS32:
      return in_space<i32, Op>(space);
    case Type::kU64:
    case Type::kB64:
      return in_space<u64, Op>(space);
    case Type::kS64:
      return in_space<i64, Op>(space);
    default:
      return nullptr;
  }
}

Handler for_add(Type type, Space space) {
  switch (type) {
    case Type::kF32:
      return in_space<u32, AddFloat>(space);
    case Type::kF64:
      return in_space<u64, AddDouble>(space);
    case Type::kF16:
      return in_space<u16, AddHalf>(space);
    case Type::kBf16:
      return in_space<u16, AddBfloat>(space);
    case Type::kF16x2:
      return in_space<u32, Pair<AddHalf>>(space);
    case Type::kBf16x2:
      return in_space<u32, Pair<AddBfloat>>(space);
    default:
      return for_integer<Add>(type, space);
  }
}

Handler for_operation(std::string_view operation, Type type, Space space) {
  if (operation == "add") return for_add(type, space);
  if (operation == "min") return for_integer<Minimum>(type, space);
  if (operation == "max") return for_integer<Maximum>(type, space);
  if (operation == "and") return for_integer<And>(type, space);
  if (operation == "or") return for_integer<Or>(type, space);
  if (operation == "xor") return for_integer<Xor>(type, space);
  if (operation == "exch") return for_integer<Exchange>(type, space);
  if (operation == "inc") return type == Type::kU32 ? in_space<u32, Increment>(space) : nullptr;
  if (operation == "dec") return type == Type::kU32 ? in_space<u32, Decrement>(space) : nullptr;
  if (operation == "cas") {
    if (type == Type::kB16) return in_space<u16, CompareAndSwap>(space);
    return for_integer<CompareAndSwap>(type, space);
  }
  return nullptr;
}

bool select_atomic(Selection& s, Instruction& out, bool with_result) {
  const Space space = take_space(s);
  take_hints(s);
  s.take("noftz");
  const std::string_view operation =
      s.take_one({"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"});
  const Type type = s.take_type();
  if (type == Type::kNone) return false;
  out.execute = for_operation(operation, type, space);
  if (!out.execute) return false;
  const u32 bytes = type_bytes(type);
  const size_t place = with_result ? 1 : 0;
  out.operand[0] = with_result ? s.destination(0, bytes) : s.scratch(bytes);
  out.operand[1] = s.address(place);
  out.data[0] = s.address_width(place);
  out.addend[0] = s.addend(place);
  out.operand[2] = s.source(place + 1, type);
  out.operand[3] = operation == "cas" ? s.source(place + 2, type) : out.operand[2];
  return true;
}

bool select_atom(Selection& s, Instruction& out) { return select_atomic(s, out, true); }
bool select_red(Selection& s, Instruction& out) { return select_atomic(s, out, false); }

}  // namespace

void register_atomics() {
  register_opcode("atom", select_atom);
  register_opcode("red", select_red);
}

}  // namespace emulator
