// Copies from global to shared memory that go on beside the thread: cp.async, its groups and waits.
//
// In full mode the destination is poisoned (all ones) when a copy begins, and the bytes arrive only
// at the wait that covers the copy, so that a read before the wait sees poison. In the other modes
// they arrive at once.
#include <algorithm>
#include <cstring>

#include "lanes.h"
#include "tensor.h"

namespace emulator {
namespace {

// operand: shared address, global address, bytes to take or the predicate that means none.
// data[0]: bytes at the destination. data[1]: see below.
enum Slot { kTo, kFrom, kTaken };
constexpr u32 kWideTo = 1, kWideFrom = 2, kHasSize = 4, kHasIgnore = 8;

bool lands_at_wait(const Warp& warp) {
  return warp.block->launch->settings->checks == Checks::kFull;
}

void land(Warp& warp, const AsyncCopy& copy) {
  std::byte* to = warp.block->shared + copy.to;
  std::memcpy(to, reinterpret_cast<const std::byte*>(copy.from), copy.copied);
  std::memset(to + copy.copied, 0, copy.bytes - copy.copied);
}

/// Show reads of the source to the checks: lanes that take the same number of bytes together.
void check_source(Warp& warp, const Instruction& instruction, const u64* from, const u32* taken) {
  const u32 bytes = instruction.data[0];
  Access access;
  access.kind = AccessKind::kLoad;
  access.asynchronous = true;
  u32 left = 0;
  each_lane(warp.mask, [&](u32 lane) {
    if (!taken[lane]) return;
    if (from[lane] % bytes)
      fault(warp, instruction, kMisalignedAddress, lane,
            "the source of a copy of " + std::to_string(bytes) + " bytes is not aligned to them");
    left |= 1u << lane;
  });
  while (left) {
    const u32 most = taken[__builtin_ctz(left)];
    access.mask = 0;
    each_lane(left,
              [&](u32 lane) { access.mask |= static_cast<u32>(taken[lane] == most) << lane; });
    left &= ~access.mask;
    // A source of 12 bytes, say, is three accesses of 4.
    access.bytes = most & (0 - most);
    u64 part[kLanes];
    access.address = part;
    for (u32 done = 0; done < most; done += access.bytes) {
      for (u32 lane = 0; lane < kLanes; ++lane) part[lane] = from[lane] + done;
      check_access(warp, instruction, access);
    }
  }
}

void begin_copies(Warp& warp, const Instruction& instruction) {
  const u32 bytes = instruction.data[0], form = instruction.data[1];
  u64 to[kLanes], from[kLanes];
  u32 taken[kLanes];
  lane_addresses(warp, instruction.operand[kTo], form & kWideTo ? 8 : 4, instruction.addend[0], to);
  lane_addresses(warp, instruction.operand[kFrom], form & kWideFrom ? 8 : 4, instruction.addend[1],
                 from);
  each_lane(warp.mask, [&](u32 lane) {
    taken[lane] = bytes;
    if (form & kHasSize) taken[lane] = warp.row<u32>(instruction.operand[kTaken])[lane];
    if (form & kHasIgnore && (warp.predicate(instruction.operand[kTaken]) >> lane & 1))
      taken[lane] = 0;
    if (taken[lane] > bytes)
      fault(warp, instruction, kIllegalInstruction, lane,
            "the source size " + std::to_string(taken[lane]) + " is above the copy's " +
                std::to_string(bytes) + " bytes");
  });
  check_source(warp, instruction, from, taken);
  Access access;
  access.space = Space::kShared;
  access.kind = AccessKind::kStore;
  access.bytes = bytes;
  access.mask = warp.mask;
  access.address = to;
  access.asynchronous = true;
  check_access(warp, instruction, access);

  const bool later = lands_at_wait(warp);
  each_lane(warp.mask, [&](u32 lane) {
    AsyncCopy copy;
    copy.from = from[lane];
    copy.to = static_cast<u32>(to[lane]);
    copy.bytes = bytes;
    copy.copied = taken[lane];
    copy.lane = lane;
    copy.group = warp.copies.commits[lane];
    copy.instruction = &instruction;
    if (later) {
      std::memset(warp.block->shared + copy.to, 0xff, bytes);
      warp.copies.pending.push_back(copy);
    } else {
      land(warp, copy);
    }
  });
}

/// Land the copies of `warp.mask` for which `is_covered` holds.
template <class IsCovered>
void land_covered(Warp& warp, const Instruction& wait, IsCovered is_covered) {
  auto& pending = warp.copies.pending;
  const auto done = std::stable_partition(
      pending.begin(), pending.end(),
      [&](const AsyncCopy& copy) { return !(warp.mask >> copy.lane & 1) || !is_covered(copy); });
  for (auto copy = done; copy != pending.end(); ++copy) {
    for (Observer* observer : warp.block->launch->observers)
      observer->copy_lands(warp, wait, *copy);
    land(warp, *copy);
  }
  pending.erase(done, pending.end());
}

void commit_group(Warp& warp, const Instruction&) {
  each_lane(warp.mask, [&](u32 lane) { ++warp.copies.commits[lane]; });
}

/// Wait until at most data[0] groups, the youngest, are on their way.
void wait_group(Warp& warp, const Instruction& instruction) {
  if (warp.copies.pending.empty()) return;
  land_covered(warp, instruction, [&](const AsyncCopy& copy) {
    return u64{copy.group} + instruction.data[0] < warp.copies.commits[copy.lane];
  });
}

void wait_all(Warp& warp, const Instruction& instruction) {
  land_covered(warp, instruction, [](const AsyncCopy&) { return true; });
  commit_group(warp, instruction);
}

bool select_copy(Selection& selection, Instruction& out) {
  const bool all_levels = selection.take("ca");
  if (!all_levels && !selection.take("cg")) return false;
  if (!selection.take("shared") && !selection.take("shared::cta")) return false;
  if (!selection.take("global")) return false;
  selection.take_one({"L2::64B", "L2::128B", "L2::256B"});
  size_t operands = selection.operands();
  if (selection.take("L2::cache_hint")) --operands;  // the last one is the policy
  if (operands != 3 && operands != 4) return false;
  out.execute = begin_copies;
  out.operand[kTo] = selection.address(0);
  out.operand[kFrom] = selection.address(1);
  out.addend = {selection.addend(0), selection.addend(1)};
  const u64 bytes = selection.immediate(2);
  if (bytes != 16 && (!all_levels || (bytes != 4 && bytes != 8))) return false;
  out.data[0] = static_cast<u32>(bytes);
  if (selection.address_width(0) == 8) out.data[1] |= kWideTo;
  if (selection.address_width(1) == 8) out.data[1] |= kWideFrom;
  if (operands == 4 && (selection.is_immediate(3) || selection.width(3) == 4)) {
    out.data[1] |= kHasSize;
    out.operand[kTaken] = selection.source(3, 4);
  } else if (operands == 4) {
    out.data[1] |= kHasIgnore;
    out.operand[kTaken] = selection.source_predicate(3);
  }
  return true;
}

bool select_cp(Selection& selection, Instruction& out) {
  if (!selection.take("async")) return false;
  if (selection.take("commit_group")) {
    out.execute = commit_group;
    return selection.operands() == 0;
  }
  if (selection.take("wait_all")) {
    out.execute = wait_all;
    return selection.operands() == 0;
  }
  if (selection.take("wait_group")) {
    out.execute = wait_group;
    if (selection.operands() != 1) return false;
    out.data[0] = static_cast<u32>(selection.immediate(0));
    return true;
  }
  return select_copy(selection, out);
}

}  // namespace

void take_all_bytes(Instruction& instruction) { instruction.data[1] &= ~(kHasSize | kHasIgnore); }

void register_async_copies() { register_opcode("cp", select_cp); }

}  // namespace emulator
