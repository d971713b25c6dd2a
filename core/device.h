// The devices that a program can run on, and the memory each of them gives.
#pragma once

#include <cstddef>
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

/// What a kind of device does for the core: memory and copies. The CUDA plug-in adds its own.
class Backend {
 public:
  virtual ~Backend() = default;
  /// Return `bytes` aligned to 64 (CUDA: 256). Throws OutOfMemoryError with the bytes asked.
  virtual void* allocate(size_t bytes, int index) = 0;
  virtual void release(void* data, size_t bytes, int index) noexcept = 0;
  virtual void copy_to_host(void* host, const void* data, size_t bytes, int index) = 0;
  virtual void copy_from_host(void* data, const void* host, size_t bytes, int index) = 0;
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
