// Shared, counted device memory.
#pragma once

#include <striate/core/device.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace striate {

/// A block of device memory, returned to its device when the last holder lets go.
class Buffer {
 public:
  /// Allocate `bytes` (0 gives a valid empty buffer). Throws OutOfMemoryError.
  static std::shared_ptr<Buffer> allocate(size_t bytes, Device device = {});
  /// Wrap memory of somebody else; `release` runs when the last holder lets go.
  static std::shared_ptr<Buffer> wrap(void* data, size_t bytes, Device device,
                                      std::function<void()> release);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  Buffer() = default;

  void* data_ = nullptr;
  size_t bytes_ = 0;
  Device device_;
  std::function<void()> release_;
};

/// Counts of all buffers ever allocated on all devices.
struct MemoryStats {
  int64_t allocations = 0;
  int64_t bytes = 0;
  int64_t peak = 0;
};
MemoryStats memory_stats();

}  // namespace striate
