// Which accesses of a block's threads are ordered by its barriers: happened-before with one clock.
//
// The block has one clock, which ticks at each synchronisation; an access is stamped with it. Each
// thread knows, for every other thread, the stamp up to which that thread's accesses are visible to
// it. A barrier of all threads makes everything before it visible at once. The method is that of
// vector clocks (Lamport 1978, Mattern 1989), with the common case kept in one number.
#pragma once

#include <array>
#include <vector>

#include "machine.h"

namespace emulator {

class ThreadOrder {
 public:
  explicit ThreadOrder(u32 threads);

  /// The stamp of an access made now; never 0.
  u32 now() const { return now_; }
  /// Tell whether everybody sees all accesses of that stamp.
  bool is_settled(u32 stamp) const { return stamp < settled_; }
  /// Tell whether `thread` sees an access that thread `by` made at `stamp`.
  bool is_ordered(u32 stamp, u32 by, u32 thread) const {
    return stamp < settled_ || by == thread || (!seen_.empty() && seen(thread, by) >= stamp);
  }

  /// Lanes `mask` of a warp synchronise with each other.
  void meet(u32 warp, u32 mask);
  /// Lanes `mask` of a warp arrive at a block barrier; `waits`: they stop there.
  void arrive(u32 barrier, u32 warp, u32 mask, bool waits);
  /// The barrier is complete; `alive` is the number of living threads.
  void release(u32 barrier, u32 alive);

 private:
  struct Gathering {
    std::vector<u32> threads;  // that wait
    std::vector<u32> seen;     // by those that have arrived, together
    u32 arrived = 0;
  };

  u32& seen(u32 thread, u32 by) { return seen_[size_t{thread} * threads_ + by]; }
  u32 seen(u32 thread, u32 by) const { return seen_[size_t{thread} * threads_ + by]; }
  void join(std::vector<u32>& into, u32 thread);

  u32 threads_;
  u32 now_ = 1;
  u32 settled_ = 1;
  std::vector<u32> seen_;  // threads x threads; empty until a part of the block synchronises
  std::vector<u32> joined_;
  std::array<Gathering, kBarriers> gatherings_;
};

}  // namespace emulator
