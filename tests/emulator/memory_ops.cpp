// Loads and stores: ld, ldu, st, in all spaces and vector widths.
#include <cstring>
#include <stdexcept>

#include "memory_access.h"

namespace emulator {
namespace {

// Forms share their operands:
//   list: rows of the elements, operand[0...3] the same for up to four; operand[4]: base address,
//   addend[0]; data[0]: 4 or 8 bytes of an address; data[1]: offset of a kernel parameter or the
//   bytes a lane of a function's parameter.

/// Bytes that move as they are, or are widened with or without sign.
template <class M, class R, u32 N, Space space>
void load(Warp& warp, const Instruction& i) {
  u64 address[kLanes];
  fill_addresses(warp, i.operand[4], i.data[0], i.addend[0], address);
  const u64 base = reach(warp, i, space, AccessKind::kLoad, sizeof(M) * N, address);
  R* rows[N];
  for (u32 k = 0; k < N; ++k) rows[k] = warp.row<R>(i.operand[k]);
  const auto move = [&](u32 lane) {
    M values[N];
    std::memcpy(values, reinterpret_cast<const void*>(base + address[lane]), sizeof values);
    for (u32 k = 0; k < N; ++k) rows[k][lane] = static_cast<R>(values[k]);
  };
  if (warp.mask == kAllLanes) {
    for (u32 lane = 0; lane < kLanes; ++lane) move(lane);
  } else {
    each_lane(warp.mask, move);
  }
}

template <class M, class R, u32 N, Space space>
void store(Warp& warp, const Instruction& i) {
  u64 address[kLanes];
  fill_addresses(warp, i.operand[4], i.data[0], i.addend[0], address);
  const u64 base = reach(warp, i, space, AccessKind::kStore, sizeof(M) * N, address);
  const R* rows[N];
  for (u32 k = 0; k < N; ++k) rows[k] = warp.row<const R>(i.operand[k]);
  const auto move = [&](u32 lane) {
    M values[N];
    for (u32 k = 0; k < N; ++k) values[k] = static_cast<M>(rows[k][lane]);
    std::memcpy(reinterpret_cast<void*>(base + address[lane]), values, sizeof values);
  };
  if (warp.mask == kAllLanes) {
    for (u32 lane = 0; lane < kLanes; ++lane) move(lane);
  } else {
    each_lane(warp.mask, move);
  }
}

/// A parameter of the kernel: the same for all lanes.
template <class M, class R, u32 N>
void load_parameter(Warp& warp, const Instruction& i) {
  M values[N];
  std::memcpy(values, warp.block->launch->parameters + i.data[1], sizeof values);
  for (u32 k = 0; k < N; ++k) {
    R* row = warp.row<R>(i.operand[k]);
    const R value = static_cast<R>(values[k]);
    for (u32 lane = 0; lane < kLanes; ++lane) {
      row[lane] = warp.mask >> lane & 1 ? value : row[lane];
    }
  }
}

/// A parameter of a function: a row of data[1] bytes a lane at operand[4].
template <class M, class R, u32 N>
void load_argument(Warp& warp, const Instruction& i) {
  each_lane(warp.mask, [&](u32 lane) {
    M values[N];
    std::memcpy(values, warp.registers + i.operand[4] + lane * i.data[1] + i.addend[0],
                sizeof values);
    for (u32 k = 0; k < N; ++k) warp.row<R>(i.operand[k])[lane] = static_cast<R>(values[k]);
  });
}

template <class M, class R, u32 N>
void store_argument(Warp& warp, const Instruction& i) {
  each_lane(warp.mask, [&](u32 lane) {
    M values[N];
    for (u32 k = 0; k < N; ++k) values[k] = static_cast<M>(warp.row<R>(i.operand[k])[lane]);
    std::memcpy(warp.registers + i.operand[4] + lane * i.data[1] + i.addend[0], values,
                sizeof values);
  });
}

/// The handlers of one element type, register width and vector width.
struct Handlers {
  Handler global, shared, local, constant, parameters, generic;  // by address
  Handler parameter, argument;                                   // by name
};

template <class M, class R, u32 N>
constexpr Handlers kLoads = {load<M, R, N, Space::kGlobal>, load<M, R, N, Space::kShared>,
                             load<M, R, N, Space::kLocal>,  load<M, R, N, Space::kConst>,
                             load<M, R, N, Space::kParam>,  load<M, R, N, Space::kGeneric>,
                             load_parameter<M, R, N>,       load_argument<M, R, N>};

template <class M, class R, u32 N>
constexpr Handlers kStores = {store<M, R, N, Space::kGlobal>,
                              store<M, R, N, Space::kShared>,
                              store<M, R, N, Space::kLocal>,
                              nullptr,
                              nullptr,
                              store<M, R, N, Space::kGeneric>,
                              nullptr,
                              store_argument<M, R, N>};

template <class M, class R>
const Handlers* by_vector(bool loads, size_t count) {
  switch (count) {
    case 1:
      return loads ? &kLoads<M, R, 1> : &kStores<M, R, 1>;
    case 2:
      return loads ? &kLoads<M, R, 2> : &kStores<M, R, 2>;
    case 4:
      if constexpr (sizeof(M) <= 4) return loads ? &kLoads<M, R, 4> : &kStores<M, R, 4>;
      return nullptr;
    default:
      return nullptr;
  }
}

template <class M>
const Handlers* by_register(bool loads, u32 bytes, size_t count) {
  if (bytes < sizeof(M)) return nullptr;
  switch (bytes) {
    case 2:
      if constexpr (sizeof(M) <= 2) return by_vector<M, u16>(loads, count);
      return nullptr;
    case 4:
      if constexpr (sizeof(M) <= 4) return by_vector<M, u32>(loads, count);
      return nullptr;
    case 8:
      return by_vector<M, u64>(loads, count);
    default:
      return nullptr;
  }
}

const Handlers* handlers_for(bool loads, Type type, u32 bytes, size_t count) {
  // A signed value is widened with its sign by the conversion to an unsigned register.
  const bool with_sign = loads && is_signed(type);
  switch (type_bytes(type)) {
    case 1:
      return with_sign ? by_register<i8>(loads, bytes, count)
                       : by_register<u8>(loads, bytes, count);
    case 2:
      return with_sign ? by_register<i16>(loads, bytes, count)
                       : by_register<u16>(loads, bytes, count);
    case 4:
      return with_sign ? by_register<i32>(loads, bytes, count)
                       : by_register<u32>(loads, bytes, count);
    case 8:
      return by_register<u64>(loads, bytes, count);
    default:
      return nullptr;
  }
}

Handler by_space(const Handlers& handlers, Space space) {
  switch (space) {
    case Space::kGlobal:
      return handlers.global;
    case Space::kShared:
      return handlers.shared;
    case Space::kLocal:
      return handlers.local;
    case Space::kConst:
      return handlers.constant;
    case Space::kParam:
      return handlers.parameters;
    default:
      return handlers.generic;
  }
}

/// Width of the registers that hold the elements; immediates and sinks take the narrowest.
u32 register_bytes(const Selection& s, size_t operand, Type type) {
  u32 bytes = std::max(type_bytes(type), 2u);
  for (size_t k = 0; k < s.elements(operand); ++k) bytes = std::max(bytes, s.width(operand, k));
  return bytes;
}

bool select_access(Selection& s, Instruction& out, bool loads) {
  const Space space = take_space(s);
  take_hints(s);
  const std::string_view vector = s.take_one({"v2", "v4", "v8"});
  const Type type = s.take_type();
  if (type == Type::kNone) return false;
  const size_t values = loads ? 0 : 1, place = loads ? 1 : 0;
  const size_t count = s.elements(values);
  if (!vector.empty() && count != static_cast<size_t>(vector[1] - '0')) return false;
  if (count > 4) return false;
  const u32 bytes = register_bytes(s, values, type);
  const Handlers* handlers = handlers_for(loads, type, bytes, count);
  if (!handlers) return false;
  const Type held = type_bytes(type) == bytes ? type : Type::kNone;
  for (size_t k = 0; k < count; ++k) {
    out.operand[k] = loads                 ? s.destination(values, bytes, k)
                     : held != Type::kNone ? s.source(values, held, k)
                                           : s.source(values, bytes, k);
  }
  out.addend[0] = s.addend(place);
  u32 offset = 0;
  if (space == Space::kParam && s.kernel_parameter(place, offset)) {
    out.data[1] = offset;
    out.execute = handlers->parameter;
  } else if (space == Space::kParam && s.is_parameter(place)) {
    out.operand[4] = s.parameter(place);
    out.data[1] = s.parameter_bytes(place);
    out.execute = handlers->argument;
  } else {
    out.operand[4] = s.address(place);
    out.data[0] = s.address_width(place);
    out.execute = by_space(*handlers, space);
  }
  return true;
}

bool select_load(Selection& s, Instruction& out) { return select_access(s, out, true); }
bool select_store(Selection& s, Instruction& out) { return select_access(s, out, false); }

}  // namespace

void register_memory() {
  register_opcode("ld", select_load);
  register_opcode("ldu", select_load);
  register_opcode("st", select_store);
}

}  // namespace emulator
