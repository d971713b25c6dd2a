// The map of everything a kernel may touch: allocations, what is known of their bytes, and what was
// freed.
//
// Device addresses are host addresses inside one large reserved range, so the executor reads and
// writes them directly. Each allocation ends in an inaccessible gap, no address is given out twice
// while there is room, and outside of executed work the range is closed to the host, so that host
// code that follows a device pointer faults as it does on a real machine.
#pragma once

#include <signal.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace emulator {

enum class MemoryKind { kDevice, kPinned, kManaged, kRegistered };

/// Return "device", "pinned host", "managed" or "registered host".
const char* name_of(MemoryKind kind);

/// Flags of one byte of memory, kept in a shadow byte of the same index (full mode only).
enum Shadow : uint8_t {
  kInitialised = 1,  // somebody has written the byte
  kRead = 2,         // read by the work that runs now
  kWritten = 4,      // written by the work that runs now
};

/// Bytes [begin, end) of the address space.
struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// One live or freed allocation; `base` and `size` are what the program asked for.
struct Allocation {
  static constexpr uint64_t kPage = 4096;

  uint64_t base = 0;
  uint64_t size = 0;
  uint64_t number = 0;  // counts from 1, in the order of allocation
  MemoryKind kind = MemoryKind::kDevice;
  bool freed = false;
  bool in_stream = false;                   // by cudaMallocAsync
  bool free_queued = false;                 // by cudaFreeAsync: a second free is an error
  std::string label;                        // "cudaMalloc", "variable `weights`"
  bool owned = true;                        // false: memory of the program's, entered into the map
  std::atomic<uint8_t>* shadow = nullptr;   // `size` flags, null unless tracked
  std::atomic<uint8_t>* touched = nullptr;  // per page of the shadow: has flags of the running work

  uint64_t end() const { return base + size; }
  bool contains(uint64_t address) const { return address - base < size; }
  bool contains(uint64_t address, uint64_t bytes) const {
    return address - base <= size && bytes <= size - (address - base);
  }

  /// Tell whether every byte has been written by somebody; true when nothing is tracked.
  bool is_initialised(uint64_t address, uint64_t bytes) const {
    if (!shadow) return true;
    for (uint64_t i = address - base, last = i + bytes; i < last; ++i)
      if (!(shadow[i].load(std::memory_order_relaxed) & kInitialised)) return false;
    return true;
  }
  /// Record a read by the work that runs now.
  void note_read(uint64_t address, uint64_t bytes) const { mark(address, bytes, kRead); }
  /// Record a write by the work that runs now; the bytes count as initialised.
  void note_write(uint64_t address, uint64_t bytes) const {
    mark(address, bytes, kWritten | kInitialised);
  }

 private:
  void mark(uint64_t address, uint64_t bytes, int flags) const {
    if (!shadow || bytes == 0) return;
    const uint64_t first = address - base;
    for (uint64_t i = first; i < first + bytes; ++i)
      if ((shadow[i].load(std::memory_order_relaxed) & flags) != flags)
        shadow[i].fetch_or(static_cast<uint8_t>(flags), std::memory_order_relaxed);
    for (uint64_t page = first / kPage; page <= (first + bytes - 1) / kPage; ++page)
      touched[page].store(1, std::memory_order_relaxed);
  }
};

/// What the work that ran since the last call read and wrote, as sorted ranges of one allocation.
struct Footprint {
  const Allocation* allocation = nullptr;
  std::vector<Range> read;
  std::vector<Range> written;
};

class DeviceMemory {
 public:
  /// The one map of the process.
  static DeviceMemory& instance();

  /// Set the simulated size of the device's memory, before the first allocation.
  void set_capacity(uint64_t bytes) { capacity_ = bytes; }
  /// Keep shadow bytes for allocations made from now on (full mode).
  void set_tracking(bool tracking) { tracking_ = tracking; }
  /// Leave new memory as it comes instead of filling it: pages that nobody touches cost nothing.
  void set_bare(bool bare) { bare_ = bare; }
  /// Close device memory to the host whenever no Access is alive.
  void set_closed(bool closed);

  /// Return memory filled with poison (0xff: NaN, -1), or null when the device is full.
  /// `alignment` is a power of two; addresses are not aligned to more than it by chance.
  Allocation* allocate(uint64_t size, MemoryKind kind, std::string label, uint64_t alignment = 256);
  /// Enter host memory that the program owns into the map; null when it overlaps another entry.
  Allocation* enter(uint64_t base, uint64_t size, MemoryKind kind, std::string label);
  /// Close a live allocation and keep its range for messages. Other addresses are ignored.
  void release(uint64_t base);

  /// Return the live allocation that holds `address`, or null. The pointer stays good while no
  /// allocation is made or freed; nothing is during a launch.
  const Allocation* find(uint64_t address) const;
  /// Return the live allocation that starts at `base`, or null.
  Allocation* find_base(uint64_t base);
  /// Tell whether an address lies in the regions that allocations come from, live or not.
  bool is_ours(uint64_t address) const {
    return (address >= device_.begin && address < device_.end) ||
           (address >= host_.begin && address < host_.end);
  }
  /// Say in words where an access of `bytes` at `address` lies, for messages.
  std::string describe(uint64_t address, uint64_t bytes) const;

  uint64_t capacity() const { return capacity_; }
  uint64_t in_use() const { return in_use_; }
  uint64_t peak() const { return peak_; }
  /// Count the live allocations, for a leak report.
  size_t live() const { return live_.size(); }

  /// Return and forget what was noted since the last call, by allocation.
  std::vector<Footprint> take_footprints();
  /// Copy `bytes` of initialised flags, as a copy of the bytes themselves does.
  void copy_initialised(uint64_t to, uint64_t from, uint64_t bytes);

  /// While one is alive, device memory is open to this process.
  class Access {
   public:
    Access() { DeviceMemory::instance().open(); }
    ~Access() { DeviceMemory::instance().close(); }
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;
  };

 private:
  DeviceMemory() = default;
  static void explain_fault(int signal, siginfo_t* info, void* context);
  static struct sigaction before_;  // what the program does about such a fault
  void open();
  void close();
  void protect();
  uint64_t place(uint64_t bytes, MemoryKind kind, uint64_t alignment);
  void forget_oldest_freed();
  void join_free_space();
  void track(Allocation& allocation);
  void untrack(Allocation& allocation);

  std::map<uint64_t, std::unique_ptr<Allocation>> live_;   // by base
  std::map<uint64_t, std::unique_ptr<Allocation>> freed_;  // by base
  std::deque<uint64_t> freed_order_;
  uint64_t closed_again_ = 0;
  struct Region {
    uint64_t begin = 0, next = 0, end = 0;  // `next`: first address never given out
  };
  Region device_, host_;  // host_: pinned and managed, never closed
  uint64_t capacity_ = uint64_t{2} << 30;
  uint64_t in_use_ = 0;  // of the device
  uint64_t peak_ = 0;
  uint64_t count_ = 0;
  int open_ = 0;
  bool tracking_ = false;
  bool bare_ = false;
  bool closed_ = false;
};

}  // namespace emulator
