// Groups of lanes: the group that is furthest behind runs, groups that meet become one.
//
// Functions come before their callers, lower addresses before higher ones. A group that branches
// backward many times while others could run gives way to them, so that a lane may wait for another
// lane of its warp, as from compute capability 7.0 on.
#include "schedule.h"

#include <algorithm>
#include <bit>

#include "decode.h"

namespace emulator {
namespace {

constexpr u32 kPatience = 1000;  // backward branches of a diverged group

u32 depth(const std::shared_ptr<Frame>& frame) { return frame ? frame->depth : 0; }

bool can_run(const Warp& warp, const Group& group) {
  if (group.barrier) return false;
  return (group.waits_for & warp.alive & ~group.mask) == 0;
}

bool goes_before(const Group& a, const Group& b) {
  if (a.rested != b.rested) return b.rested;
  if (depth(a.frame) != depth(b.frame)) return depth(a.frame) > depth(b.frame);
  return a.pc < b.pc;
}

/// Put the running group back among the others.
void shelve(Warp& warp) {
  if (!warp.active) return;
  Group group;
  group.pc = warp.pc;
  group.mask = warp.active;
  group.frame = std::move(warp.frame);
  group.rested = warp.backward >= kPatience;
  if (group.rested) warp.backward = 0;
  warp.groups.push_back(std::move(group));
  warp.active = 0;
  warp.frame = nullptr;
}

void merge(Warp& warp) {
  auto& groups = warp.groups;
  for (size_t i = 0; i < groups.size(); ++i) {
    for (size_t k = i + 1; k < groups.size();) {
      // Lanes that come to a *.sync where others wait execute it together with them.
      const bool same = groups[i].pc == groups[k].pc && groups[i].frame == groups[k].frame &&
                        !groups[i].barrier && !groups[k].barrier &&
                        !(groups[i].waits_for && groups[k].waits_for);
      if (!same) {
        ++k;
        continue;
      }
      groups[i].mask |= groups[k].mask;
      groups[i].waits_for = 0;
      groups[i].meets = false;
      groups[i].rested = groups[i].rested && groups[k].rested;
      groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(k));
    }
  }
}

/// Choose the group to run next. False if all wait.
bool choose(Warp& warp) {
  shelve(warp);
  merge(warp);
  auto& groups = warp.groups;
  auto best = groups.end();
  for (auto it = groups.begin(); it != groups.end(); ++it) {
    if (can_run(warp, *it) && (best == groups.end() || goes_before(*it, *best))) best = it;
  }
  warp.stop = Stop::kNo;
  if (best == groups.end()) {
    warp.stop = Stop::kBlocked;
    return false;
  }
  if (best->rested) {
    for (Group& group : groups) group.rested = false;
  }
  warp.pc = best->pc;
  warp.active = best->mask;
  warp.frame = std::move(best->frame);
  groups.erase(best);
  warp.limit = kAllLanes;
  for (const Group& group : groups) {
    // A group at a lower address can only be met after a branch, which reconsiders.
    if (!group.barrier && group.pc > warp.pc) warp.limit = std::min(warp.limit, group.pc);
  }
  return true;
}

template <bool observed>
void execute(Warp& warp, u64 until) {
  const Instruction* code = warp.block->launch->program->code.data();
  while (warp.executed < until && warp.stop == Stop::kNo && warp.pc < warp.limit) {
    const Instruction& instruction = code[warp.pc++];
    ++warp.executed;
    const u32 mask = warp.active & (warp.predicate(instruction.guard) ^ instruction.guard_flip);
    if (!mask) {
      if constexpr (observed) {
        for (Observer* observer : warp.block->launch->observers) {
          observer->skipped(warp, instruction);
        }
      }
      continue;
    }
    warp.mask = mask;
    warp.lanes_executed += static_cast<u64>(std::popcount(mask));
    if constexpr (observed) {
      for (Observer* observer : warp.block->launch->observers) {
        observer->instruction(warp, instruction);
      }
    }
    instruction.execute(warp, instruction);
  }
}

}  // namespace

bool run_warp(Warp& warp, u64 budget) {
  const u64 before = warp.executed, until = before + budget;
  const bool observed = !warp.block->launch->observers.empty();
  while (warp.executed < until && warp.alive) {
    const bool diverged = !warp.groups.empty();
    if (warp.stop != Stop::kNo || !warp.active || (diverged && warp.pc >= warp.limit)) {
      if (!choose(warp)) break;
    }
    observed ? execute<true>(warp, until) : execute<false>(warp, until);
    if (!warp.active && warp.groups.empty()) break;
  }
  return warp.executed != before;
}

Group& park(Warp& warp, u32 pc) {
  Group group;
  group.pc = pc;
  group.mask = warp.mask;
  group.frame = warp.frame;
  warp.active &= ~warp.mask;
  warp.groups.push_back(std::move(group));
  warp.stop = Stop::kReconsider;
  return warp.groups.back();
}

void branch(Warp& warp, u32 taken, u32 target) {
  const bool backward = target < warp.pc;
  if (taken == warp.active) {
    warp.pc = target;
    if (warp.groups.empty()) return;
    warp.stop = Stop::kReconsider;
    if (backward) ++warp.backward;
    return;
  }
  const u32 rest = warp.active & ~taken;
  Group group;
  group.pc = target;
  group.mask = taken;
  group.frame = warp.frame;
  warp.groups.push_back(std::move(group));
  warp.active = rest;
  warp.stop = Stop::kReconsider;
}

u32 gather_lanes(Warp& warp, const Instruction& instruction, const u32* members) {
  const u32 here = warp.mask;
  u32 ready = 0;
  for (u32 left = here; left;) {
    const u32 lane = static_cast<u32>(std::countr_zero(left));
    const u32 wanted = members[lane];
    u32 same = 0;
    for (u32 rest = left; rest; rest &= rest - 1) {
      const u32 other = static_cast<u32>(std::countr_zero(rest));
      if (members[other] == wanted) same |= 1u << other;
    }
    left &= ~same;
    if ((wanted & warp.alive & ~same) == 0) {
      ready |= same;
      continue;
    }
    // One group for all that wait here: `merge` would make one of them anyway.
    warp.mask = same;
    park(warp, instruction.index).waits_for = wanted;
  }
  warp.mask = ready;
  return ready;
}

u32 gather_lanes(Warp& warp, const Instruction& instruction, u32 members) {
  if ((members & warp.alive & ~warp.mask) == 0) return warp.mask;
  park(warp, instruction.index).waits_for = members;
  warp.mask = 0;
  return 0;
}

void exit_lanes(Warp& warp, const Instruction& instruction) {
  Block& block = *warp.block;
  for (Observer* observer : block.launch->observers) {
    observer->lanes_exit(warp, instruction, warp.mask);
  }
  warp.active &= ~warp.mask;
  warp.alive &= ~warp.mask;
  block.alive -= static_cast<u32>(std::popcount(warp.mask));
  if (!warp.active) warp.stop = Stop::kReconsider;
  settle_barriers(block);
}

std::string describe_waits(const Block& block) {
  std::string text;
  const Program& program = *block.launch->program;
  for (const Warp& warp : block.warps) {
    for (const Group& group : warp.groups) {
      const u32 pc = group.barrier ? group.pc - 1 : group.pc;
      const Instruction& instruction = program.code[std::min<size_t>(pc, program.code.size() - 1)];
      const u32 lane = static_cast<u32>(std::countr_zero(group.mask));
      text += "\n  " + std::to_string(std::popcount(group.mask)) +
              " threads wait: " + place(warp, instruction, lane);
    }
  }
  return text;
}

}  // namespace emulator
