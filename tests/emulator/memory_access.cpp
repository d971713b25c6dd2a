#include "memory_access.h"

#include <bit>
#include <cstdio>

#include "device_memory.h"

namespace emulator {
namespace {

std::string hexadecimal(u64 value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

const char* verb(AccessKind kind) {
  if (kind == AccessKind::kLoad) return "load";
  return kind == AccessKind::kStore ? "store" : "atomic operation";
}

std::string sentence(const Access& access, const char* space, u64 address) {
  return std::string(space) + " " + verb(access.kind) + " of " + std::to_string(access.bytes) +
         " bytes at " + hexadecimal(address);
}

[[noreturn]] void misaligned(Warp& warp, const Instruction& i, const Access& access,
                             const char* space, u32 lane) {
  fault(warp, i, kMisalignedAddress, lane,
        sentence(access, space, access.address[lane]) + " is not aligned");
}

void check_window(Warp& warp, const Instruction& i, const Access& access, const char* space,
                  KnownRange window) {
  const u64 size = window.end - window.begin;
  each_lane(access.mask, [&](u32 lane) {
    const u64 address = access.address[lane];
    if (address & (access.bytes - 1)) misaligned(warp, i, access, space, lane);
    if (address - window.begin <= size && access.bytes <= size - (address - window.begin)) return;
    fault(warp, i, kIllegalAddress, lane,
          sentence(access, space, address) + " is out of bounds (" + std::to_string(size) +
              " bytes" + (window.begin ? " from " + hexadecimal(window.begin) : std::string()) +
              ")");
  });
}

void check_global(Warp& warp, const Instruction& i, const Access& access) {
  KnownRange& known = warp.ranges[i.index];
  each_lane(access.mask, [&](u32 lane) {
    const u64 address = access.address[lane];
    if (address & (access.bytes - 1)) misaligned(warp, i, access, "global", lane);
    if (address >= known.begin && address < known.end && access.bytes <= known.end - address) {
      return;
    }
    const DeviceMemory& memory = DeviceMemory::instance();
    const Allocation* found = memory.find(address);
    if (!found || !found->contains(address, access.bytes)) {
      fault(warp, i, kIllegalAddress, lane,
            sentence(access, "global", address) +
                " is out of bounds: " + memory.describe(address, access.bytes));
    }
    known = {found->base, found->end()};
  });
}

u64 local_size(const Block& block) {
  return u64{block.local_bytes} * ((block.threads + kLanes - 1) / kLanes * kLanes);
}

/// Addresses that are right for certain; all of them but for global memory.
KnownRange window_of(const Warp& warp, const Instruction& i, Space space) {
  const Block& block = *warp.block;
  switch (space) {
    case Space::kShared:
      return {0, block.shared_bytes};
    case Space::kLocal: {
      const u64 begin = reinterpret_cast<u64>(block.local);
      return {begin, begin + local_size(block)};
    }
    case Space::kParam: {
      const u64 begin = reinterpret_cast<u64>(block.launch->parameters);
      return {begin, begin + block.launch->request->parameters.size()};
    }
    default:
      return warp.ranges[i.index];
  }
}

void check(Warp& warp, const Instruction& i, const Access& access) {
  const Block& block = *warp.block;
  if (block.launch->settings->checks == Checks::kOff) return;
  const KnownRange window = window_of(warp, i, access.space);
  switch (access.space) {
    case Space::kShared:
      return check_window(warp, i, access, "shared", window);
    case Space::kLocal:
      return check_window(warp, i, access, "local", window);
    case Space::kParam:
      return check_window(warp, i, access, "parameter", window);
    default:
      return check_global(warp, i, access);
  }
}

void show(Warp& warp, const Instruction& i, const Access& access) {
  for (Observer* observer : warp.block->launch->observers) observer->access(warp, i, access);
}

void reach_generic(Warp& warp, const Instruction& i, AccessKind kind, u32 bytes,
                   const u64* address) {
  u32 masks[4] = {};
  constexpr Space spaces[4] = {Space::kGlobal, Space::kShared, Space::kLocal, Space::kParam};
  each_lane(warp.mask, [&](u32 lane) {
    const Space space = generic_space(warp, address[lane]);
    for (u32 k = 0; k < 4; ++k) masks[k] |= u32{spaces[k] == space} << lane;
  });
  for (u32 k = 0; k < 4; ++k) {
    if (!masks[k]) continue;
    u64 own[kLanes];
    const u64 base = spaces[k] == Space::kShared ? reinterpret_cast<u64>(warp.block->shared) : 0;
    for (u32 lane = 0; lane < kLanes; ++lane) own[lane] = address[lane] - base;
    const Access access{spaces[k], kind, bytes, masks[k], own, false};
    check(warp, i, access);
    show(warp, i, access);
  }
}

}  // namespace

Space generic_space(const Warp& warp, u64 address) {
  const Block& block = *warp.block;
  if (address - reinterpret_cast<u64>(block.shared) < block.shared_bytes) return Space::kShared;
  if (address - reinterpret_cast<u64>(block.local) < local_size(block)) return Space::kLocal;
  const u64 parameters = reinterpret_cast<u64>(block.launch->parameters);
  if (address - parameters < block.launch->request->parameters.size()) return Space::kParam;
  return Space::kGlobal;
}

Space take_space(Selection& s) {
  if (s.take("global")) return Space::kGlobal;
  if (s.take("shared") || s.take("shared::cta") || s.take("shared::cluster")) return Space::kShared;
  if (s.take("local")) return Space::kLocal;
  if (s.take("const")) return Space::kConst;
  if (s.take("param") || s.take("param::entry") || s.take("param::func")) return Space::kParam;
  return Space::kGeneric;
}

void take_hints(Selection& s) {
  s.take_one({"weak", "relaxed", "acquire", "release", "acq_rel", "volatile", "mmio"});
  s.take_one({"cta", "cluster", "gpu", "sys"});
  s.take_one({"ca", "cg", "cs", "lu", "cv", "wb", "wt"});
  s.take("nc");
  s.take("unified");
  s.take_one({"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last",
              "L1::no_allocate"});
  s.take_one({"L2::evict_normal", "L2::evict_first", "L2::evict_last"});
  s.take("L2::cache_hint");
  s.take_one({"L2::64B", "L2::128B", "L2::256B"});
}

void lane_addresses(const Warp& warp, u32 offset, u32 width, i64 addend, u64 out[kLanes]) {
  fill_addresses(warp, offset, width, addend, out);
}

void check_access(Warp& warp, const Instruction& i, const Access& access) {
  check(warp, i, access);
  show(warp, i, access);
}

u64 reach(Warp& warp, const Instruction& i, Space space, AccessKind kind, u32 bytes,
          const u64* address) {
  const Block& block = *warp.block;
  const Launch& launch = *block.launch;
  const u64 base = space == Space::kShared ? reinterpret_cast<u64>(block.shared) : 0;
  if (space == Space::kGeneric) {
    reach_generic(warp, i, kind, bytes, address);
    return 0;
  }
  if (launch.observers.empty()) {
    if (launch.settings->checks == Checks::kOff) return base;
    const KnownRange window = window_of(warp, i, space);
    if (all_inside(address, window.begin, window.end - window.begin, bytes)) return base;
  }
  check_access(warp, i, {space, kind, bytes, warp.mask, address, false});
  return base;
}

}  // namespace emulator
