// Moves: mov (with packing and unpacking), cvta, isspacep.
#include <cstring>

#include "memory_access.h"
#include "selectors.h"

namespace emulator {
namespace {

struct Same {
  template <class T>
  T operator()(T x) const {
    return x;
  }
};
struct Add {
  u64 operator()(u64 a, u64 b) const { return a + b; }
};
struct Subtract {
  u64 operator()(u64 a, u64 b) const { return a - b; }
};
struct Narrow {
  u32 operator()(u64 a) const { return static_cast<u32>(a); }
};

void move_predicate(Warp& warp, const Instruction& i) {
  set_predicate(warp, i.operand[0], warp.predicate(i.operand[1]));
}

/// list: rows of the elements; data[0]: their number; data[1]: bytes of one. operand[0]: the whole.
void pack(Warp& warp, const Instruction& i) {
  const u32 count = i.data[0], bytes = i.data[1], whole = count * bytes;
  each_lane(warp.mask, [&](u32 lane) {
    std::byte value[16];
    for (u32 k = 0; k < count; ++k) {
      std::memcpy(value + k * bytes, warp.registers + i.list[k] + lane * bytes, bytes);
    }
    std::memcpy(warp.registers + i.operand[0] + lane * whole, value, whole);
  });
}

void unpack(Warp& warp, const Instruction& i) {
  const u32 count = i.data[0], bytes = i.data[1], whole = count * bytes;
  each_lane(warp.mask, [&](u32 lane) {
    std::byte value[16];
    std::memcpy(value, warp.registers + i.operand[0] + lane * whole, whole);
    for (u32 k = 0; k < count; ++k) {
      std::memcpy(warp.registers + i.list[k] + lane * bytes, value + k * bytes, bytes);
    }
  });
}

struct PackHalves {
  u32 operator()(u16 low, u16 high) const { return low | u32{high} << 16; }
};
struct PackWords {
  u64 operator()(u32 low, u32 high) const { return low | u64{high} << 32; }
};

bool select_pack(Selection& s, Instruction& out, u32 bytes) {
  const u32 count = static_cast<u32>(s.elements(1));
  if (bytes % count || bytes / count < 2) return false;
  const u32 part = bytes / count;
  std::vector<u32> list;
  for (u32 k = 0; k < count; ++k) list.push_back(s.source(1, part, k));
  out.operand[0] = s.destination(0, bytes);
  out.data = {count, part};
  if (count == 2 && bytes <= 8) {
    out.operand[1] = list[0];
    out.operand[2] = list[1];
    out.execute =
        bytes == 4 ? map_lanes<PackHalves, u32, u16, u16> : map_lanes<PackWords, u64, u32, u32>;
    return true;
  }
  out.list = s.keep(std::move(list));
  out.execute = pack;
  return true;
}

bool select_unpack(Selection& s, Instruction& out, u32 bytes) {
  const u32 count = static_cast<u32>(s.elements(0));
  if (bytes % count || bytes / count < 2) return false;
  const u32 part = bytes / count;
  std::vector<u32> list;
  for (u32 k = 0; k < count; ++k) list.push_back(s.destination(0, part, k));
  out.operand[0] = s.source(1, bytes);
  out.data = {count, part};
  out.list = s.keep(std::move(list));
  out.execute = unpack;
  return true;
}

void move_wide(Warp& warp, const Instruction& i) {
  each_lane(warp.mask, [&](u32 lane) {
    std::memmove(warp.registers + i.operand[0] + lane * 16,
                 warp.registers + i.operand[1] + lane * 16, 16);
  });
}

bool select_move(Selection& s, Instruction& out) {
  const Type type = s.take_type();
  if (type == Type::kPred) {
    out.operand = {s.destination_predicate(0), s.source_predicate(1)};
    out.execute = move_predicate;
    return true;
  }
  const u32 bytes = type_bytes(type);
  if (bytes < 2) return false;
  if (s.elements(1) > 1) return select_pack(s, out, bytes);
  if (s.elements(0) > 1) return select_unpack(s, out, bytes);
  same_operands(s, out, type, 1);
  switch (bytes) {
    case 2:
      out.execute = map_lanes<Same, u16, u16>;
      break;
    case 4:
      out.execute = map_lanes<Same, u32, u32>;
      break;
    case 8:
      out.execute = map_lanes<Same, u64, u64>;
      break;
    default:
      out.execute = move_wide;
  }
  return true;
}

/// Only shared addresses differ from generic ones.
bool select_cvta(Selection& s, Instruction& out) {
  const bool from_generic = s.take("to");
  const Space space = take_space(s);
  const Type type = s.take_type();
  if (type == Type::kU32) {
    if (space == Space::kShared) return false;
    out.operand = {s.destination(0, 4), s.source(1, 4)};
    out.execute = map_lanes<Same, u32, u32>;
    return true;
  }
  if (type != Type::kU64) return false;
  out.operand = {s.destination(0, 8), s.source(1, 8)};
  if (space != Space::kShared) {
    out.execute = map_lanes<Same, u64, u64>;
    return true;
  }
  out.operand[2] = s.special("%shared_base", 8);
  out.execute = from_generic ? map_lanes<Subtract, u64, u64, u64> : map_lanes<Add, u64, u64, u64>;
  return true;
}

/// data[0]: Space.
void is_in_space(Warp& warp, const Instruction& i) {
  const Space space = static_cast<Space>(i.data[0]);
  const u64* address = warp.row<const u64>(i.operand[1]);
  u32 bits = 0;
  each_lane(warp.mask,
            [&](u32 lane) { bits |= u32{generic_space(warp, address[lane]) == space} << lane; });
  set_predicate(warp, i.operand[0], bits);
}

bool select_space_test(Selection& s, Instruction& out) {
  const Space space = take_space(s);
  if (space == Space::kGeneric) return false;
  out.operand = {s.destination_predicate(0), s.source(1, 8)};
  out.data[0] = static_cast<u32>(space);
  out.execute = is_in_space;
  return true;
}

}  // namespace

void register_moves() {
  register_opcode("mov", select_move);
  register_opcode("cvta", select_cvta);
  register_opcode("isspacep", select_space_test);
}

}  // namespace emulator
