#include "runtime_queue.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "device_memory.h"
#include "runtime.h"

namespace emulator {
namespace {

// As deep as a real launch queue: beyond it the oldest work runs though nobody waits for it.
constexpr size_t kDepth = 1024;

thread_local bool in_host_function = false;

template <class... F>
struct Overload : F... {
  using F::operator()...;
};
template <class... F>
Overload(F...) -> Overload<F...>;

bool full_checks() { return environment_settings().checks == Checks::kFull; }

// Rows of one side of a copy or fill, as ranges inside an allocation of the map.
struct Rows {
  u64 address = 0;
  size_t pitch = 0, width = 0, height = 0;

  u64 extent() const { return height == 0 ? 0 : pitch * (height - 1) + width; }
  std::vector<Range> ranges() const {
    if (pitch == width) return {{address, address + width * height}};
    std::vector<Range> rows;
    for (size_t i = 0; i < height; ++i)
      rows.push_back({address + i * pitch, address + i * pitch + width});
    return rows;
  }
};

// The footprint of rows; the operation fails when they leave an allocation they start in.
void add_rows(const Rows& rows, bool write, std::vector<Footprint>& footprints) {
  if (rows.extent() == 0) return;
  DeviceMemory& memory = DeviceMemory::instance();
  const Allocation* allocation = memory.find(rows.address);
  if (!allocation) return;
  Footprint footprint;
  footprint.allocation = allocation;
  (write ? footprint.written : footprint.read) = rows.ranges();
  footprints.push_back(std::move(footprint));
}

// Device memory that was freed after the work was queued or captured.
template <class Rest>
bool gone(const Rows& rows, const Rest& work) {
  if (rows.extent() == 0) return false;
  DeviceMemory& memory = DeviceMemory::instance();
  const Allocation* allocation = memory.find(rows.address);
  if (allocation ? allocation->contains(rows.address, rows.extent())
                 : !memory.is_ours(rows.address))
    return false;
  set_sticky(cudaErrorIllegalAddress,
             describe(work) + " touches " + memory.describe(rows.address, rows.extent()));
  return true;
}

std::vector<Footprint> perform(const CopyWork& copy) {
  const Rows to{copy.to, copy.to_pitch, copy.width, copy.height};
  Rows from{copy.from, copy.from_pitch, copy.width, copy.height};
  std::vector<Footprint> footprints;
  if (copy.staged)
    from = {reinterpret_cast<u64>(copy.staged->data()), copy.width, copy.width, copy.height};
  if (gone(to, copy) || (!copy.staged && gone(from, copy))) return footprints;
  for (size_t i = 0; i < copy.height; ++i) {
    const u64 target = to.address + i * to.pitch, source = from.address + i * from.pitch;
    std::memmove(reinterpret_cast<void*>(target), reinterpret_cast<const void*>(source),
                 copy.width);
    if (full_checks()) DeviceMemory::instance().copy_initialised(target, source, copy.width);
  }
  if (full_checks()) {
    add_rows(to, true, footprints);
    if (!copy.staged) add_rows(from, false, footprints);
  }
  return footprints;
}

std::vector<Footprint> perform(const FillWork& fill) {
  const Rows to{fill.to, fill.pitch, fill.width, fill.height};
  std::vector<Footprint> footprints;
  if (gone(to, fill)) return footprints;
  for (size_t i = 0; i < fill.height; ++i)
    std::memset(reinterpret_cast<void*>(to.address + i * to.pitch), fill.value, fill.width);
  if (full_checks()) {
    const Allocation* allocation = DeviceMemory::instance().find(to.address);
    if (allocation)
      for (const Range& range : to.ranges())
        allocation->note_write(range.begin, range.end - range.begin);
    footprints = DeviceMemory::instance().take_footprints();
  }
  return footprints;
}

// Could the work need what an allocation holds now?
bool may_read(const Work& work, const Allocation& allocation) {
  if (std::holds_alternative<HostWork>(work)) return true;
  if (const auto* copy = std::get_if<CopyWork>(&work))
    return !copy->staged && allocation.contains(copy->from);
  const auto* kernel = std::get_if<KernelWork>(&work);
  if (!kernel) return false;
  for (size_t at = 0; at + sizeof(u64) <= kernel->parameters.size(); at += sizeof(u64)) {
    u64 word = 0;
    std::memcpy(&word, kernel->parameters.data() + at, sizeof word);
    if (allocation.contains(word)) return true;
  }
  return false;
}

}  // namespace

bool inside_host_function() { return in_host_function; }

std::string describe(const Work& work) {
  return std::visit(Overload{
                        [](const EmptyWork&) -> std::string { return "an empty node"; },
                        [](const KernelWork& w) { return "kernel `" + name_of(*w.kernel) + "`"; },
                        [](const CopyWork& w) {
                          return "a copy of " + std::to_string(w.width * w.height) + " bytes";
                        },
                        [](const FillWork& w) {
                          return "a memset of " + std::to_string(w.width * w.height) + " bytes";
                        },
                        [](const HostWork&) -> std::string { return "a host function"; },
                        [](const EventWork&) -> std::string { return "an event's record"; },
                        [](const PoolWork& w) -> std::string {
                          return w.frees ? "cudaFreeAsync" : "cudaMallocAsync";
                        },
                    },
                    work);
}

OperationPointer Queue::add(Work work, std::vector<OperationPointer> after, int lane,
                            const std::string& place) {
  auto operation = std::make_shared<Operation>();
  operation->work = std::move(work);
  operation->number = ++count_;
  if (full_checks()) {
    std::vector<PerformerPointer> before;
    for (const OperationPointer& earlier : after)
      if (earlier) before.push_back(earlier->performer);
    operation->performer = order_.begin(lane, before, describe(operation->work) + " on " + place);
  }
  for (OperationPointer& earlier : after)
    if (earlier && earlier->state != Operation::kDone)
      operation->after.push_back(std::move(earlier));
  pending_.push_back(operation);
  return operation;
}

std::vector<OperationPointer> Queue::needed_by(const std::vector<OperationPointer>& targets) const {
  std::vector<OperationPointer> needed;
  std::unordered_set<const Operation*> seen;
  std::vector<OperationPointer> open = targets;
  while (!open.empty()) {
    OperationPointer operation = std::move(open.back());
    open.pop_back();
    if (!operation || operation->state == Operation::kDone) continue;
    if (!seen.insert(operation.get()).second) continue;
    open.insert(open.end(), operation->after.begin(), operation->after.end());
    needed.push_back(std::move(operation));
  }
  std::sort(needed.begin(), needed.end(),
            [](const auto& a, const auto& b) { return a->number < b->number; });
  return needed;
}

void Queue::complete(const std::vector<OperationPointer>& targets, std::mutex& lock) {
  std::vector<OperationPointer> wanted = targets;
  if (full_checks()) {
    if (!seeded_) random_.seed(environment_settings().seed);
    seeded_ = true;
    // Work that nobody waits for may have run by now as well.
    for (const OperationPointer& operation : pending_)
      if (random_() % 4 == 0) wanted.push_back(operation);
  }
  run_all(needed_by(wanted), lock);
  for (const OperationPointer& target : targets)
    if (target && target->performer) order_.host_waited_for(*target->performer);
}

void Queue::complete_all(std::mutex& lock) {
  complete(std::vector<OperationPointer>(pending_.begin(), pending_.end()), lock);
  order_.host_waited_for_all();  // also for what ran before anybody asked
}

void Queue::advance(const OperationPointer& target, std::mutex& lock) {
  const std::vector<OperationPointer> needed = needed_by({target});
  if (!needed.empty()) run_all({needed.front()}, lock);
  if (target && target->state == Operation::kDone && target->performer)
    order_.host_waited_for(*target->performer);
}

void Queue::spoil_destination(const OperationPointer& operation) const {
  const auto* copy = std::get_if<CopyWork>(&operation->work);
  if (!full_checks() || !copy || operation->state != Operation::kQueued) return;
  const Allocation* allocation = DeviceMemory::instance().find(copy->to);
  if (!allocation || allocation->kind == MemoryKind::kDevice) return;
  for (const OperationPointer& other : pending_)
    if (other != operation && other->state != Operation::kDone &&
        may_read(other->work, *allocation))
      return;
  for (size_t i = 0; i < copy->height; ++i)
    std::memset(reinterpret_cast<void*>(copy->to + i * copy->to_pitch), 0xff, copy->width);
}

void Queue::limit_depth(std::mutex& lock) {
  if (pending_.size() > kDepth) run_all(needed_by({pending_.front()}), lock);
}

void Queue::run_all(std::vector<OperationPointer> operations, std::mutex& lock) {
  if (operations.empty()) return;
  const DeviceMemory::Access open;
  while (!operations.empty()) {
    std::vector<size_t> ready;
    for (size_t i = 0; i < operations.size(); ++i) {
      const auto& after = operations[i]->after;
      const bool waits = std::any_of(after.begin(), after.end(), [](const auto& earlier) {
        return earlier->state != Operation::kDone;
      });
      if (operations[i]->state == Operation::kQueued && !waits) ready.push_back(i);
      if (!ready.empty() && !full_checks()) break;
    }
    // Otherwise another thread runs what the rest waits for.
    if (ready.empty())
      ran_.wait(lock);
    else
      execute(operations[ready[full_checks() ? random_() % ready.size() : 0]], lock);
    operations.erase(
        std::remove_if(operations.begin(), operations.end(),
                       [](const auto& operation) { return operation->state == Operation::kDone; }),
        operations.end());
  }
  while (!pending_.empty() && pending_.front()->state == Operation::kDone) pending_.pop_front();
  if (pending_.size() > kDepth)
    pending_.erase(
        std::remove_if(pending_.begin(), pending_.end(),
                       [](const auto& operation) { return operation->state == Operation::kDone; }),
        pending_.end());
}

void Queue::execute(const OperationPointer& operation, std::mutex& lock) {
  operation->state = Operation::kRunning;
  std::vector<Footprint> footprints;
  DeviceMemory& memory = DeviceMemory::instance();
  if (auto* kernel = std::get_if<KernelWork>(&operation->work)) {
    const Report report = execute_kernel(*kernel);
    if (report.error != kSuccess) set_sticky(report.error, report.message);
    if (full_checks()) footprints = memory.take_footprints();
  } else if (auto* copy = std::get_if<CopyWork>(&operation->work)) {
    footprints = perform(*copy);
  } else if (auto* fill = std::get_if<FillWork>(&operation->work)) {
    footprints = perform(*fill);
  } else if (auto* host = std::get_if<HostWork>(&operation->work)) {
    lock.unlock();
    in_host_function = true;
    if (host->function) host->function(host->data);
    if (host->callback) host->callback(host->stream, cudaSuccess, host->data);
    in_host_function = false;
    lock.lock();
  } else if (auto* pool = std::get_if<PoolWork>(&operation->work)) {
    if (const Allocation* allocation = memory.find_base(pool->base)) {
      // To appear or to go counts as a write of the whole.
      if (full_checks())
        check_order(*operation, {{allocation, {}, {{allocation->base, allocation->end()}}}});
      if (pool->frees) {
        order_.forget(allocation->number);
        memory.release(pool->base);
      }
    }
  }
  if (operation->performer && runtime().sticky == cudaSuccess) check_order(*operation, footprints);
  operation->state = Operation::kDone;
  operation->after.clear();
  operation->finished = std::chrono::steady_clock::now();
  ran_.notify_all();
}

bool Queue::check_order(const Operation& operation, const std::vector<Footprint>& footprints) {
  for (const Footprint& footprint : footprints) {
    const std::string message = order_.record(operation.performer, footprint);
    if (message.empty()) continue;
    set_sticky(cudaErrorLaunchFailure, message);
    return false;
  }
  return true;
}

void Queue::drop() {
  for (const OperationPointer& operation : pending_) {
    if (operation->state == Operation::kRunning) continue;
    operation->state = Operation::kDone;
    operation->after.clear();
  }
  pending_.clear();
  ran_.notify_all();
}

}  // namespace emulator
