// Barriers: bar and barrier of the block, bar.warp.sync of the warp.
#include <bit>
#include <stdexcept>

#include "decode.h"
#include "lanes.h"
#include "schedule.h"

namespace emulator {
namespace {

enum Reduction : u32 { kNone, kAnd, kOr, kCount };

/// operand[0]: barrier, operand[1]: thread count, operand[2]: result, operand[3]: predicate;
/// data[0]: Reduction, data[1]: 1 if the count is given, 2 if it does not wait.
constexpr u32 kCounted = 1, kArrives = 2;

void write_result(Warp& warp, const Group& group, const Instruction& i, const Barrier& barrier) {
  const u32 reduction = i.data[0];
  if (reduction == kNone) return;
  if (reduction == kCount) {
    each_lane(group.mask,
              [&](u32 lane) { warp.row<u32>(i.operand[2])[lane] = barrier.population; });
    return;
  }
  const bool all = barrier.population == barrier.arrived;
  const bool value = reduction == kAnd ? all : barrier.population != 0;
  u32& predicate = warp.predicate(i.operand[2]);
  predicate = value ? predicate | group.mask : predicate & ~group.mask;
}

void release(Block& block, u32 number) {
  for (Observer* observer : block.launch->observers) observer->barrier_releases(block, number);
  Barrier& barrier = block.barriers[number];
  for (Warp& warp : block.warps) {
    for (Group& group : warp.groups) {
      if (group.barrier != number + 1) continue;
      write_result(warp, group, block.launch->program->code[group.pc - 1], barrier);
      group.barrier = 0;
    }
  }
  barrier = {};
}

void arrive(Warp& warp, const Instruction& i, u32 number, u32 mask) {
  Block& block = *warp.block;
  const u32 first = static_cast<u32>(std::countr_zero(mask));
  if (number >= kBarriers) {
    fault(warp, i, kIllegalInstruction, first, "there is no barrier " + std::to_string(number));
  }
  const bool waits = !(i.data[1] & kArrives);
  for (Observer* observer : block.launch->observers) {
    observer->barrier_arrives(warp, i, number, mask, waits);
  }
  Barrier& barrier = block.barriers[number];
  if (i.data[1] & kCounted) {
    const u32 count = warp.row<u32>(i.operand[1])[first];
    if (count == 0 || count % kLanes) {
      fault(warp, i, kIllegalInstruction, first,
            "a barrier's thread count must be a multiple of 32");
    }
    if (barrier.arrived && (barrier.whole || barrier.expected != count)) {
      fault(warp, i, kIllegalInstruction, first,
            "threads give a barrier different counts: " + std::to_string(barrier.expected) +
                " and " + std::to_string(count));
    }
    barrier.expected = count;
  } else {
    if (barrier.arrived && !barrier.whole) {
      fault(warp, i, kIllegalInstruction, first,
            "a barrier that others give a count is met without one");
    }
    barrier.whole = true;
    barrier.expected = block.alive;
  }
  barrier.arrived += static_cast<u32>(std::popcount(mask));
  if (i.data[0] != kNone) {
    barrier.population += static_cast<u32>(std::popcount(mask & warp.predicate(i.operand[3])));
  }
  if (waits) {
    const u32 lanes = warp.mask;
    warp.mask = mask;
    park(warp, warp.pc).barrier = number + 1;
    warp.mask = lanes;
  }
  if (barrier.arrived > barrier.expected) {
    fault(warp, i, kLaunchFailure, first, "more threads arrive at a barrier than it counts");
  }
  if (barrier.arrived == barrier.expected) release(block, number);
}

void block_barrier(Warp& warp, const Instruction& i) {
  const u32* number = warp.row<u32>(i.operand[0]);
  // Lanes may name different barriers.
  for (u32 left = warp.mask; left;) {
    const u32 wanted = number[std::countr_zero(left)];
    u32 same = 0;
    each_lane(left, [&](u32 lane) { same |= (number[lane] == wanted) << lane; });
    left &= ~same;
    arrive(warp, i, wanted, same);
  }
}

/// Lanes may wait for each other at different bar.warp.sync instructions. `lanes` name `members`.
void meet_at(Warp& warp, const Instruction& i, u32 lanes, u32 members) {
  const u32 wanted = members & warp.alive;
  u32 here = lanes;
  for (const Group& group : warp.groups) {
    if (group.meets && (group.waits_for & warp.alive) == wanted) here |= group.mask;
  }
  if (wanted & ~here) {
    const u32 all = warp.mask;
    warp.mask = lanes;
    Group& group = park(warp, i.index);
    group.waits_for = wanted;
    group.meets = true;
    warp.mask = all;
    return;
  }
  for (Observer* observer : warp.block->launch->observers) observer->warp_meets(warp, i, here);
  for (Group& group : warp.groups) {
    if (!group.meets || (group.waits_for & warp.alive) != wanted) continue;
    ++group.pc;
    group.waits_for = 0;
    group.meets = false;
    warp.stop = Stop::kReconsider;
  }
}

void warp_barrier(Warp& warp, const Instruction& i) {
  const u32* members = warp.row<u32>(i.operand[0]);
  for (u32 left = warp.mask; left;) {
    const u32 first = static_cast<u32>(std::countr_zero(left)), wanted = members[first];
    u32 same = 0;
    each_lane(left, [&](u32 lane) { same |= (members[lane] == wanted) << lane; });
    left &= ~same;
    if (same & ~wanted) {
      fault(warp, i, kIllegalInstruction, static_cast<u32>(std::countr_zero(same & ~wanted)),
            "the lane is not in the member mask of its bar.warp.sync");
    }
    meet_at(warp, i, same, wanted);
  }
}

bool select_barrier(Selection& s, Instruction& out) {
  s.take("cta");
  if (s.take("warp")) {
    if (!s.take("sync")) return false;
    out.operand[0] = s.source(0, 4);
    out.execute = warp_barrier;
    return true;
  }
  s.take("aligned");
  size_t next = 0;
  if (s.take("red")) {
    if (s.take("popc")) {
      if (s.take_type() != Type::kU32) return false;
      out.data[0] = kCount;
      out.operand[2] = s.destination(next++, 4);
    } else {
      const bool all = s.take("and");
      if (!all && !s.take("or")) return false;
      if (s.take_type() != Type::kPred) return false;
      out.data[0] = all ? kAnd : kOr;
      out.operand[2] = s.destination_predicate(next++);
    }
  } else if (s.take("arrive")) {
    out.data[1] = kArrives;
  } else if (!s.take("sync")) {
    return false;
  }
  out.operand[0] = s.source(next++, 4);
  const bool counted = s.operands() > next + (out.data[0] != kNone ? 1 : 0);
  if (counted) {
    out.data[1] |= kCounted;
    out.operand[1] = s.source(next++, 4);
  }
  if (out.data[0] != kNone) out.operand[3] = s.source_predicate(next);
  out.execute = block_barrier;
  return true;
}

}  // namespace

void settle_barriers(Block& block) {
  for (u32 number = 0; number < kBarriers; ++number) {
    Barrier& barrier = block.barriers[number];
    if (!barrier.whole) continue;
    barrier.expected = block.alive;
    if (barrier.arrived && barrier.arrived >= block.alive) release(block, number);
  }
}

void register_barriers() {
  register_opcode("bar", select_barrier);
  register_opcode("barrier", select_barrier);
}

}  // namespace emulator
