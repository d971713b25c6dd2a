#include <striate/core/device.h>
#include <striate/core/error.h>
#include <striate/core/plugin.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace striate {
namespace {

constexpr size_t kCacheLine = 64;
constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kAddressSpace = size_t{1} << 47;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kMapFrom = kAddressSpace;  // never: it sees the bounds of malloc's blocks alone
#else
constexpr size_t kMapFrom = kHugePage;
#endif

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0) {
      const size_t colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  return "CPU";
}

const char* instruction_set() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return "AVX-512";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "AVX2";
  return "SSE2";
#else
  return "portable code";
#endif
}

size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

/// Map memory at a multiple of 2 MiB, for pages of that size: a page fault each 2 MiB instead of
/// each 4 KiB makes the first touch about five times quicker. Null when there is no room.
void* map_large(size_t bytes) {
  const size_t size = whole_pages(bytes), space = size + kHugePage;
  void* mapped = mmap(nullptr, space, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const size_t past = reinterpret_cast<uintptr_t>(mapped) % kHugePage;
  const size_t head = past ? kHugePage - past : 0;
  char* data = static_cast<char*>(mapped) + head;
  if (head) munmap(mapped, head);
  munmap(data + size, space - size - head);
  madvise(data, size, MADV_HUGEPAGE);  // where it is not allowed nothing is lost
  return data;
}

void* take_small(size_t bytes) {
  void* data = nullptr;
  return posix_memalign(&data, kCacheLine, bytes ? bytes : 1) == 0 ? data : nullptr;
}

class CpuBackend : public Backend {
 public:
  void* allocate(size_t bytes, int) override {
    void* data = nullptr;
    if (bytes < kAddressSpace) data = bytes < kMapFrom ? take_small(bytes) : map_large(bytes);
    if (!data)
      throw OutOfMemoryError("the CPU's memory has no room for a tensor",
                             std::to_string(bytes) + " bytes asked",
                             "Use a smaller batch or close other programs");
    return data;
  }

  void release(void* data, size_t bytes, int) noexcept override {
    if (bytes < kMapFrom)
      std::free(data);
    else
      munmap(data, whole_pages(bytes));
  }

  void copy_to_host(void* host, const void* data, size_t bytes, int) override {
    if (bytes) std::memcpy(host, data, bytes);
  }

  void copy_from_host(void* data, const void* host, size_t bytes, int) override {
    if (bytes) std::memcpy(data, host, bytes);
  }

  void copy(void* to, const void* from, size_t bytes, int) override {
    if (bytes) std::memcpy(to, from, bytes);
  }

  void* allocate_staging(size_t bytes, int) override {
    if (void* data = take_small(bytes)) return data;
    throw OutOfMemoryError("the CPU's memory has no room for staging",
                           std::to_string(bytes) + " bytes asked");
  }
  void release_staging(void* data, int) noexcept override { std::free(data); }
  void upload(void* to, const void* from, size_t bytes, int index) override {
    copy(to, from, bytes, index);
  }
  void download(void* to, const void* from, size_t bytes, int index) override {
    copy(to, from, bytes, index);
  }

  std::string describe(int) const override { return cpu_name() + ", " + instruction_set(); }

  int count() const override { return 1; }
};

/// The backend of each kind; filled before main for the CPU, by the plug-in for CUDA.
std::atomic<Backend*>& slot(DeviceType type) {
  static CpuBackend cpu;
  static std::array<std::atomic<Backend*>, 2> slots = {&cpu, nullptr};
  return slots[static_cast<size_t>(type)];
}

}  // namespace

std::string Device::to_string() const {
  return type == DeviceType::kCpu ? "cpu" : "cuda:" + std::to_string(index);
}

namespace {

/// Return the CUDA plug-in's backend, having looked for the plug-in once; null without one.
Backend* cuda_backend() {
  if (cuda_plugin().loaded) return slot(DeviceType::kCuda).load(std::memory_order_acquire);
  return nullptr;
}

}  // namespace

Backend& backend(DeviceType type) {
  Backend* found =
      type == DeviceType::kCpu ? slot(type).load(std::memory_order_relaxed) : cuda_backend();
  if (!found)
    throw DeviceError("device 'cuda' cannot be used: " + cuda_plugin().reason, "",
                      cuda_plugin().fix);
  return *found;
}

void register_backend(DeviceType type, Backend* backend) {
  slot(type).store(backend, std::memory_order_release);
}

Device device_from_name(const std::string& name) {
  if (name == "cpu") return {};
  if (name == "auto") {
    Backend* cuda = cuda_backend();
    return cuda && cuda->count() > 0 ? Device{DeviceType::kCuda, 0} : Device{};
  }
  const bool numbered = name.rfind("cuda:", 0) == 0 && name.size() > 5 && name.size() < 9 &&
                        name.find_first_not_of("0123456789", 5) == std::string::npos;
  if (name != "cuda" && !numbered)
    throw DeviceError("a device is 'auto', 'cpu', 'cuda' or 'cuda:<number>'", "'" + name + "'");
  const Device device{DeviceType::kCuda, numbered ? std::atoi(name.c_str() + 5) : 0};
  const int count = backend(DeviceType::kCuda).count();
  if (device.index >= count)
    throw DeviceError("this machine has " + std::to_string(count) + " CUDA devices",
                      "'" + name + "'", "Use device 'cpu', which works everywhere");
  return device;
}

std::vector<Device> devices() {
  std::vector<Device> all = {Device{}};
  if (Backend* cuda = cuda_backend())
    for (int i = 0; i < cuda->count(); ++i) all.push_back({DeviceType::kCuda, i});
  return all;
}

}  // namespace striate
