// Allocations live in two reserved regions of address space; see device_memory.h.
#include "device_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>

namespace emulator {
namespace {

constexpr uint64_t kGap = uint64_t{64} << 10;
constexpr size_t kFreedKept = 65536;
constexpr uint64_t kJoinEvery = 4096;  // freed allocations
constexpr int kPoison = 0xff;

uint64_t round_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

// Address space without memory behind it; less of it where a limit is set on the process.
uint64_t reserve(uint64_t& bytes, int protection) {
  for (; bytes >= (uint64_t{1} << 30); bytes /= 2) {
    void* region =
        mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region != MAP_FAILED) return reinterpret_cast<uint64_t>(region);
  }
  throw std::bad_alloc();
}

std::string hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string words_of(const Allocation& allocation) {
  return "allocation " + std::to_string(allocation.number) + " (" +
         std::to_string(allocation.size) + " bytes at " + hex(allocation.base) + ", " +
         allocation.label + ")";
}

const Allocation* below(const std::map<uint64_t, std::unique_ptr<Allocation>>& map,
                        uint64_t address) {
  auto after = map.upper_bound(address);
  return after == map.begin() ? nullptr : std::prev(after)->second.get();
}

Range pages_of(const Allocation& allocation) {
  return {allocation.base / Allocation::kPage * Allocation::kPage,
          round_up(allocation.end(), Allocation::kPage)};
}

void set_protection(const Range& pages, int protection) {
  mprotect(reinterpret_cast<void*>(pages.begin), pages.end - pages.begin, protection);
}

}  // namespace

const char* name_of(MemoryKind kind) {
  switch (kind) {
    case MemoryKind::kDevice:
      return "device";
    case MemoryKind::kPinned:
      return "pinned host";
    case MemoryKind::kManaged:
      return "managed";
    case MemoryKind::kRegistered:
      return "registered host";
  }
  return "unknown";
}

DeviceMemory& DeviceMemory::instance() {
  // Never destroyed: programs free memory in destructors that run after ours would.
  static DeviceMemory* const memory = new DeviceMemory();
  return *memory;
}

uint64_t DeviceMemory::place(uint64_t bytes, MemoryKind kind, uint64_t alignment) {
  Region& region = kind == MemoryKind::kDevice ? device_ : host_;
  if (!region.begin) {
    uint64_t size = uint64_t{512} << 30;
    const bool closed = kind == MemoryKind::kDevice && closed_;
    region.begin = reserve(size, closed ? PROT_NONE : PROT_READ | PROT_WRITE);
    region.next = region.begin + kGap;
    region.end = region.begin + size;
  }
  // An odd multiple of the alignment, so that nobody relies on more of it than is promised.
  const uint64_t base = round_up(region.next, 2 * alignment) + alignment;
  const uint64_t next = round_up(base + bytes, Allocation::kPage) + kGap;
  if (next < base || next > region.end) return 0;
  region.next = next;
  return base;
}

Allocation* DeviceMemory::allocate(uint64_t size, MemoryKind kind, std::string label,
                                   uint64_t alignment) {
  const bool on_device = kind == MemoryKind::kDevice || kind == MemoryKind::kManaged;
  if (on_device && (size > capacity_ || in_use_ > capacity_ - size)) return nullptr;
  if (size > (uint64_t{1} << 40)) return nullptr;
  const uint64_t base = place(size, kind, alignment);
  if (!base) return nullptr;
  auto allocation = std::make_unique<Allocation>();
  allocation->base = base;
  allocation->size = size;
  allocation->number = ++count_;
  allocation->kind = kind;
  allocation->label = std::move(label);
  track(*allocation);
  if (on_device) {
    in_use_ += size;
    peak_ = std::max(peak_, in_use_);
  }
  const bool closes = kind == MemoryKind::kDevice && closed_;
  const Range pages = pages_of(*allocation);
  if (closes) set_protection(pages, PROT_READ | PROT_WRITE);
  if (!bare_) std::memset(reinterpret_cast<void*>(base), kPoison, size);
  if (closes && open_ == 0) set_protection(pages, PROT_NONE);
  return (live_[base] = std::move(allocation)).get();
}

Allocation* DeviceMemory::enter(uint64_t base, uint64_t size, MemoryKind kind, std::string label) {
  const Allocation* before = below(live_, base + size - 1);
  if (size == 0 || (before && before->end() > base)) return nullptr;
  auto allocation = std::make_unique<Allocation>();
  allocation->base = base;
  allocation->size = size;
  allocation->number = ++count_;
  allocation->kind = kind;
  allocation->label = std::move(label);
  allocation->owned = false;
  track(*allocation);
  return (live_[base] = std::move(allocation)).get();
}

void DeviceMemory::release(uint64_t base) {
  auto found = live_.find(base);
  if (found == live_.end()) return;
  std::unique_ptr<Allocation> allocation = std::move(found->second);
  live_.erase(found);
  untrack(*allocation);
  if (!allocation->owned) return;
  if (allocation->kind == MemoryKind::kDevice || allocation->kind == MemoryKind::kManaged)
    in_use_ -= allocation->size;
  // Whole pages go back; the program's use of the range is a fault from now on.
  const uint64_t begin = round_up(base, Allocation::kPage);
  const uint64_t end = allocation->end() / Allocation::kPage * Allocation::kPage;
  if (end > begin) {
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    if (allocation->kind != MemoryKind::kDevice) set_protection({begin, end}, PROT_NONE);
  }
  if (allocation->kind == MemoryKind::kDevice && closed_) {
    set_protection(pages_of(*allocation), PROT_NONE);
    if (++closed_again_ % kJoinEvery == 0) join_free_space();
  }
  allocation->freed = true;
  freed_order_.push_back(base);
  freed_[base] = std::move(allocation);
  if (freed_order_.size() > kFreedKept) forget_oldest_freed();
}

// Changed pages are mappings of their own, of which a process may have 65530: now and then the
// space between living allocations becomes one again.
void DeviceMemory::join_free_space() {
  uint64_t begin = device_.begin;
  const auto join_to = [&](uint64_t end) {
    if (end > begin)
      mmap(reinterpret_cast<void*>(begin), end - begin, PROT_NONE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  };
  for (const auto& [base, allocation] : live_) {
    if (base < device_.begin || base >= device_.end || !allocation->owned) continue;
    const Range pages = pages_of(*allocation);
    join_to(pages.begin);
    begin = pages.end;
  }
  join_to(device_.next);
}

void DeviceMemory::forget_oldest_freed() {
  freed_.erase(freed_order_.front());
  freed_order_.pop_front();
}

const Allocation* DeviceMemory::find(uint64_t address) const {
  const Allocation* candidate = below(live_, address);
  return candidate && candidate->contains(address) ? candidate : nullptr;
}

Allocation* DeviceMemory::find_base(uint64_t base) {
  auto found = live_.find(base);
  return found == live_.end() ? nullptr : found->second.get();
}

std::string DeviceMemory::describe(uint64_t address, uint64_t bytes) const {
  const std::string what = std::to_string(bytes) + " bytes at " + hex(address) + ": ";
  if (address < Allocation::kPage) return what + "a null pointer, or an offset from one";
  const Allocation* before = below(live_, address);
  if (before && before->contains(address, bytes)) return what + "inside " + words_of(*before);
  if (before && before->contains(address))
    return what + "the last " + std::to_string(address + bytes - before->end()) +
           " of them lie past the end of " + words_of(*before);
  const Allocation* freed = below(freed_, address);
  if (freed && freed->contains(address)) return what + "inside " + words_of(*freed) + ", freed";
  const bool ours = is_ours(address);
  auto after = live_.upper_bound(address);
  const uint64_t above = after == live_.end() ? UINT64_MAX : after->first - address;
  const uint64_t past = before ? address - before->end() : UINT64_MAX;
  constexpr uint64_t kNear = uint64_t{1} << 32;
  if (past < kNear && past <= above && (ours || past < kGap))
    return what + std::to_string(past) + " bytes past the end of " + words_of(*before);
  if (above < kNear && (ours || above < kGap))
    return what + std::to_string(above) + " bytes before " + words_of(*after->second);
  return what + (ours ? "in no allocation"
                      : "host memory that is neither pinned nor managed, or no memory at all");
}

// ---- Shadow bytes -------------------------------------------------------------------------------

void DeviceMemory::track(Allocation& allocation) {
  static_assert(sizeof(std::atomic<uint8_t>) == 1, "one byte of shadow per byte of memory");
  if (!tracking_ || allocation.size == 0) return;
  const uint64_t pages = allocation.size / Allocation::kPage + 1;
  void* shadow = mmap(nullptr, allocation.size + pages, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (shadow == MAP_FAILED) throw std::bad_alloc();
  allocation.shadow = static_cast<std::atomic<uint8_t>*>(shadow);
  allocation.touched = allocation.shadow + allocation.size;
  // What the host wrote cannot be seen, so memory that the host can write counts as written.
  if (allocation.kind != MemoryKind::kDevice) std::memset(shadow, kInitialised, allocation.size);
}

void DeviceMemory::untrack(Allocation& allocation) {
  if (!allocation.shadow) return;
  munmap(static_cast<void*>(allocation.shadow),
         allocation.size + allocation.size / Allocation::kPage + 1);
  allocation.shadow = allocation.touched = nullptr;
}

std::vector<Footprint> DeviceMemory::take_footprints() {
  std::vector<Footprint> footprints;
  const auto extend = [](std::vector<Range>& ranges, uint64_t address) {
    if (!ranges.empty() && ranges.back().end == address)
      ++ranges.back().end;
    else
      ranges.push_back({address, address + 1});
  };
  for (auto& [base, allocation] : live_) {
    if (!allocation->shadow) continue;
    Footprint footprint;
    footprint.allocation = allocation.get();
    for (uint64_t page = 0; page <= allocation->size / Allocation::kPage; ++page) {
      if (!allocation->touched[page].load(std::memory_order_relaxed)) continue;
      allocation->touched[page].store(0, std::memory_order_relaxed);
      const uint64_t last = std::min((page + 1) * Allocation::kPage, allocation->size);
      for (uint64_t i = page * Allocation::kPage; i < last; ++i) {
        const uint8_t flags = allocation->shadow[i].load(std::memory_order_relaxed);
        if (!(flags & (kRead | kWritten))) continue;
        if (flags & kRead) extend(footprint.read, base + i);
        if (flags & kWritten) extend(footprint.written, base + i);
        allocation->shadow[i].store(flags & kInitialised, std::memory_order_relaxed);
      }
    }
    if (!footprint.read.empty() || !footprint.written.empty())
      footprints.push_back(std::move(footprint));
  }
  return footprints;
}

void DeviceMemory::copy_initialised(uint64_t to, uint64_t from, uint64_t bytes) {
  const Allocation* target = find(to);
  if (!target || !target->shadow) return;
  const Allocation* source = find(from);
  const bool known = source && source->shadow;
  for (uint64_t i = 0; i < bytes; ++i) {
    const bool initialised =
        !known ||
        (source->shadow[from - source->base + i].load(std::memory_order_relaxed) & kInitialised);
    auto& flags = target->shadow[to - target->base + i];
    if (initialised)
      flags.fetch_or(kInitialised, std::memory_order_relaxed);
    else
      flags.fetch_and(static_cast<uint8_t>(~kInitialised), std::memory_order_relaxed);
  }
}

// ---- Closing device memory to the host ----------------------------------------------------------

// Says what a fault of the host was about, and lets it happen again as it would have happened.
void DeviceMemory::explain_fault(int signal, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uint64_t>(info->si_addr);
  if (instance().is_ours(address)) {
    const std::string message =
        "emulator: host code touched device memory, " + instance().describe(address, 1) + "\n";
    (void)!write(STDERR_FILENO, message.data(), message.size());
  }
  sigaction(signal, &before_, nullptr);
}

struct sigaction DeviceMemory::before_;

void DeviceMemory::set_closed(bool closed) {
  if (closed && !closed_) {
    struct sigaction ours = {};
    ours.sa_sigaction = explain_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &ours, &before_);
  }
  closed_ = closed;
  protect();
}

void DeviceMemory::open() {
  if (open_++ == 0 && closed_) protect();
}

void DeviceMemory::close() {
  if (--open_ == 0 && closed_) protect();
}

// Only what is alive: the whole range grows with every allocation that was ever made, and a change
// of its protection takes longer and longer. Neighbours change together.
void DeviceMemory::protect() {
  const int protection = closed_ && open_ == 0 ? PROT_NONE : PROT_READ | PROT_WRITE;
  Range run;
  for (const auto& [base, allocation] : live_) {
    if (allocation->kind != MemoryKind::kDevice || !allocation->owned) continue;
    const Range pages = pages_of(*allocation);
    if (run.end && pages.begin - run.end <= 2 * kGap) {
      run.end = pages.end;
      continue;
    }
    if (run.end) set_protection(run, protection);
    run = pages;
  }
  if (run.end) set_protection(run, protection);
}

}  // namespace emulator
