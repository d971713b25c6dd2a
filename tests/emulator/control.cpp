// Branches, exits, fences and other instructions without a result.
#include <bit>

#include "decode.h"
#include "lanes.h"
#include "schedule.h"

namespace emulator {
namespace {

void nothing(Warp&, const Instruction&) {}

void jump(Warp& warp, const Instruction& i) { branch(warp, warp.mask, i.target); }

/// operand[0]: index; list: targets; data[0]: their number.
void jump_by_table(Warp& warp, const Instruction& i) {
  const u32* index = warp.row<u32>(i.operand[0]);
  const u32 first = static_cast<u32>(std::countr_zero(warp.mask));
  u32 same = 0;
  each_lane(warp.mask, [&](u32 lane) { same |= (index[lane] == index[first]) << lane; });
  if (index[first] >= i.data[0]) {
    fault(warp, i, kIllegalInstruction, first,
          "brx.idx has no target " + std::to_string(index[first]));
  }
  if (same != warp.mask) {
    // The others execute the instruction again.
    const u32 lanes = warp.mask;
    warp.mask &= ~same;
    park(warp, i.index);
    warp.mask = lanes & same;
  }
  branch(warp, same, i.list[index[first]]);
}

void leave(Warp& warp, const Instruction& i) { exit_lanes(warp, i); }

void trap(Warp& warp, const Instruction& i) {
  fault(warp, i, kLaunchFailure, static_cast<u32>(std::countr_zero(warp.mask)), "trap");
}

void sleep(Warp& warp, const Instruction&) {
  // Whoever sleeps waits for somebody: give way.
  if (!warp.groups.empty()) {
    warp.backward += 100;
    warp.stop = Stop::kReconsider;
  }
}

bool select_branch(Selection& s, Instruction& out) {
  s.take("uni");
  out.target = s.label(0);
  out.execute = jump;
  return true;
}

bool select_table(Selection& s, Instruction& out) {
  if (!s.take("idx")) return false;
  s.take("uni");
  out.operand[0] = s.source(0, 4);
  out.list = s.labels(1, out.data[0]);
  out.execute = jump_by_table;
  return true;
}

bool select_exit(Selection&, Instruction& out) {
  out.execute = leave;
  return true;
}

bool select_trap(Selection&, Instruction& out) {
  out.execute = trap;
  return true;
}

/// Memory is in order here, and full checks look only at barriers.
bool select_fence(Selection& s, Instruction& out) {
  s.take_one({"cta", "gl", "sys", "gpu", "cluster"});
  s.take_one({"acq_rel", "sc", "acquire", "release"});
  s.take_one({"cta", "gl", "sys", "gpu", "cluster"});
  if (s.take("proxy")) {
    s.take_one({"alias", "async", "async.global", "tensormap::generic"});
    s.take_one({"global", "shared", "shared::cta", "shared::cluster"});
  }
  s.take("mbarrier_init");
  out.execute = nothing;
  return true;
}

bool select_sleep(Selection& s, Instruction& out) {
  if (s.take_type() != Type::kU32) return false;
  out.execute = sleep;
  return true;
}

/// Hints: prefetches, performance events, dependent launches, register counts.
bool select_hint(Selection& s, Instruction& out) {
  while (!s.left().empty()) s.take(s.left().front());
  out.execute = nothing;
  return true;
}

/// A cache policy is a word that loads and stores ignore.
void write_policy(Warp& warp, const Instruction& i) {
  each_lane(warp.mask, [&](u32 lane) { warp.row<u64>(i.operand[0])[lane] = 0; });
}

bool select_policy(Selection& s, Instruction& out) {
  select_hint(s, out);
  out.operand[0] = s.destination(0, 8);
  out.execute = write_policy;
  return true;
}

}  // namespace

void register_control() {
  register_opcode("bra", select_branch);
  register_opcode("brx", select_table);
  register_opcode("exit", select_exit);
  register_opcode("trap", select_trap);
  register_opcode("brkpt", select_trap);
  register_opcode("membar", select_fence);
  register_opcode("fence", select_fence);
  register_opcode("nanosleep", select_sleep);
  register_opcode("prefetch", select_hint);
  register_opcode("prefetchu", select_hint);
  register_opcode("applypriority", select_hint);
  register_opcode("pmevent", select_hint);
  register_opcode("griddepcontrol", select_hint);
  register_opcode("setmaxnreg", select_hint);
  register_opcode("createpolicy", select_policy);
}

}  // namespace emulator
