#include "thread_order.h"

#include <algorithm>

#include "lanes.h"

namespace emulator {

ThreadOrder::ThreadOrder(u32 threads) : threads_(threads) {}

/// Add what a thread sees, its own accesses included.
void ThreadOrder::join(std::vector<u32>& into, u32 thread) {
  if (seen_.empty()) seen_.assign(size_t{threads_} * threads_, 0);
  into.resize(threads_);
  const u32* row = &seen(thread, 0);
  for (u32 other = 0; other < threads_; ++other) into[other] = std::max(into[other], row[other]);
  into[thread] = now_;
}

void ThreadOrder::meet(u32 warp, u32 mask) {
  const u32 first = warp * kLanes;
  joined_.clear();
  each_lane(mask, [&](u32 lane) { join(joined_, first + lane); });
  each_lane(mask,
            [&](u32 lane) { std::copy(joined_.begin(), joined_.end(), &seen(first + lane, 0)); });
  ++now_;
}

void ThreadOrder::arrive(u32 barrier, u32 warp, u32 mask, bool waits) {
  Gathering& gathering = gatherings_[barrier];
  each_lane(mask, [&](u32 lane) {
    ++gathering.arrived;
    if (waits)
      gathering.threads.push_back(warp * kLanes + lane);
    else
      join(gathering.seen, warp * kLanes + lane);
  });
  // Later accesses of threads that go on are not covered by what they have brought.
  if (!waits) ++now_;
}

void ThreadOrder::release(u32 barrier, u32 alive) {
  Gathering& gathering = gatherings_[barrier];
  const bool everybody = gathering.threads.size() == alive && gathering.arrived == alive;
  if (!everybody) {
    for (const u32 thread : gathering.threads) join(gathering.seen, thread);
    for (const u32 thread : gathering.threads)
      std::copy(gathering.seen.begin(), gathering.seen.end(), &seen(thread, 0));
  }
  ++now_;
  if (everybody) settled_ = now_;
  gathering = {};
}

}  // namespace emulator
