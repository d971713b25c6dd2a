// Exchange between the lanes of a warp: shfl, vote, match, redux, elect and activemask.
//
// A *.sync instruction waits until all living lanes that its member mask names execute it; the
// masks of partners must be equal. A value taken from a lane that takes no part is undefined in
// PTX; here it is poison (all ones: NaN, -1), so that its use shows in a result.
#include <algorithm>
#include <cstdio>

#include "decode.h"
#include "lanes.h"

namespace emulator {
namespace {

constexpr u32 kPoison = 0xffffffffu;

std::string hex(u32 value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", value);
  return text;
}

// Where the operands of this file's instructions are.
enum Slot { kResult, kValue, kSelect, kClamp, kMembers, kPredicate };

[[noreturn]] void not_in_mask(const Warp& warp, const Instruction& instruction, u32 lane,
                              u32 members) {
  fault(warp, instruction, kIllegalInstruction, lane,
        "the lane is not in its own member mask " + hex(members));
}

/// Gather lanes that name different partners, such as the halves of a warp.
u32 meet_apart(Warp& warp, const Instruction& instruction, const u32* members) {
  each_lane(warp.mask, [&](u32 lane) {
    if (!(members[lane] >> lane & 1)) not_in_mask(warp, instruction, lane, members[lane]);
    each_lane(members[lane] & warp.mask, [&](u32 other) {
      if (members[other] != members[lane])
        fault(warp, instruction, kIllegalInstruction, lane,
              "the member mask is " + hex(members[lane]) + " but lane " + std::to_string(other) +
                  " of it has the mask " + hex(members[other]));
    });
  });
  return gather_lanes(warp, instruction, members);
}

/// Gather the lanes that execute the instruction now; those of `members` they name are among them.
u32 meet(Warp& warp, const Instruction& instruction) {
  const u32* members = warp.row<u32>(instruction.operand[kMembers]);
  const u32 first = members[__builtin_ctz(warp.mask)];
  u32 others = 0;
  for (u32 lane = 0; lane < kLanes; ++lane)
    others |= static_cast<u32>(members[lane] != first) << lane;
  if (others & warp.mask) return meet_apart(warp, instruction, members);
  if (const u32 strangers = warp.mask & ~first)
    not_in_mask(warp, instruction, static_cast<u32>(__builtin_ctz(strangers)), first);
  return gather_lanes(warp, instruction, first);
}

/// Call `lane_result(lane, partners)` for the lanes that are ready and keep what it returns.
template <class LaneResult>
void for_ready(Warp& warp, const Instruction& instruction, LaneResult lane_result) {
  const u32 ready = meet(warp, instruction);
  if (!ready) return;
  const u32* members = warp.row<u32>(instruction.operand[kMembers]);
  each_lane(ready, [&](u32 lane) { lane_result(lane, members[lane] & ready); });
}

void set_bit(u32& word, u32 lane, bool value) {
  word = (word & ~(1u << lane)) | static_cast<u32>(value) << lane;
}

// ---- shfl ---------------------------------------------------------------------------------------

enum class Shuffle { kUp, kDown, kButterfly, kIndex };

template <Shuffle kMode>
void shfl(Warp& warp, const Instruction& instruction) {
  u32 source[kLanes], predicate = warp.predicate(instruction.operand[kPredicate]);
  std::copy_n(warp.row<u32>(instruction.operand[kValue]), kLanes, source);
  const u32* select = warp.row<u32>(instruction.operand[kSelect]);
  const u32* clamp = warp.row<u32>(instruction.operand[kClamp]);
  u32* result = warp.row<u32>(instruction.operand[kResult]);
  for_ready(warp, instruction, [&](u32 lane, u32 partners) {
    const i32 by = select[lane] & 31, bound = clamp[lane] & 31, segment = clamp[lane] >> 8 & 31;
    const i32 self = lane, first = self & segment, last = first | (bound & ~segment);
    i32 from = 0;
    bool inside = false;
    if constexpr (kMode == Shuffle::kUp) {
      from = self - by;
      inside = from >= last;  // for `up` the clamp value is the lowest lane
    } else {
      if constexpr (kMode == Shuffle::kDown) from = self + by;
      if constexpr (kMode == Shuffle::kButterfly) from = self ^ by;
      if constexpr (kMode == Shuffle::kIndex) from = first | (by & ~segment);
      inside = from <= last;
    }
    if (!inside) from = self;
    result[lane] = partners >> from & 1 ? source[from] : kPoison;
    set_bit(predicate, lane, inside);
  });
  warp.predicate(instruction.operand[kPredicate]) = predicate;
}

bool select_shfl(Selection& selection, Instruction& out) {
  const std::string_view mode = selection.take_one({"up", "down", "bfly", "idx"});
  if (!selection.take("sync") || !selection.take("b32") || selection.operands() != 5) return false;
  if (mode == "up") out.execute = shfl<Shuffle::kUp>;
  if (mode == "down") out.execute = shfl<Shuffle::kDown>;
  if (mode == "bfly") out.execute = shfl<Shuffle::kButterfly>;
  if (mode == "idx") out.execute = shfl<Shuffle::kIndex>;
  out.operand[kValue] = selection.source(1, 4);
  out.operand[kSelect] = selection.source(2, 4);
  out.operand[kClamp] = selection.source(3, 4);
  out.operand[kMembers] = selection.source(4, 4);
  out.operand[kResult] = selection.destination(0, 4);
  out.operand[kPredicate] =
      selection.elements(0) == 2 ? selection.destination_predicate(0, 1) : selection.scratch(0);
  return out.execute != nullptr;
}

// ---- vote ---------------------------------------------------------------------------------------

enum class Vote { kAll, kAny, kUniform, kBallot };

template <Vote kMode>
void vote(Warp& warp, const Instruction& instruction) {
  const u32 votes = warp.predicate(instruction.operand[kValue]);
  for_ready(warp, instruction, [&](u32 lane, u32 partners) {
    const u32 yes = votes & partners;
    if constexpr (kMode == Vote::kBallot) {
      warp.row<u32>(instruction.operand[kResult])[lane] = yes;
    } else {
      const bool result = kMode == Vote::kAll   ? yes == partners
                          : kMode == Vote::kAny ? yes != 0
                                                : yes == partners || yes == 0;
      set_bit(warp.predicate(instruction.operand[kResult]), lane, result);
    }
  });
}

bool select_vote(Selection& selection, Instruction& out) {
  const std::string_view mode = selection.take_one({"all", "any", "uni", "ballot"});
  if (!selection.take("sync") || selection.operands() != 3) return false;
  const bool ballot = mode == "ballot";
  if (!selection.take(ballot ? "b32" : "pred")) return false;
  if (mode == "all") out.execute = vote<Vote::kAll>;
  if (mode == "any") out.execute = vote<Vote::kAny>;
  if (mode == "uni") out.execute = vote<Vote::kUniform>;
  if (ballot) out.execute = vote<Vote::kBallot>;
  out.operand[kValue] = selection.source_predicate(1);
  out.operand[kMembers] = selection.source(2, 4);
  out.operand[kResult] = ballot ? selection.destination(0, 4) : selection.destination_predicate(0);
  return out.execute != nullptr;
}

// ---- match --------------------------------------------------------------------------------------

/// The lanes of `partners` whose value is that of `lane`.
template <class Word>
u32 same_value(const Word* values, u32 lane, u32 partners) {
  u32 same = 0;
  for (u32 other = 0; other < kLanes; ++other)
    same |= static_cast<u32>(values[other] == values[lane]) << other;
  return same & partners;
}

template <class Word, bool kAll>
void match(Warp& warp, const Instruction& instruction) {
  Word values[kLanes];
  std::copy_n(warp.row<Word>(instruction.operand[kValue]), kLanes, values);
  u32* result = warp.row<u32>(instruction.operand[kResult]);
  for_ready(warp, instruction, [&](u32 lane, u32 partners) {
    const u32 same = same_value(values, lane, partners);
    result[lane] = !kAll || same == partners ? same : 0;
    if (kAll) set_bit(warp.predicate(instruction.operand[kPredicate]), lane, same == partners);
  });
}

bool select_match(Selection& selection, Instruction& out) {
  const bool all = selection.take("all");
  if (!all && !selection.take("any")) return false;
  const bool wide = selection.take("b64");
  if ((!wide && !selection.take("b32")) || !selection.take("sync") || selection.operands() != 3)
    return false;
  out.execute = wide ? (all ? match<u64, true> : match<u64, false>)
                     : (all ? match<u32, true> : match<u32, false>);
  out.operand[kValue] = selection.source(1, wide ? 8 : 4);
  out.operand[kMembers] = selection.source(2, 4);
  out.operand[kResult] = selection.destination(0, 4);
  out.operand[kPredicate] =
      selection.elements(0) == 2 ? selection.destination_predicate(0, 1) : selection.scratch(0);
  return true;
}

// ---- redux --------------------------------------------------------------------------------------

template <class Word, class Operation>
void redux(Warp& warp, const Instruction& instruction) {
  Word values[kLanes];
  std::copy_n(warp.row<Word>(instruction.operand[kValue]), kLanes, values);
  Word* result = warp.row<Word>(instruction.operand[kResult]);
  for_ready(warp, instruction, [&](u32 lane, u32 partners) {
    Word sum = values[lane];
    for (u32 other = 0; other < kLanes; ++other)
      if (other != lane && (partners >> other & 1)) sum = Operation()(sum, values[other]);
    result[lane] = sum;
  });
}

struct Add {
  u32 operator()(u32 a, u32 b) const { return a + b; }
};
struct Min {
  template <class Word>
  Word operator()(Word a, Word b) const {
    return std::min(a, b);
  }
};
struct Max {
  template <class Word>
  Word operator()(Word a, Word b) const {
    return std::max(a, b);
  }
};
struct And {
  u32 operator()(u32 a, u32 b) const { return a & b; }
};
struct Or {
  u32 operator()(u32 a, u32 b) const { return a | b; }
};
struct Xor {
  u32 operator()(u32 a, u32 b) const { return a ^ b; }
};

bool select_redux(Selection& selection, Instruction& out) {
  const std::string_view mode = selection.take_one({"add", "min", "max", "and", "or", "xor"});
  const Type type = selection.take_type();
  if (!selection.take("sync") || selection.operands() != 3) return false;
  if (type == Type::kB32) {
    if (mode == "and") out.execute = redux<u32, And>;
    if (mode == "or") out.execute = redux<u32, Or>;
    if (mode == "xor") out.execute = redux<u32, Xor>;
  } else if (type == Type::kU32 || type == Type::kS32) {
    const bool with_sign = type == Type::kS32;
    if (mode == "add") out.execute = redux<u32, Add>;
    if (mode == "min") out.execute = with_sign ? redux<i32, Min> : redux<u32, Min>;
    if (mode == "max") out.execute = with_sign ? redux<i32, Max> : redux<u32, Max>;
  }
  out.operand[kValue] = selection.source(1, 4);
  out.operand[kMembers] = selection.source(2, 4);
  out.operand[kResult] = selection.destination(0, 4);
  return out.execute != nullptr;
}

// ---- elect, activemask --------------------------------------------------------------------------

void elect(Warp& warp, const Instruction& instruction) {
  u32* result = warp.row<u32>(instruction.operand[kResult]);
  for_ready(warp, instruction, [&](u32 lane, u32 partners) {
    const u32 leader = static_cast<u32>(__builtin_ctz(partners));
    result[lane] = leader;
    set_bit(warp.predicate(instruction.operand[kPredicate]), lane, lane == leader);
  });
}

bool select_elect(Selection& selection, Instruction& out) {
  if (!selection.take("sync") || selection.operands() != 2 || selection.elements(0) != 2)
    return false;
  out.execute = elect;
  out.operand[kMembers] = selection.source(1, 4);
  out.operand[kResult] = selection.destination(0, 4);
  out.operand[kPredicate] = selection.destination_predicate(0, 1);
  return true;
}

void activemask(Warp& warp, const Instruction& instruction) {
  u32* result = warp.row<u32>(instruction.operand[kResult]);
  each_lane(warp.mask, [&](u32 lane) { result[lane] = warp.mask; });
}

bool select_activemask(Selection& selection, Instruction& out) {
  if (!selection.take("b32") || selection.operands() != 1) return false;
  out.execute = activemask;
  out.operand[kResult] = selection.destination(0, 4);
  return true;
}

}  // namespace

void register_warp() {
  register_opcode("shfl", select_shfl);
  register_opcode("vote", select_vote);
  register_opcode("match", select_match);
  register_opcode("redux", select_redux);
  register_opcode("elect", select_elect);
  register_opcode("activemask", select_activemask);
}

}  // namespace emulator
