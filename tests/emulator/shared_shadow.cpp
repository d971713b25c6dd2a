#include "shared_shadow.h"

#include <algorithm>
#include <utility>

namespace emulator {

SharedShadow::SharedShadow(u32 bytes) : cells_((bytes + 3) / 4 * 4), split_((bytes + 3) / 4) {}

void SharedShadow::clear() {
  std::fill(cells_.begin(), cells_.end(), Cell{});
  std::fill(split_.begin(), split_.end(), u8{0});
}

/// Call `visit(cell, offset)` for the cells of [offset, offset + bytes) until it returns false.
template <class Visit>
void SharedShadow::for_cells(u32 offset, u32 bytes, bool writes, Visit visit) {
  const u32 end = offset + bytes;
  for (u32 word = offset / 4; word * 4 < end; ++word) {
    const u32 first = std::max(offset, word * 4), last = std::min(end, word * 4 + 4);
    Cell* cell = &cells_[word * 4];
    const bool whole = last - first == 4;
    if (whole && !split_[word]) {
      if (!visit(*cell, first)) return;
      continue;
    }
    if (!split_[word]) std::fill(cell + 1, cell + 4, *cell);
    split_[word] = 1;
    for (u32 byte = first; byte < last; ++byte)
      if (!visit(cells_[byte], byte)) return;
    if (whole && writes) split_[word] = 0;  // a write leaves the same in all four
  }
}

SharedShadow::Finding SharedShadow::check(const ThreadOrder& order, const Cell& cell,
                                          const Touch& touch) {
  const Write& write = cell.write;
  Finding finding;
  finding.thread = write.thread;
  finding.instruction = write.instruction;
  finding.wrote = true;
  if (write.in_flight) {
    finding.trouble = Trouble::kInFlight;
    return finding;
  }
  if (touch.reads && !write.initialised) {
    finding.trouble = Trouble::kUninitialised;
    return finding;
  }
  if (!(touch.strong && write.strong) &&
      !order.is_ordered(write.stamp, write.thread, touch.thread)) {
    finding.trouble = Trouble::kRace;
    return finding;
  }
  if (!touch.writes) return finding;
  for (const Read& read : cell.read) {
    if (order.is_settled(read.stamp) || (touch.strong && read.strong)) continue;
    for (u32 lanes = read.lanes; lanes; lanes &= lanes - 1) {
      const u32 reader = read.warp * kLanes + static_cast<u32>(__builtin_ctz(lanes));
      if (order.is_ordered(read.stamp, reader, touch.thread)) continue;
      finding.trouble = Trouble::kRace;
      finding.thread = reader;
      finding.instruction = read.instruction;
      finding.wrote = false;
      return finding;
    }
  }
  return finding;
}

void SharedShadow::remember(u32 stamp, Cell& cell, const Touch& touch) {
  if (touch.writes) {
    cell = {};
    cell.write.stamp = stamp;
    cell.write.instruction = touch.instruction;
    cell.write.thread = static_cast<u16>(touch.thread);
    cell.write.strong = touch.strong;
    cell.write.initialised = true;
    cell.write.in_flight = touch.in_flight;
    return;
  }
  const u16 warp = static_cast<u16>(touch.thread / kLanes);
  const u32 lane = 1u << touch.thread % kLanes;
  Read* slot = cell.read[0].warp == warp && cell.read[0].lanes ? &cell.read[0] : &cell.read[1];
  if (slot->lanes && slot->warp == warp && slot->stamp == stamp && slot->strong == touch.strong) {
    slot->lanes |= lane;
    return;
  }
  if (slot == &cell.read[1] && slot->warp != warp) std::swap(cell.read[0], cell.read[1]);
  *slot = {stamp, touch.instruction, lane, warp, touch.strong};
}

SharedShadow::Finding SharedShadow::touch(const ThreadOrder& order, u32 offset, u32 bytes,
                                          const Touch& touch) {
  Finding finding;
  for_cells(offset, bytes, touch.writes, [&](Cell& cell, u32 at) {
    finding = check(order, cell, touch);
    if (finding.trouble != Trouble::kNone) {
      finding.offset = at;
      return false;
    }
    remember(order.now(), cell, touch);
    return true;
  });
  return finding;
}

void SharedShadow::land(const ThreadOrder& order, u32 offset, u32 bytes, u32 thread,
                        u32 instruction) {
  Touch touch;
  touch.thread = thread;
  touch.instruction = instruction;
  touch.writes = true;
  for_cells(offset, bytes, true, [&](Cell& cell, u32) {
    remember(order.now(), cell, touch);
    return true;
  });
}

}  // namespace emulator
