// The devices that a program can run on, and the memory each of them gives.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace striate {

enum class DeviceType { kCpu, kCuda };

struct Device {
  DeviceType type = DeviceType::kCpu;
  int index = 0;

  /// Print as `cpu` or `cuda:0`.
  std::string to_string() const;
  friend bool operator==(Device a, Device b) { return a.type == b.type && a.index == b.index; }
  friend bool operator!=(Device a, Device b) { return !(a == b); }
};

/// Work of a device that was recorded once and can be given to it again and again as one piece.
class Recording {
 public:
  virtual ~Recording() = default;
  /// Give the work to the device. Returns before it is done.
  virtual void replay() = 0;
  /// Return the number of kernels, copies and fills.
  virtual int nodes() const = 0;
};

/// What a kind of device does for the core: memory, copies and the order of work. The CUDA plug-in
/// adds its own. A device other than the CPU does what it is given later, in order (its stream);
/// copies between it and the host, but for the staged ones, return when they are done.
class Backend {
 public:
  virtual ~Backend() = default;
  /// Return `bytes` aligned to 64 (CUDA: 256). Throws OutOfMemoryError with the bytes asked.
  virtual void* allocate(size_t bytes, int index) = 0;
  virtual void release(void* data, size_t bytes, int index) noexcept = 0;
  virtual void copy_to_host(void* host, const void* data, size_t bytes, int index) = 0;
  virtual void copy_from_host(void* data, const void* host, size_t bytes, int index) = 0;
  /// Return the stream that kernels are given to; null on the CPU, which does all at once.
  virtual void* stream(int) { return nullptr; }
  /// Wait until all work given to the device is done. Throws DeviceError when some of it failed.
  virtual void wait(int) {}
  /// Copy on the device, in the order of its stream.
  virtual void copy(void* to, const void* from, size_t bytes, int index) = 0;
  /// Return host memory that the device reads and writes by itself. Throws OutOfMemoryError.
  virtual void* allocate_staging(size_t bytes, int index) = 0;
  virtual void release_staging(void* data, int index) noexcept = 0;
  /// Copy from and to staging memory, in the order of the stream; they return at once.
  virtual void upload(void* to, const void* staging, size_t bytes, int index) = 0;
  virtual void download(void* staging, const void* from, size_t bytes, int index) = 0;
  /// Copy from staging memory beside the stream's work: one copy after another, each after what
  /// the last `copies_after_work` named.
  virtual void upload_beside(void* to, const void* staging, size_t bytes, int index) {
    upload(to, staging, bytes, index);
  }
  /// Let copies beside the stream begin after all that the stream was given so far.
  virtual void copies_after_work(int) {}
  /// Let what the stream is given from now on begin after the copies beside it.
  virtual void work_after_copies(int) {}
  /// Wait for the copies beside the stream. What fails there, the next call tells.
  virtual void wait_for_copies(int) noexcept {}
  /// Record what `work` gives to the stream instead of doing it; null where a device cannot.
  virtual std::unique_ptr<Recording> record(const std::function<void()>&, int) { return {}; }
  /// Print what the device is: its name, instruction set or compute capability.
  virtual std::string describe(int index) const = 0;
  virtual int count() const = 0;
};

/// Return the backend of a kind. Throws DeviceError that says why it is absent.
Backend& backend(DeviceType type);
/// Add a backend; called once by the plug-in when it is loaded.
void register_backend(DeviceType type, Backend* backend);

/// Parse `auto`, `cpu`, `cuda` or `cuda:1`. Throws DeviceError when the device is absent.
Device device_from_name(const std::string& name);
/// Return all devices that can be used now, the CPU first.
std::vector<Device> devices();

}  // namespace striate
