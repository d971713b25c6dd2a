// Work that waits on the device, and the order in which it may run.
//
// Operations form a graph: each comes after the one before it in its stream and after whatever
// events, default streams and captured graphs put before it. Nothing runs when it is queued. A
// synchronising call runs what it waits for and nothing else, so that a result which is read too
// early is seen to be missing; with full checks the order among unordered operations is random, by
// the seed, and work that nobody waits for yet may run too.
#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "machine.h"
#include "stream_order.h"

struct CUkern_st;

namespace emulator {

struct KernelWork {
  CUkern_st* kernel = nullptr;
  Dim3 grid, block;
  u32 dynamic_shared = 0;
  std::vector<std::byte> parameters;
  bool cooperative = false;
};

/// Rows of bytes from one place to another; one row for a flat copy.
struct CopyWork {
  u64 to = 0, from = 0;
  size_t to_pitch = 0, from_pitch = 0;
  size_t width = 0, height = 1;
  std::shared_ptr<std::vector<std::byte>> staged;  // taken from pageable memory when queued
};

struct FillWork {
  u64 to = 0;
  size_t pitch = 0;
  u8 value = 0;
  size_t width = 0, height = 1;
};

struct HostWork {
  cudaHostFn_t function = nullptr;
  cudaStreamCallback_t callback = nullptr;  // of cudaStreamAddCallback
  cudaStream_t stream = nullptr;
  void* data = nullptr;
};

/// The point of a stream that an event marks.
struct EventWork {
  cudaEvent_t event = nullptr;
};

/// Memory that appears by cudaMallocAsync, or goes by cudaFreeAsync.
struct PoolWork {
  u64 base = 0;
  bool frees = false;
};

/// Nothing: a point where branches meet.
struct EmptyWork {};

using Work = std::variant<EmptyWork, KernelWork, CopyWork, FillWork, HostWork, EventWork, PoolWork>;

/// Name the work for messages: "kernel `scale`", "a copy of 64 bytes".
std::string describe(const Work& work);

struct Operation {
  enum State { kQueued, kRunning, kDone };

  Work work;
  u64 number = 0;  // in the order of the calls
  State state = kQueued;
  std::vector<std::shared_ptr<Operation>> after;  // emptied when done
  std::chrono::steady_clock::time_point finished;
  std::shared_ptr<const Performer> performer;  // for the order checks
};
using OperationPointer = std::shared_ptr<Operation>;

class Queue {
 public:
  /// Queue work after the given operations. `lane` and `place` name the stream.
  OperationPointer add(Work work, std::vector<OperationPointer> after, int lane,
                       const std::string& place);
  /// Run the given operations and whatever must come before them. `lock` is the runtime's mutex,
  /// held; it is let go while host functions run.
  void complete(const std::vector<OperationPointer>& targets, std::mutex& lock);
  /// Run everything.
  void complete_all(std::mutex& lock);
  /// Run the oldest operation that may run, of those that `target` needs: progress for a polling
  /// program.
  void advance(const OperationPointer& target, std::mutex& lock);
  /// Run the oldest work when more is queued than a real device takes.
  void limit_depth(std::mutex& lock);
  /// With full checks, spoil host memory that a queued copy will write, so that the host cannot
  /// take what is left of an earlier copy for the result.
  void spoil_destination(const OperationPointer& operation) const;
  /// Forget all queued work.
  void drop();
  /// Forget what was recorded about an allocation that is freed.
  void forget_allocation(u64 number) { order_.forget(number); }
  /// A number that no other stream or branch of a graph has.
  int new_lane() { return next_lane_++; }
  size_t pending() const { return pending_.size(); }

 private:
  std::vector<OperationPointer> needed_by(const std::vector<OperationPointer>& targets) const;
  void run_all(std::vector<OperationPointer> operations, std::mutex& lock);
  void execute(const OperationPointer& operation, std::mutex& lock);
  bool check_order(const Operation& operation, const std::vector<Footprint>& footprints);

  std::deque<OperationPointer> pending_;
  std::condition_variable_any ran_;
  std::mt19937_64 random_;
  bool seeded_ = false;
  u64 count_ = 0;
  int next_lane_ = 1;
  StreamOrder order_;
};

}  // namespace emulator
