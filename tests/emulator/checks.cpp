// The observer of EMULATOR_CHECKS=full: stops a launch at the first thing a kernel must not do.
//
// Races between threads of a block (thread_order.h, shared_shadow.h) and between blocks
// (global_shadow.h), reads of bytes nobody has written, barriers that not all threads reach the
// same way, lanes that wait for lanes that have exited. Bounds, alignment and freed memory are
// checked in every mode, by check_access.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "decode.h"
#include "device_memory.h"
#include "global_shadow.h"
#include "lanes.h"
#include "shared_shadow.h"

namespace emulator {
namespace {

enum Trait : u8 { kStrong = 1, kReleases = 2, kFence = 4 };

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// What an instruction says of the order of memory.
u8 traits_of(const Origin* origin) {
  if (!origin) return 0;
  std::string_view text = origin->text;
  if (!text.empty() && text[0] == '@') text.remove_prefix(std::min(text.find(' '), text.size()));
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  if (text.starts_with("membar") || text.starts_with("fence"))
    return has(text, ".cta") || has(text, ".proxy") ? 0 : kFence;
  u8 traits = 0;
  for (const std::string_view word : {".volatile", ".relaxed", ".acquire", ".release", ".acq_rel"})
    if (has(text, word)) traits |= kStrong;
  if (has(text, ".release") || has(text, ".acq_rel")) traits |= kReleases;
  return traits;
}

std::string hex(u64 value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

/// The checks' memory of one block.
struct BlockState {
  BlockState(u32 shared_bytes, u32 threads) : shared(shared_bytes), order(threads) {}

  struct Site {
    u32 thread = 0;
    const Instruction* instruction = nullptr;
    u32 lane = 0;
    Warp* warp = nullptr;
  };
  SharedShadow shared;
  ThreadOrder order;
  std::vector<bool> local;                      // bytes that were written
  std::array<Site, kBarriers> first{}, last{};  // that arrived at the barrier
};

class FullChecks : public Observer {
 public:
  explicit FullChecks(Launch& launch)
      : launch_(launch),
        global_(u64{launch.request->grid.x} * launch.request->grid.y * launch.request->grid.z) {
    for (const Instruction& instruction : launch.program->code)
      traits_.push_back(traits_of(instruction.origin));
  }

  void block_begins(Block& block) override {
    if (idle_.empty()) {
      states_.push_back(std::make_unique<BlockState>(block.shared_bytes, block.threads));
      idle_.push_back(states_.back().get());
    }
    BlockState* state = idle_.back();
    idle_.pop_back();
    state->shared.clear();
    state->order = ThreadOrder(block.threads);
    state->first = state->last = {};
    state->local.assign(size_t{block.local_bytes} * block.warps.size() * kLanes, false);
    block.checks = state;
  }

  void block_ends(Block& block) override {
    idle_.push_back(&state_of(block));
    block.checks = nullptr;
  }

  void instruction(Warp& warp, const Instruction& instruction) override {
    if (traits_[instruction.index] & kFence) global_.fence(warp.block->linear);
  }

  void access(Warp& warp, const Instruction& instruction, const Access& access) override {
    each_lane(access.mask, [&](u32 lane) {
      if (access.space == Space::kShared)
        shared(warp, instruction, access, lane);
      else if (access.space == Space::kGlobal)
        global(warp, instruction, access, lane);
      else if (access.space == Space::kLocal)
        local(warp, instruction, access, lane);
      else if (access.kind != AccessKind::kLoad)
        fault(warp, instruction, kIllegalAddress, lane,
              "write of memory that a kernel may only read (constant or parameter)");
    });
  }

  void copy_lands(Warp& warp, const Instruction&, const AsyncCopy& copy) override {
    BlockState& state = state_of(*warp.block);
    state.shared.land(state.order, copy.to, copy.bytes, warp.index * kLanes + copy.lane,
                      copy.instruction->index);
  }

  void barrier_arrives(Warp& warp, const Instruction& instruction, u32 barrier, u32 mask,
                       bool waits) override {
    BlockState& state = state_of(*warp.block);
    const u32 lane = first_of(mask);
    BlockState::Site& first = state.first[barrier];
    state.last[barrier] = {warp.index * kLanes + lane, &instruction, lane, &warp};
    if (!first.instruction)
      first = state.last[barrier];
    else if (warp.block->barriers[barrier].whole && first.instruction != &instruction)
      fault(warp, instruction, kLaunchFailure, lane,
            "divergent barrier: other threads of the block wait at another one, " +
                party(first.thread, first.instruction->index));
    state.order.arrive(barrier, warp.index, mask, waits);
  }

  void barrier_releases(Block& block, u32 barrier) override {
    BlockState& state = state_of(block);
    const BlockState::Site& last = state.last[barrier];
    if (block.barriers[barrier].whole && block.alive < block.threads)
      fault(*last.warp, *last.instruction, kLaunchFailure, last.lane,
            "barrier of all threads, but " + std::to_string(block.threads - block.alive) +
                " threads of the block have exited");
    state.order.release(barrier, block.alive);
    state.first[barrier] = {};
  }

  void warp_meets(Warp& warp, const Instruction& instruction, u32 mask) override {
    const u32 threads = warp.block->threads - warp.index * kLanes;
    const u32 existed = threads >= kLanes ? kAllLanes : (1u << threads) - 1;
    const u32 lane = first_of(mask);
    const u32 members = warp.row<u32>(instruction.operand[0])[first_of(warp.mask)];
    if (const u32 gone = members & existed & ~warp.alive)
      fault(warp, instruction, kLaunchFailure, lane,
            "__syncwarp names lane " + std::to_string(first_of(gone)) + ", which has exited");
    state_of(*warp.block).order.meet(warp.index, mask);
  }

  void lanes_exit(Warp& warp, const Instruction& instruction, u32 mask) override {
    const Block& block = *warp.block;
    for (u32 number = 0; number < kBarriers; ++number) {
      const BlockState::Site& first = state_of(block).first[number];
      if (block.barriers[number].whole && block.barriers[number].arrived && first.instruction)
        fault(warp, instruction, kLaunchFailure, first_of(mask),
              "the thread exits while others wait for it at a barrier, " +
                  party(first.thread, first.instruction->index));
    }
  }

 private:
  static u32 first_of(u32 mask) { return static_cast<u32>(__builtin_ctz(mask)); }
  static BlockState& state_of(const Block& block) {
    return *static_cast<BlockState*>(block.checks);
  }
  const Instruction& code(u32 index) const { return launch_.program->code[index]; }

  std::string source(u32 index) const {
    const Origin& origin = *code(index).origin;
    std::string text;
    if (!origin.file.empty())
      text = std::string(origin.file) + ":" + std::to_string(origin.line) + " ";
    return text + "`" + std::string(origin.text) + "`";
  }

  static std::string triple(u64 index, Dim3 size) {
    return "(" + std::to_string(index % size.x) + "," + std::to_string(index / size.x % size.y) +
           "," + std::to_string(index / size.x / size.y) + ")";
  }

  /// The other side of a conflict.
  std::string party(u32 thread, u32 instruction) const {
    return "thread " + triple(thread, launch_.request->block) + " at " + source(instruction);
  }

  void shared(Warp& warp, const Instruction& instruction, const Access& access, u32 lane) {
    BlockState& state = state_of(*warp.block);
    SharedShadow::Touch touch;
    touch.thread = warp.index * kLanes + lane;
    touch.instruction = instruction.index;
    touch.writes = access.kind != AccessKind::kLoad;
    touch.reads = access.kind != AccessKind::kStore;
    touch.strong = access.kind == AccessKind::kAtomic || (traits_[instruction.index] & kStrong);
    touch.in_flight = access.asynchronous;
    const SharedShadow::Finding found = state.shared.touch(
        state.order, static_cast<u32>(access.address[lane]), access.bytes, touch);
    if (found.trouble == SharedShadow::Trouble::kNone) return;
    const std::string verb = touch.writes ? "write" : "read";
    const std::string at = "shared memory at offset " + hex(found.offset) + " (" +
                           std::to_string(access.bytes) + " bytes from " +
                           hex(access.address[lane]) + ")";
    const std::string other = party(found.thread, found.instruction);
    switch (found.trouble) {
      case SharedShadow::Trouble::kUninitialised:
        fault(warp, instruction, kLaunchFailure, lane,
              "read of " + at + " that nobody has written");
      case SharedShadow::Trouble::kInFlight:
        fault(warp, instruction, kLaunchFailure, lane,
              verb + " of " + at + " before the wait for the asynchronous copy to it by " + other);
      default:
        fault(warp, instruction, kLaunchFailure, lane,
              "race: " + verb + " of " + at + ", not ordered by a barrier after the " +
                  (found.wrote ? "write" : "read") + " by " + other);
    }
  }

  void global(Warp& warp, const Instruction& instruction, const Access& access, u32 lane) {
    const u64 address = access.address[lane];
    DeviceMemory& memory = DeviceMemory::instance();
    if (!allocation_ || !allocation_->contains(address, access.bytes))
      allocation_ = memory.find(address);
    GlobalShadow::Touch touch;
    touch.block = warp.block->linear;
    touch.thread = warp.index * kLanes + lane;
    touch.order = &state_of(*warp.block).order;
    touch.instruction = instruction.index;
    touch.writes = access.kind != AccessKind::kLoad;
    touch.reads = access.kind != AccessKind::kStore;
    touch.strong = access.kind == AccessKind::kAtomic || (traits_[instruction.index] & kStrong);
    touch.releases = traits_[instruction.index] & kReleases;
    if (allocation_) {
      if (touch.reads && !allocation_->is_initialised(address, access.bytes))
        fault(warp, instruction, kLaunchFailure, lane,
              "read of global memory that nobody has written: " +
                  memory.describe(address, access.bytes));
      if (touch.reads) allocation_->note_read(address, access.bytes);
      if (touch.writes) allocation_->note_write(address, access.bytes);
    }
    const GlobalShadow::Finding found = global_.touch(address, access.bytes, touch);
    if (!found.race) return;
    const std::string verb = touch.writes ? "write" : "read";
    if (found.block == touch.block)
      fault(warp, instruction, kLaunchFailure, lane,
            "race: " + verb + " of " + hex(found.address) + " (" +
                memory.describe(address, access.bytes) + "), not ordered by a barrier after the " +
                (found.wrote ? "write" : "read") + " by " + party(found.thread, found.instruction));
    fault(warp, instruction, kLaunchFailure, lane,
          "race between blocks: " + verb + " of " + hex(found.address) + " (" +
              memory.describe(address, access.bytes) + "), not ordered after the " +
              (found.wrote ? "write" : "read") + " by block " +
              triple(found.block, launch_.request->grid) + " at " + source(found.instruction));
  }

  void local(Warp& warp, const Instruction& instruction, const Access& access, u32 lane) {
    BlockState& state = state_of(*warp.block);
    const u64 begin = access.address[lane] - reinterpret_cast<u64>(warp.block->local);
    for (u64 byte = begin; byte < begin + access.bytes && byte < state.local.size(); ++byte) {
      if (access.kind != AccessKind::kStore && !state.local[byte])
        fault(warp, instruction, kLaunchFailure, lane,
              "read of local memory that the thread has not written, byte " +
                  std::to_string(byte - begin) + " of " + std::to_string(access.bytes));
      if (access.kind != AccessKind::kLoad) state.local[byte] = true;
    }
  }

  Launch& launch_;
  GlobalShadow global_;
  std::vector<u8> traits_;
  std::vector<std::unique_ptr<BlockState>> states_;
  std::vector<BlockState*> idle_;
  const Allocation* allocation_ = nullptr;
};

}  // namespace

std::unique_ptr<Observer> make_checks(Launch& launch) {
  return std::make_unique<FullChecks>(launch);
}

}  // namespace emulator
