// The device that the stand-in poses as: its properties, limits and versions, and occupancy.
#include <algorithm>
#include <cstring>

#include "device_memory.h"
#include "parse.h"
#include "runtime.h"

using namespace emulator;

namespace emulator {
namespace {

// A V100, which is too old, a T4, an A100 and an H100 by the tables of the CUDA programming guide.
constexpr DeviceLimits kDevices[] = {
    {70, 80, 2048, 32, 96 << 10, 96 << 10, 0, "emulator posing as compute capability 7.0"},
    {75, 40, 1024, 16, 64 << 10, 64 << 10, 0, "emulator posing as compute capability 7.5"},
    {80, 108, 2048, 32, 164 << 10, 163 << 10, 1 << 10, "emulator posing as compute capability 8.0"},
    {90, 132, 2048, 32, 228 << 10, 227 << 10, 1 << 10, "emulator posing as compute capability 9.0"},
};
constexpr int kRegisters = 65536;  // of a multiprocessor
constexpr int kAssumedRegisters = 32;

int round_up(int value, int to) { return (value + to - 1) / to * to; }

void check_device(int device) {
  if (device != 0) refuse(cudaErrorInvalidDevice, "the device's number is 0");
}

}  // namespace

const DeviceLimits& device_limits() {
  for (const DeviceLimits& limits : kDevices)
    if (limits.capability == static_cast<int>(environment_settings().capability)) return limits;
  refuse(cudaErrorInvalidDevice, "EMULATOR_CAPABILITY must be 7.0, 7.5, 8.0 or 9.0");
}

int registers_of(Kernel& kernel) {
  if (const int known = known_registers_of(kernel)) return known;
  const Function& function = function_of(kernel);
  const u32 threads = function.max_threads * std::max(function.min_blocks, 1u);
  return threads == 0 ? kAssumedRegisters
                      : std::min<int>(kAssumedRegisters, kRegisters / static_cast<int>(threads));
}

// A warp gets registers in units of 256; each of four partitions has its own.
int warps_by_registers(int registers) {
  return kRegisters / 4 / round_up(std::max(registers, 1) * 32, 256) * 4;
}

int blocks_per_multiprocessor(Kernel& kernel, int threads, size_t dynamic_shared) {
  const DeviceLimits& limits = device_limits();
  const int warps = (threads + 31) / 32;
  const int shared = static_cast<int>(function_of(kernel).static_shared + dynamic_shared);
  if (threads <= 0 || threads > 1024 || shared > limits.shared_per_block_optin) return 0;
  const int each = round_up(shared + limits.shared_reserved, 128);
  const int by_shared =
      each == 0 ? limits.blocks_per_multiprocessor : limits.shared_per_multiprocessor / each;
  return std::min({limits.blocks_per_multiprocessor, limits.threads_per_multiprocessor / 32 / warps,
                   by_shared, warps_by_registers(registers_of(kernel)) / warps});
}

namespace {

cudaDeviceProp properties() {
  const DeviceLimits& limits = device_limits();
  cudaDeviceProp p;
  std::memset(&p, 0, sizeof p);
  std::strncpy(p.name, limits.name, sizeof p.name - 1);
  p.totalGlobalMem = DeviceMemory::instance().capacity();
  p.sharedMemPerBlock = 48 << 10;
  p.regsPerBlock = p.regsPerMultiprocessor = kRegisters;
  p.warpSize = 32;
  p.memPitch = 0x7fffffff;
  p.maxThreadsPerBlock = 1024;
  p.maxThreadsDim[0] = p.maxThreadsDim[1] = 1024;
  p.maxThreadsDim[2] = 64;
  p.maxGridSize[0] = 0x7fffffff;
  p.maxGridSize[1] = p.maxGridSize[2] = 65535;
  p.totalConstMem = 64 << 10;
  p.major = limits.capability / 10;
  p.minor = limits.capability % 10;
  p.textureAlignment = 512;
  p.texturePitchAlignment = 32;
  p.multiProcessorCount = limits.multiprocessors;
  p.canMapHostMemory = p.concurrentKernels = p.unifiedAddressing = p.managedMemory = 1;
  p.asyncEngineCount = 3;
  p.memoryBusWidth = 5120;
  p.l2CacheSize = 40 << 20;
  p.maxThreadsPerMultiProcessor = limits.threads_per_multiprocessor;
  p.maxBlocksPerMultiProcessor = limits.blocks_per_multiprocessor;
  p.streamPrioritiesSupported = p.globalL1CacheSupported = p.localL1CacheSupported = 1;
  p.sharedMemPerMultiprocessor = limits.shared_per_multiprocessor;
  p.sharedMemPerBlockOptin = limits.shared_per_block_optin;
  p.reservedSharedMemPerBlock = limits.shared_reserved;
  p.concurrentManagedAccess = p.computePreemptionSupported = p.cooperativeLaunch = 1;
  p.canUseHostPointerForRegisteredMem = p.hostRegisterSupported = p.memoryPoolsSupported = 1;
  p.hostNumaId = p.deviceNumaId = -1;
  return p;
}

int attribute_of(const cudaDeviceProp& p, cudaDeviceAttr attribute) {
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      return p.maxThreadsPerBlock;
    case cudaDevAttrMaxBlockDimX:
      return p.maxThreadsDim[0];
    case cudaDevAttrMaxBlockDimY:
      return p.maxThreadsDim[1];
    case cudaDevAttrMaxBlockDimZ:
      return p.maxThreadsDim[2];
    case cudaDevAttrMaxGridDimX:
      return p.maxGridSize[0];
    case cudaDevAttrMaxGridDimY:
      return p.maxGridSize[1];
    case cudaDevAttrMaxGridDimZ:
      return p.maxGridSize[2];
    case cudaDevAttrMaxSharedMemoryPerBlock:
      return static_cast<int>(p.sharedMemPerBlock);
    case cudaDevAttrTotalConstantMemory:
      return static_cast<int>(p.totalConstMem);
    case cudaDevAttrWarpSize:
      return p.warpSize;
    case cudaDevAttrMaxPitch:
      return static_cast<int>(p.memPitch);
    case cudaDevAttrMaxRegistersPerBlock:
      return p.regsPerBlock;
    case cudaDevAttrClockRate:
      return 1410000;
    case cudaDevAttrMemoryClockRate:
      return 1215000;
    case cudaDevAttrTextureAlignment:
      return static_cast<int>(p.textureAlignment);
    case cudaDevAttrMultiProcessorCount:
      return p.multiProcessorCount;
    case cudaDevAttrIntegrated:
      return 0;
    case cudaDevAttrCanMapHostMemory:
      return p.canMapHostMemory;
    case cudaDevAttrComputeMode:
      return cudaComputeModeDefault;
    case cudaDevAttrConcurrentKernels:
      return p.concurrentKernels;
    case cudaDevAttrEccEnabled:
      return p.ECCEnabled;
    case cudaDevAttrGlobalMemoryBusWidth:
      return p.memoryBusWidth;
    case cudaDevAttrL2CacheSize:
      return p.l2CacheSize;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      return p.maxThreadsPerMultiProcessor;
    case cudaDevAttrAsyncEngineCount:
      return p.asyncEngineCount;
    case cudaDevAttrUnifiedAddressing:
      return p.unifiedAddressing;
    case cudaDevAttrComputeCapabilityMajor:
      return p.major;
    case cudaDevAttrComputeCapabilityMinor:
      return p.minor;
    case cudaDevAttrStreamPrioritiesSupported:
      return p.streamPrioritiesSupported;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      return static_cast<int>(p.sharedMemPerMultiprocessor);
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      return p.regsPerMultiprocessor;
    case cudaDevAttrManagedMemory:
      return p.managedMemory;
    case cudaDevAttrPageableMemoryAccess:
      return p.pageableMemoryAccess;
    case cudaDevAttrConcurrentManagedAccess:
      return p.concurrentManagedAccess;
    case cudaDevAttrComputePreemptionSupported:
      return p.computePreemptionSupported;
    case cudaDevAttrCooperativeLaunch:
      return p.cooperativeLaunch;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      return static_cast<int>(p.sharedMemPerBlockOptin);
    case cudaDevAttrHostRegisterSupported:
      return p.hostRegisterSupported;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      return p.maxBlocksPerMultiProcessor;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      return static_cast<int>(p.reservedSharedMemPerBlock);
    case cudaDevAttrMemoryPoolsSupported:
      return p.memoryPoolsSupported;
    case cudaDevAttrMaxPersistingL2CacheSize:
    case cudaDevAttrMaxAccessPolicyWindowSize:
    case cudaDevAttrGPUDirectRDMASupported:
    case cudaDevAttrClusterLaunch:
    case cudaDevAttrIsMultiGpuBoard:
    case cudaDevAttrHostNativeAtomicSupported:
    case cudaDevAttrPciBusId:
    case cudaDevAttrPciDeviceId:
    case cudaDevAttrPciDomainId:
      return 0;
    default:
      refuse(cudaErrorInvalidValue,
             "the stand-in has no value for device attribute " + std::to_string(attribute));
  }
}

struct Limit {
  cudaLimit name;
  size_t value;
};
Limit limits[] = {{cudaLimitStackSize, 1024},
                  {cudaLimitPrintfFifoSize, 1 << 20},
                  {cudaLimitMallocHeapSize, 8 << 20},
                  {cudaLimitMaxL2FetchGranularity, 64},
                  {cudaLimitPersistingL2CacheSize, 0}};

size_t& limit_of(cudaLimit name) {
  for (Limit& limit : limits)
    if (limit.name == name) return limit.value;
  refuse(cudaErrorUnsupportedLimit, "unknown limit");
}

}  // namespace
}  // namespace emulator

extern "C" {

cudaError_t cudaDriverGetVersion(int* version) {
  return api("cudaDriverGetVersion", Needs::kNothing, [&] {
    require(version, "the place for the version is null");
    *version = pose().driver;
  });
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return api("cudaRuntimeGetVersion", Needs::kNothing, [&] {
    require(version, "the place for the version is null");
    *version = pose().runtime;
  });
}

cudaError_t cudaGetDeviceCount(int* count) {
  return api("cudaGetDeviceCount", Needs::kNothing, [&] {
    require(count, "the place for the number is null");
    if (pose().devices == 0) *count = 0;
    check_pose();
    *count = pose().devices;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return api("cudaGetDevice", Needs::kPose, [&] {
    require(device, "the place for the number is null");
    *device = 0;
  });
}

cudaError_t cudaSetDevice(int device) {
  return api("cudaSetDevice", [&] { check_device(device); });
}

cudaError_t cudaInitDevice(int device, unsigned int, unsigned int) {
  return api("cudaInitDevice", [&] { check_device(device); });
}

cudaError_t cudaSetDeviceFlags(unsigned int) {
  return api("cudaSetDeviceFlags", Needs::kPose, [] {});
}

cudaError_t cudaGetDeviceFlags(unsigned int* flags) {
  return api("cudaGetDeviceFlags", Needs::kPose, [&] { *flags = cudaDeviceScheduleAuto; });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* result, int device) {
  return api("cudaGetDeviceProperties", Needs::kPose, [&] {
    require(result, "the place for the properties is null");
    check_device(device);
    *result = properties();
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return api("cudaDeviceGetAttribute", Needs::kPose, [&] {
    require(value, "the place for the value is null");
    check_device(device);
    *value = attribute_of(properties(), attribute);
  });
}

cudaError_t cudaDeviceSetLimit(cudaLimit name, size_t value) {
  return api("cudaDeviceSetLimit", [&] { limit_of(name) = value; });
}

cudaError_t cudaDeviceGetLimit(size_t* value, cudaLimit name) {
  return api("cudaDeviceGetLimit", [&] {
    require(value, "the place for the value is null");
    *value = limit_of(name);
  });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return api("cudaDeviceGetStreamPriorityRange", [&] {
    if (least) *least = 0;
    if (greatest) *greatest = -5;
  });
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  return api("cudaDeviceCanAccessPeer", [&] { *can = 0; });
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int size, int device) {
  return api("cudaDeviceGetPCIBusId", Needs::kPose, [&] {
    check_device(device);
    require(text && size >= 13, "no room for the text");
    std::strcpy(text, "0000:00:00.0");
  });
}

cudaError_t cudaDeviceReset() {
  return api("cudaDeviceReset", [&] {
    forbid_while_capturing("cudaDeviceReset");
    finish_everything();
  });
}

cudaError_t cudaProfilerStart() {
  return api("cudaProfilerStart", [] {});
}
cudaError_t cudaProfilerStop() {
  return api("cudaProfilerStop", [] {});
}

}  // extern "C"
