// A launch from its request to its report: blocks over threads, warps in turn.
//
// Blocks start in order, or shuffled in full mode. A block that has used up its turn without ending
// may be waiting for another one, so it stays resident while further blocks start.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>
#include <numeric>
#include <random>
#include <thread>

#include "counters.h"
#include "coverage.h"
#include "decode.h"
#include "device_memory.h"
#include "schedule.h"
#include "specials.h"
#include "split.h"

namespace emulator {
namespace {

constexpr u64 kWarpTurn = 20000;       // warp-instructions
constexpr u64 kBlockTurn = 8000000;    // warp-instructions before another block is started
constexpr size_t kMostResident = 256;  // blocks that have not ended and hold memory
constexpr size_t kAlign = 1024;

/// Bytes on the heap, aligned to kAlign.
class Bytes {
 public:
  void resize(size_t bytes) {
    if (bytes <= size_) return;
    data_.reset(static_cast<std::byte*>(
        ::operator new (std::max<size_t>(bytes, 1), std::align_val_t{kAlign})));
    size_ = bytes;
  }
  std::byte* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete (p, std::align_val_t{kAlign}); }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_ = 0;
};

/// A block with all its memory; used again for the next block.
class Resident {
 public:
  explicit Resident(Launch& launch) : launch_(launch) {
    const Program& program = *launch.program;
    const LaunchRequest& request = *launch.request;
    block_.launch = &launch;
    block_.threads = request.block.x * request.block.y * request.block.z;
    block_.shared_bytes = launch.shared_bytes;
    block_.local_bytes = program.stack_bytes;
    shared_.resize(block_.shared_bytes);
    local_.resize(size_t{block_.local_bytes} * ((block_.threads + kLanes - 1) / kLanes * kLanes));
    block_.shared = shared_.data();
    block_.local = local_.data();
    const size_t row_bytes = program.initial_registers.size();
    block_.warps.resize((block_.threads + kLanes - 1) / kLanes);
    registers_.resize(row_bytes * block_.warps.size());
    ranges_.resize(program.code.size());
    for (size_t i = 0; i < block_.warps.size(); ++i) {
      block_.warps[i].registers = registers_.data() + i * row_bytes;
      block_.warps[i].index = static_cast<u32>(i);
      std::memcpy(block_.warps[i].registers, program.initial_registers.data(), row_bytes);
    }
  }

  Block& block() { return block_; }
  u64 executed() const { return executed_; }
  bool done() const { return block_.alive == 0; }

  void begin(u64 linear) {
    const Dim3 grid = launch_.request->grid;
    block_.linear = linear;
    block_.index = {static_cast<u32>(linear % grid.x), static_cast<u32>(linear / grid.x % grid.y),
                    static_cast<u32>(linear / grid.x / grid.y)};
    block_.alive = block_.threads;
    block_.barriers = {};
    executed_ = 0;
    if (launch_.settings->checks == Checks::kFull) poison();
    for (Warp& warp : block_.warps) begin(warp);
    begun_ = true;
    for (Observer* observer : launch_.observers) observer->block_begins(block_);
  }

  /// Run for at most `turn` warp-instructions, or to the end. `order` is that of the warps.
  void run(u64 turn, std::mt19937_64* random) {
    const u64 until = executed_ + turn;
    std::vector<u32> order(block_.warps.size());
    std::iota(order.begin(), order.end(), 0u);
    while (!done() && executed_ < until) {
      if (random) std::shuffle(order.begin(), order.end(), *random);
      bool progress = false;
      for (const u32 index : order) {
        Warp& warp = block_.warps[index];
        const u64 before = warp.executed;
        const u64 warp_turn = random ? 1 + (*random)() % 2000 : kWarpTurn;
        if (warp.alive) progress |= run_warp(warp, warp_turn);
        executed_ += warp.executed - before;
      }
      if (!progress && !done()) deadlock();
      if (executed_ > launch_.settings->watchdog) too_long();
    }
    if (done()) end();
  }

 private:
  void begin(Warp& warp) {
    const u32 first = warp.index * kLanes;
    const u32 count = std::min(kLanes, block_.threads - first);
    warp.alive = warp.active = count == kLanes ? kAllLanes : (1u << count) - 1;
    warp.pc = 0;
    warp.limit = kAllLanes;
    warp.backward = 0;
    warp.stop = Stop::kNo;
    warp.block = &block_;
    warp.frame = nullptr;
    warp.groups.clear();
    warp.ranges = ranges_.data();
    warp.executed = warp.lanes_executed = 0;
    warp.copies = {};
    for (const SpecialRow& special : launch_.program->specials) {
      if (begun_ && launch_.settings->checks != Checks::kFull && !changes(special.id)) continue;
      for (u32 lane = 0; lane < kLanes; ++lane) {
        const u64 value = special_value(special.id, warp, lane);
        std::memcpy(warp.registers + special.offset + lane * special.bytes, &value, special.bytes);
      }
    }
  }

  /// True for special registers that differ between blocks.
  static bool changes(u32 special) {
    return special == kCtaidX || special == kCtaidY || special == kCtaidZ || special == kSmId;
  }

  /// What was never written must not look like a result.
  void poison() {
    std::memset(block_.shared, 0xff, block_.shared_bytes);
    std::memset(block_.local, 0xff, size_t{block_.local_bytes} * block_.warps.size() * kLanes);
    const auto& initial = launch_.program->initial_registers;
    for (Warp& warp : block_.warps) std::memcpy(warp.registers, initial.data(), initial.size());
  }

  void end() {
    for (Observer* observer : launch_.observers) observer->block_ends(block_);
    u64 lanes = 0;
    for (const Warp& warp : block_.warps) lanes += warp.lanes_executed;
    launch_.thread_instructions += lanes;
  }

  [[noreturn]] void deadlock() {
    throw Fault{kLaunchTimeout, "the threads of block " + std::to_string(block_.linear) +
                                    " of kernel " + launch_.program->kernel->name +
                                    " wait for each other:" + describe_waits(block_)};
  }

  [[noreturn]] void too_long() {
    for (const Warp& warp : block_.warps) {
      if (!warp.alive) continue;
      const u32 pc = warp.active ? warp.pc : warp.groups.empty() ? 0 : warp.groups[0].pc;
      const Instruction& at = launch_.program->code[pc];
      fault(warp, at, kLaunchTimeout, static_cast<u32>(__builtin_ctz(warp.alive)),
            "the block has executed " + std::to_string(executed_) +
                " warp-instructions and does not end (EMULATOR_WATCHDOG)");
    }
    throw Fault{kLaunchTimeout, "the block does not end"};
  }

  Launch& launch_;
  Block block_;
  Bytes shared_, local_, registers_;
  std::vector<KnownRange> ranges_;
  u64 executed_ = 0;
  bool begun_ = false;
};

/// The blocks of a launch, taken by one or more threads.
class Grid {
 public:
  Grid(Launch& launch) : launch_(launch) {
    const Dim3 grid = launch.request->grid;
    blocks_ = u64{grid.x} * grid.y * grid.z;
    shuffles_ = launch.settings->checks == Checks::kFull;
    const u64 sampled = launch.settings->sample_blocks;
    if (!sampled && !shuffles_) return;
    order_ = sample_blocks(grid, sampled);
    blocks_ = order_.size();
    // Each launch has an order of its own, so that the same launch twice shows what depends on it.
    static std::atomic<u64> launches{0};
    random_.seed(launch.settings->seed + 0x9e3779b97f4a7c15u * launches++);
    if (shuffles_) std::shuffle(order_.begin(), order_.end(), random_);
  }

  void run() {
    u64 threads = std::max(launch_.settings->threads, 1u);
    if (!launch_.observers.empty() || launch_.request->cooperative) threads = 1;
    threads = std::min(threads, blocks_);
    std::vector<std::thread> others;
    for (u64 i = 1; i < threads; ++i) others.emplace_back([this] { work(); });
    work();
    for (std::thread& other : others) other.join();
    if (failed_) throw fault_;
  }

 private:
  void work() {
    try {
      launch_.request->cooperative ? take_turns() : take_blocks();
    } catch (Fault& fault) {
      const std::lock_guard<std::mutex> hold(lock_);
      if (!failed_.exchange(true)) fault_ = std::move(fault);
    }
  }

  std::mt19937_64* random() { return shuffles_ ? &random_ : nullptr; }

  bool next(u64& block) {
    const u64 ticket = next_.fetch_add(1);
    if (ticket >= blocks_ || failed_) return false;
    block = order_.empty() ? ticket : order_[ticket];
    return true;
  }

  void take_blocks() {
    std::deque<std::unique_ptr<Resident>> waiting;
    std::unique_ptr<Resident> current;
    u64 index;
    while (next(index)) {
      if (!current) current = std::make_unique<Resident>(launch_);
      current->begin(index);
      current->run(kBlockTurn, random());
      if (!current->done()) waiting.push_back(std::move(current));
      while (waiting.size() > kMostResident) finish_one(waiting, kBlockTurn);
    }
    finish(waiting, kBlockTurn);
  }

  /// A cooperative grid: all blocks live at once.
  void take_turns() {
    std::deque<std::unique_ptr<Resident>> all;
    u64 index;
    while (next(index)) {
      all.push_back(std::make_unique<Resident>(launch_));
      all.back()->begin(index);
    }
    finish(all, kWarpTurn);
  }

  void finish(std::deque<std::unique_ptr<Resident>>& blocks, u64 turn) {
    while (!blocks.empty() && !failed_) finish_one(blocks, turn);
  }

  /// Give the first block a turn; it goes to the back unless it is done.
  void finish_one(std::deque<std::unique_ptr<Resident>>& blocks, u64 turn) {
    std::unique_ptr<Resident> block = std::move(blocks.front());
    blocks.pop_front();
    block->run(turn, random());
    if (!block->done()) blocks.push_back(std::move(block));
  }

  Launch& launch_;
  u64 blocks_ = 0;
  std::vector<u64> order_;
  bool shuffles_ = false;  // the order of blocks and warps
  std::mt19937_64 random_;
  std::atomic<u64> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex lock_;
  Fault fault_;
};

void refuse(const std::string& kernel, int error, const std::string& why) {
  throw Fault{error, "kernel " + kernel + ": " + why};
}

u64 volume(Dim3 size) { return u64{size.x} * size.y * size.z; }

void check_request(const LaunchRequest& request, const Settings& settings, const Program& program,
                   u32 shared_bytes) {
  const Dim3 block = request.block, grid = request.grid;
  const std::string sizes = "grid " + std::to_string(grid.x) + "x" + std::to_string(grid.y) + "x" +
                            std::to_string(grid.z) + ", block " + std::to_string(block.x) + "x" +
                            std::to_string(block.y) + "x" + std::to_string(block.z);
  if (!volume(block) || !volume(grid)) {
    refuse(request.kernel, kInvalidConfiguration, "an extent is zero: " + sizes);
  }
  if (volume(block) > 1024 || block.z > 64) {
    refuse(request.kernel, kInvalidConfiguration, "the block is too large: " + sizes);
  }
  if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535) {
    refuse(request.kernel, kInvalidConfiguration, "the grid is too large: " + sizes);
  }
  const Function& kernel = *program.kernel;
  if (kernel.max_threads && volume(block) > kernel.max_threads) {
    refuse(request.kernel, kInvalidValue,
           "more threads than __launch_bounds__(" + std::to_string(kernel.max_threads) +
               "): " + sizes);
  }
  const u32 most = settings.capability >= 90 ? 232448 : settings.capability >= 80 ? 166912 : 65536;
  if (shared_bytes > most) {
    refuse(request.kernel, kInvalidValue,
           std::to_string(shared_bytes) + " bytes of shared memory; the device has " +
               std::to_string(most));
  }
  if (request.parameters.size() < kernel.parameter_bytes) {
    refuse(request.kernel, kInvalidValue, "parameters are missing");
  }
}

const Program& program_of(Module& module, const std::string& kernel, const Settings& settings) {
  std::shared_ptr<Program>& program = module.programs[kernel];
  if (!program) program = decode(module, kernel, settings.mutant);
  if (const Mutant* mutant = split(kernel)) program = decode(module, kernel, *mutant);
  return *program;
}

}  // namespace

Report run(const LaunchRequest& request, const Settings& settings) {
  Report report;
  const DeviceMemory::Access open;
  try {
    const Program& program = program_of(*request.module, request.kernel, settings);
    Launch launch;
    launch.request = &request;
    launch.settings = &settings;
    launch.program = &program;
    launch.shared_bytes = program.dynamic_start + request.dynamic_shared;
    check_request(request, settings, program, launch.shared_bytes);
    Bytes parameters;
    parameters.resize(request.parameters.size());
    std::copy(request.parameters.begin(), request.parameters.end(), parameters.data());
    launch.parameters = parameters.data();
    std::unique_ptr<Observer> checks, counters;
    const std::unique_ptr<Observer> coverage = make_coverage(launch);
    if (coverage) launch.observers.push_back(coverage.get());
    if (settings.checks == Checks::kFull) {
      checks = make_checks(launch);
      launch.observers.push_back(checks.get());
    }
    if (settings.counters) {
      report.counters = new_counters();
      counters = make_counters(launch, *report.counters);
      launch.observers.push_back(counters.get());
    }
    Grid(launch).run();
    for (Observer* observer : launch.observers) observer->launch_ends(launch);
    report.thread_instructions = launch.thread_instructions;
  } catch (const Fault& fault) {
    report.error = fault.error;
    report.message = fault.message;
    if (settings.checks == Checks::kFull) {
      report.message += " (EMULATOR_SEED=" + std::to_string(settings.seed) + ")";
    }
  } catch (const std::exception& error) {
    report.error = kInvalidPtx;
    report.message = "kernel " + request.kernel + ": " + error.what();
  }
  return report;
}

}  // namespace emulator
