// What the threads of one launch have done to global memory: finds races.
//
// Two accesses to a byte by different blocks, one of them a write and not both strong (atomic,
// volatile, relaxed, acquire, release), are a race unless the first block has released and the
// second has acquired since: a fence followed by a strong write, and a strong read of what it
// wrote. For other blocks the threads of a block count as one. Stamps are of one clock of the
// launch, as in thread_order.h. Two threads of one block must be ordered by its barriers, as for
// shared memory; two lanes that store to one place by one instruction are a race, too.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "thread_order.h"

namespace emulator {

class GlobalShadow {
 public:
  explicit GlobalShadow(u64 blocks) : blocks_(blocks) {}

  struct Touch {
    u64 block = 0;
    u32 thread = 0;
    const ThreadOrder* order = nullptr;  // of the block
    u32 instruction = 0;
    bool writes = false;
    bool reads = false;
    bool strong = false;
    bool releases = false;  // a fence of its own, as .release has
  };

  /// The earlier access that an access conflicts with.
  struct Finding {
    bool race = false;
    u64 address = 0;
    u64 block = 0;
    u32 thread = 0;
    u32 instruction = 0;
    bool wrote = false;
  };

  /// Check an access and remember it.
  Finding touch(u64 address, u32 bytes, const Touch& touch);
  /// A thread of the block executes a fence of the device or the system.
  void fence(u64 block);

 private:
  using Seen = std::vector<u32>;  // per block, the stamp up to which its accesses are visible

  struct Mark {
    u32 stamp = 0;
    u32 instruction = 0;
    u32 block = 0;
    u32 thread = 0;
    u32 stamp_in_block = 0;  // of the block's own clock
    bool strong = false;
    bool many = false;  // of reads: by several blocks, this one the last
  };
  struct Cell {
    Mark write, read;
  };
  static constexpr u32 kPage = 4096;
  struct Page {
    std::vector<Cell> words = std::vector<Cell>(kPage / 4);
    std::vector<Cell> bytes;  // once a word is accessed in part
    std::vector<bool> split;  // by words
  };

  bool is_ordered(const Mark& mark, const Touch& touch) const;
  bool check(const Cell& cell, const Touch& touch, Finding& finding) const;
  void remember(Cell& cell, const Touch& touch) const;
  void order(u64 address, const Touch& touch);
  Page& page(u64 address);

  u64 blocks_;
  u32 now_ = 1;
  std::unordered_map<u64, Page> pages_;
  u64 last_number_ = ~u64{0};
  Page* last_page_ = nullptr;
  std::unordered_map<u64, Seen> seen_;      // by block
  std::unordered_map<u64, Seen> released_;  // by address of a strong write
  std::unordered_map<u64, Seen> fenced_;    // by block: what its next strong write releases
};

}  // namespace emulator
