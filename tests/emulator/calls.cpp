// Calls of device functions and returns from them.
//
// Parameters of functions are rows of the register file with the bytes of the parameter a lane. A
// function has one set of rows; a call of a function that is already on the stack saves them.
#include "calls.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "decode.h"
#include "lanes.h"
#include "schedule.h"

namespace emulator {
namespace {

constexpr u32 kDeepest = 500;

bool on_stack(const Warp& warp, u32 entry) {
  for (const Frame* frame = warp.frame.get(); frame; frame = frame->parent.get()) {
    if (frame->function == entry) return true;
  }
  return false;
}

size_t row_bytes(const Rows& row) { return row.bytes ? row.bytes * kLanes : sizeof(u32); }

void save_rows(const Warp& warp, const Entry& entry, Frame& frame) {
  for (const Rows& row : entry.rows) {
    const std::byte* from = warp.registers + row.begin;
    frame.saved.insert(frame.saved.end(), from, from + row_bytes(row));
  }
}

void restore_rows(Warp& warp, const Entry& entry, const Frame& frame, u32 lanes) {
  const std::byte* from = frame.saved.data();
  for (const Rows& row : entry.rows) {
    if (row.bytes == 0) {
      u32 bits;
      std::memcpy(&bits, from, sizeof bits);
      u32& predicate = warp.predicate(row.begin);
      predicate = (predicate & ~lanes) | (bits & lanes);
    } else {
      each_lane(lanes, [&](u32 lane) {
        std::memcpy(warp.registers + row.begin + lane * row.bytes, from + lane * row.bytes,
                    row.bytes);
      });
    }
    from += row_bytes(row);
  }
}

/// `moves`: how many, then {to, from, bytes} of each. Copies for the lanes in `lanes`.
void move_rows(Warp& warp, const u32* moves, u32 lanes) {
  for (u32 k = 0; k < moves[0]; ++k) {
    const u32 to = moves[1 + 3 * k], from = moves[2 + 3 * k], bytes = moves[3 + 3 * k];
    each_lane(lanes, [&](u32 lane) {
      std::memcpy(warp.registers + to + lane * bytes, warp.registers + from + lane * bytes, bytes);
    });
  }
}

/// Give each lane's call its part of local memory, behind the caller's.
void push_local(Warp& warp, const Instruction& i, const Entry& entry) {
  const Program& program = *warp.block->launch->program;
  const Entry& caller = program.entries[warp.frame ? warp.frame->function : 0];
  u64* local = warp.row<u64>(entry.local_row);
  const u64* top = warp.row<u64>(caller.local_row);
  const Block& block = *warp.block;
  each_lane(warp.mask, [&](u32 lane) {
    const u64 thread = warp.index * kLanes + lane;
    const u64 end = reinterpret_cast<u64>(block.local) + (thread + 1) * block.local_bytes;
    local[lane] = top[lane] + caller.local_bytes;
    if (local[lane] + entry.local_bytes > end) {
      fault(warp, i, kIllegalAddress, lane, "the stack is full");
    }
  });
}

/// `lists`: moves of the arguments, then moves of the results.
void call_entry(Warp& warp, const Instruction& i, u32 index, const u32* lists) {
  const Entry& entry = warp.block->launch->program->entries[index];
  auto frame = std::make_shared<Frame>();
  frame->function = index;
  frame->back = warp.pc;
  frame->depth = warp.frame ? warp.frame->depth + 1 : 1;
  frame->results = lists + 1 + 3 * lists[0];
  frame->parent = warp.frame;
  if (frame->depth > kDeepest) {
    const u32 first = static_cast<u32>(std::countr_zero(warp.mask));
    fault(warp, i, kIllegalAddress, first, "the call stack is too deep");
  }
  if (on_stack(warp, index)) save_rows(warp, entry, *frame);
  move_rows(warp, lists, warp.mask);
  push_local(warp, i, entry);
  park(warp, entry.start).frame = frame;
}

void call(Warp& warp, const Instruction& i) { call_entry(warp, i, i.data[0], i.list); }

/// operand[0]: function handle; list[entry]: where the lists of that callee start in `list`.
void call_indirect(Warp& warp, const Instruction& i) {
  const Program& program = *warp.block->launch->program;
  const u64* handle = warp.row<u64>(i.operand[0]);
  const u32 first = static_cast<u32>(std::countr_zero(warp.mask));
  const auto found = program.handles.find(handle[first]);
  if (found == program.handles.end() || found->second == 0 || !i.list[found->second]) {
    fault(warp, i, kIllegalInstruction, first, "no function of this kind has this address");
  }
  u32 same = 0;
  each_lane(warp.mask, [&](u32 lane) { same |= u32{handle[lane] == handle[first]} << lane; });
  if (same != warp.mask) {
    // The others execute the instruction again.
    warp.mask &= ~same;
    park(warp, i.index);
    warp.mask = same;
  }
  call_entry(warp, i, found->second, i.list + i.list[found->second]);
}

void return_lanes(Warp& warp, const Instruction& i) {
  if (!warp.frame) return exit_lanes(warp, i);
  const std::shared_ptr<Frame> frame = warp.frame;
  const u32* results = frame->results;
  const Entry& entry = warp.block->launch->program->entries[frame->function];
  if (frame->saved.empty()) {
    move_rows(warp, results, warp.mask);
  } else {
    // The result's row is among those that come back.
    std::vector<std::byte> kept;
    for (u32 k = 0; k < results[0]; ++k) {
      const std::byte* from = warp.registers + results[2 + 3 * k];
      kept.insert(kept.end(), from, from + results[3 + 3 * k] * kLanes);
    }
    restore_rows(warp, entry, *frame, warp.mask);
    const std::byte* from = kept.data();
    for (u32 k = 0; k < results[0]; ++k) {
      const u32 to = results[1 + 3 * k], bytes = results[3 + 3 * k];
      each_lane(warp.mask, [&](u32 lane) {
        std::memcpy(warp.registers + to + lane * bytes, from + lane * bytes, bytes);
      });
      from += bytes * kLanes;
    }
  }
  park(warp, frame->back).frame = frame->parent;
}

// ---- Selection ----------------------------------------------------------------------------------

/// Where the parts of a call stand: `call (results), callee, (arguments), prototype`.
struct Parts {
  size_t result_count = 0, argument_count = 0;
  size_t results = 0, callee = 0, arguments = 0;
};

Parts parts_of(const Statement& statement) {
  Parts parts;
  const auto& operands = statement.operands;
  if (!operands.empty() && operands[0].kind == Operand::kVector) {
    parts.result_count = operands[0].elements.size();
    parts.callee = 1;
  }
  const size_t next = parts.callee + 1;
  if (next < operands.size() && operands[next].kind == Operand::kVector) {
    parts.argument_count = operands[next].elements.size();
    parts.arguments = next;
  }
  return parts;
}

void append_moves(std::vector<u32>& list, Selection& s, const Parts& parts, u32 entry) {
  const std::vector<u32> arguments = s.argument_rows(entry);
  const std::vector<u32> results = s.return_rows(entry);
  list.push_back(static_cast<u32>(std::min(parts.argument_count, arguments.size())));
  for (size_t k = 0; k < parts.argument_count && k < arguments.size(); ++k) {
    list.insert(list.end(), {arguments[k], s.parameter(parts.arguments, k),
                             s.parameter_bytes(parts.arguments, k)});
  }
  list.push_back(static_cast<u32>(std::min(parts.result_count, results.size())));
  for (size_t k = 0; k < parts.result_count && k < results.size(); ++k) {
    list.insert(list.end(),
                {s.parameter(parts.results, k), results[k], s.parameter_bytes(parts.results, k)});
  }
}

bool select_indirect(Selection& s, const Parts& parts, Instruction& out) {
  const u32 entries = s.entries();
  std::vector<u32> list(entries, 0);
  for (u32 entry = 1; entry < entries; ++entry) {
    if (s.argument_rows(entry).size() != parts.argument_count) continue;
    if (s.return_rows(entry).size() != parts.result_count) continue;
    list[entry] = static_cast<u32>(list.size());
    append_moves(list, s, parts, entry);
  }
  out.operand[0] = s.source(parts.callee, 8);
  out.list = s.keep(std::move(list));
  out.execute = call_indirect;
  return true;
}

bool select_call(Selection& s, Instruction& out) {
  s.take("uni");
  const Parts parts = parts_of(s.statement());
  const Operand& callee = s.statement().operands.at(parts.callee);
  if (callee.kind == Operand::kRegister) return select_indirect(s, parts, out);
  if (const Handler handler = builtin_function(callee.name)) {
    out.execute = handler;
    out.operand[0] = parts.result_count ? s.parameter(parts.results) : s.scratch(8);
    for (size_t k = 0; k < std::min<size_t>(parts.argument_count, 5); ++k) {
      out.operand[1 + k] = s.parameter(parts.arguments, k);
    }
    return true;
  }
  const u32 entry = s.entry(parts.callee);
  std::vector<u32> list;
  append_moves(list, s, parts, entry);
  out.data[0] = entry;
  out.list = s.keep(std::move(list));
  out.execute = call;
  return true;
}

bool select_return(Selection& s, Instruction& out) {
  s.take("uni");
  out.execute = return_lanes;
  return true;
}

}  // namespace

void register_calls() {
  register_opcode("call", select_call);
  register_opcode("ret", select_return);
}

}  // namespace emulator
