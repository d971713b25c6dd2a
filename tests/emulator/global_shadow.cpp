#include "global_shadow.h"

#include <algorithm>

namespace emulator {
namespace {

void join(std::vector<u32>& into, const std::vector<u32>& from) {
  into.resize(std::max(into.size(), from.size()));
  for (size_t i = 0; i < from.size(); ++i) into[i] = std::max(into[i], from[i]);
}

}  // namespace

void GlobalShadow::fence(u64 block) {
  Seen& fenced = fenced_[block];
  fenced.resize(blocks_);
  if (const auto seen = seen_.find(block); seen != seen_.end()) join(fenced, seen->second);
  fenced[block] = now_++;
}

/// Carry what is visible from the block that writes to the one that reads.
void GlobalShadow::order(u64 address, const Touch& touch) {
  if (touch.reads)
    if (const auto from = released_.find(address); from != released_.end())
      join(seen_[touch.block], from->second);
  if (!touch.writes) return;
  if (touch.releases) fence(touch.block);
  if (const auto fenced = fenced_.find(touch.block); fenced != fenced_.end())
    join(released_[address], fenced->second);
}

bool GlobalShadow::is_ordered(const Mark& mark, const Touch& touch) const {
  if (!mark.stamp) return true;
  const u64 block = touch.block;
  if (mark.block == block &&
      !touch.order->is_ordered(mark.stamp_in_block, mark.thread, touch.thread))
    return false;
  if (mark.block == block && !mark.many) return true;
  const auto found = seen_.find(block);
  if (found == seen_.end()) return false;
  const Seen& seen = found->second;
  if (!mark.many) return seen[mark.block] >= mark.stamp;
  for (u64 other = 0; other < blocks_; ++other)
    if (other != block && seen[other] < mark.stamp) return false;
  return true;
}

bool GlobalShadow::check(const Cell& cell, const Touch& touch, Finding& finding) const {
  const auto conflicts = [&](const Mark& mark, bool wrote) {
    if ((touch.strong && mark.strong) || is_ordered(mark, touch)) return false;
    finding.race = true;
    finding.block = mark.block;
    finding.thread = mark.thread;
    finding.instruction = mark.instruction;
    finding.wrote = wrote;
    return true;
  };
  return conflicts(cell.write, true) || (touch.writes && conflicts(cell.read, false));
}

void GlobalShadow::remember(Cell& cell, const Touch& touch) const {
  Mark mark;
  mark.stamp = now_;
  mark.instruction = touch.instruction;
  mark.block = static_cast<u32>(touch.block);
  mark.thread = touch.thread;
  mark.stamp_in_block = touch.order->now();
  mark.strong = touch.strong;
  if (touch.writes) {
    cell = {};
    cell.write = mark;
    return;
  }
  mark.many = cell.read.stamp && (cell.read.many || cell.read.block != touch.block);
  mark.strong = mark.strong && (!cell.read.stamp || cell.read.strong);
  cell.read = mark;
}

GlobalShadow::Page& GlobalShadow::page(u64 address) {
  if (address / kPage != last_number_) {
    last_number_ = address / kPage;
    last_page_ = &pages_[last_number_];
  }
  return *last_page_;
}

GlobalShadow::Finding GlobalShadow::touch(u64 address, u32 bytes, const Touch& touch) {
  Finding finding;
  if (touch.strong) order(address, touch);
  const u64 end = address + bytes;
  const auto visit = [&](Cell& cell, u64 at) {
    if (check(cell, touch, finding)) {
      finding.address = at;
      return false;
    }
    remember(cell, touch);
    return true;
  };
  for (u64 word = address / 4 * 4; word < end; word += 4) {
    const u64 first = std::max(address, word), last = std::min(end, word + 4);
    Page& here = page(word);
    const size_t index = word % kPage / 4;
    const bool whole = last - first == 4;
    if (whole && (here.split.empty() || !here.split[index])) {
      if (!visit(here.words[index], first)) return finding;
      continue;
    }
    if (here.split.empty()) {
      here.split.resize(kPage / 4);
      here.bytes.resize(kPage);
    }
    if (!here.split[index])
      std::fill_n(here.bytes.begin() + static_cast<std::ptrdiff_t>(4 * index), 4,
                  here.words[index]);
    here.split[index] = true;
    for (u64 byte = first; byte < last; ++byte)
      if (!visit(here.bytes[byte % kPage], byte)) return finding;
    if (whole && touch.writes) {  // a write leaves the same in all four
      here.split[index] = false;
      here.words[index] = here.bytes[4 * index];
    }
  }
  return finding;
}

}  // namespace emulator
