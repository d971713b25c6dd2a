// What is known of each byte of a block's shared memory: who wrote it last, who has read it since.
//
// Finds races between threads that no barrier orders, reads of bytes that nobody has written, and
// accesses to the destination of a cp.async that has not landed. State is kept by words of four
// bytes while all accesses to a word are whole, by bytes otherwise.
#pragma once

#include <vector>

#include "thread_order.h"

namespace emulator {

class SharedShadow {
 public:
  /// One access of one thread.
  struct Touch {
    u32 thread = 0;
    u32 instruction = 0;
    bool writes = false;
    bool reads = false;
    bool strong = false;     // atomic, volatile, relaxed, acquire, release
    bool in_flight = false;  // begins an asynchronous copy to these bytes
  };

  enum class Trouble { kNone, kRace, kUninitialised, kInFlight };

  /// What is wrong with an access, and the earlier access it conflicts with.
  struct Finding {
    Trouble trouble = Trouble::kNone;
    u32 offset = 0;
    u32 thread = 0;
    u32 instruction = 0;
    bool wrote = false;
  };

  explicit SharedShadow(u32 bytes);
  /// Check an access of `bytes` at `offset` and remember it.
  Finding touch(const ThreadOrder& order, u32 offset, u32 bytes, const Touch& touch);
  /// The bytes of a copy that `thread` began have arrived.
  void land(const ThreadOrder& order, u32 offset, u32 bytes, u32 thread, u32 instruction);
  /// Forget everything: a new block begins.
  void clear();

 private:
  struct Write {
    u32 stamp = 0;
    u32 instruction = 0;
    u16 thread = 0;
    bool strong = false;
    bool initialised = false;
    bool in_flight = false;
  };
  // Lanes of one warp that read at one stamp.
  struct Read {
    u32 stamp = 0;
    u32 instruction = 0;
    u32 lanes = 0;
    u16 warp = 0;
    bool strong = false;
  };
  // Readers of two warps: enough to have one that is not the writer's.
  struct Cell {
    Write write;
    Read read[2];
  };

  template <class Visit>
  void for_cells(u32 offset, u32 bytes, bool writes, Visit visit);
  static Finding check(const ThreadOrder& order, const Cell& cell, const Touch& touch);
  static void remember(u32 stamp, Cell& cell, const Touch& touch);

  std::vector<Cell> cells_;  // a byte each; that of a word's first byte stands for an unsplit word
  std::vector<u8> split_;    // by words
};

}  // namespace emulator
