#include <striate/core/allocator.h>
#include <striate/core/error.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <mutex>
#include <utility>

namespace striate {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kReuse = false;  // so that it sees each block's own bounds and its end
#else
constexpr bool kReuse = true;
#endif

std::atomic<int64_t> allocations{0}, live_bytes{0}, peak_bytes{0};

void count_allocation(int64_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const int64_t live = live_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t peak = peak_bytes.load(std::memory_order_relaxed);
  while (live > peak && !peak_bytes.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
  }
}

/// Freed CPU blocks that wait for the next tensor of about their size, so that a call in a loop
/// does not fetch its pages from the system each time. Bounded in number and in bytes; the oldest
/// goes first. Never destroyed, since buffers of static objects come back after main.
class FreeBlocks {
 public:
  static constexpr size_t kLargest = size_t{16} << 20;
  static constexpr size_t kCapacity = size_t{64} << 20;
  static constexpr int kMaxBlocks = 256;

  /// Return the size that a request is rounded up to: eight steps per power of two, of 64 bytes
  /// to 2 MiB.
  static size_t rounded(size_t bytes) {
    if (!kReuse || bytes > SIZE_MAX / 2) return bytes;  // the backend refuses the latter
    const size_t last = std::max<size_t>(bytes, 1) - 1;
    const size_t step = std::clamp(std::bit_floor(last) / 8, size_t{64}, size_t{2} << 20);
    return (last / step + 1) * step;
  }

  void* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    for (int i = count_ - 1; i >= 0; --i)
      if (blocks_[i].bytes == bytes) {
        void* data = blocks_[i].data;
        remove(i);
        return data;
      }
    return nullptr;
  }

  void give(void* data, size_t bytes, Backend& cpu) noexcept {
    const std::lock_guard lock(mutex_);
    while (count_ == kMaxBlocks || held_ + bytes > kCapacity) drop_oldest(cpu);
    blocks_[count_++] = {data, bytes};
    held_ += bytes;
  }

  void clear(Backend& cpu) {
    const std::lock_guard lock(mutex_);
    while (count_ > 0) drop_oldest(cpu);
  }

 private:
  struct Block {
    void* data = nullptr;
    size_t bytes = 0;
  };

  void remove(int i) {
    held_ -= blocks_[i].bytes;
    std::move(blocks_.begin() + i + 1, blocks_.begin() + count_, blocks_.begin() + i);
    --count_;
  }

  void drop_oldest(Backend& cpu) {
    const Block oldest = blocks_[0];
    remove(0);
    cpu.release(oldest.data, oldest.bytes, 0);
  }

  std::mutex mutex_;
  std::array<Block, kMaxBlocks> blocks_;
  int count_ = 0;
  size_t held_ = 0;
};

constinit FreeBlocks free_blocks;

void* allocate_cpu(size_t bytes) {
  Backend& cpu = backend(DeviceType::kCpu);
  const size_t size = FreeBlocks::rounded(bytes);
  if (kReuse && size <= FreeBlocks::kLargest)
    if (void* data = free_blocks.take(size)) return data;
  try {
    return cpu.allocate(size, 0);
  } catch (const OutOfMemoryError&) {
    free_blocks.clear(cpu);
    return cpu.allocate(size, 0);
  }
}

void release_cpu(void* data, size_t bytes) noexcept {
  Backend& cpu = backend(DeviceType::kCpu);
  const size_t size = FreeBlocks::rounded(bytes);
  if (kReuse && size <= FreeBlocks::kLargest)
    free_blocks.give(data, size, cpu);
  else
    cpu.release(data, size, 0);
}

}  // namespace

std::shared_ptr<Buffer> Buffer::allocate(size_t bytes, Device device) {
  struct Made : Buffer {};  // make_shared needs a public constructor
  auto buffer = std::make_shared<Made>();
  buffer->device_ = device;
  buffer->data_ = device.type == DeviceType::kCpu
                      ? allocate_cpu(bytes)
                      : backend(device.type).allocate(bytes, device.index);
  buffer->bytes_ = bytes;
  count_allocation(static_cast<int64_t>(bytes));
  return buffer;
}

std::shared_ptr<Buffer> Buffer::wrap(void* data, size_t bytes, Device device,
                                     std::function<void()> release) {
  struct Made : Buffer {};
  auto buffer = std::make_shared<Made>();
  buffer->device_ = device;
  buffer->data_ = data;
  buffer->bytes_ = bytes;
  buffer->release_ = release ? std::move(release) : [] {};
  return buffer;
}

Buffer::~Buffer() {
  if (release_) {
    release_();
  } else if (data_) {
    live_bytes.fetch_sub(static_cast<int64_t>(bytes_), std::memory_order_relaxed);
    if (device_.type == DeviceType::kCpu)
      release_cpu(data_, bytes_);
    else
      backend(device_.type).release(data_, bytes_, device_.index);
  }
}

MemoryStats memory_stats() {
  return {allocations.load(std::memory_order_relaxed), live_bytes.load(std::memory_order_relaxed),
          peak_bytes.load(std::memory_order_relaxed)};
}

}  // namespace striate
