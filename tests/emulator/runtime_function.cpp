// What a program asks and sets about a kernel: attributes, shared memory, occupancy.
#include <algorithm>
#include <cstring>

#include "parse.h"
#include "runtime.h"

using namespace emulator;

extern "C" {

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  return api("cudaFuncGetAttributes", [&] {
    require(attributes, "the place for the attributes is null");
    Kernel* kernel = kernel_of(function);
    const Function& parsed = function_of(*kernel);
    std::memset(attributes, 0, sizeof *attributes);
    attributes->sharedSizeBytes = parsed.static_shared;
    attributes->maxThreadsPerBlock =
        parsed.max_threads ? static_cast<int>(std::min(parsed.max_threads, 1024u)) : 1024;
    attributes->numRegs = registers_of(*kernel);
    attributes->ptxVersion = static_cast<int>(module_of(*kernel->binary).target);
    attributes->binaryVersion = device_limits().capability;
    attributes->maxDynamicSharedSizeBytes =
        kernel->dynamic_shared_limit > (48 << 10)
            ? kernel->dynamic_shared_limit
            : kernel->dynamic_shared_limit - static_cast<int>(parsed.static_shared);
    attributes->preferredShmemCarveout = kernel->carveout;
  });
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  return api("cudaFuncSetAttribute", [&] {
    Kernel* kernel = kernel_of(function);
    const Function& parsed = function_of(*kernel);
    const int limit =
        device_limits().shared_per_block_optin - static_cast<int>(parsed.static_shared);
    if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
      require(value >= 0 && value <= limit,
              std::to_string(value) + " bytes of dynamic shared memory for kernel `" +
                  name_of(*kernel) + "`; the device allows " + std::to_string(limit));
      kernel->dynamic_shared_limit = value;
    } else if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) {
      require(value >= -1 && value <= 100, "a carveout is -1, or 0 to 100 percent");
      kernel->carveout = value;
    } else {
      refuse(cudaErrorInvalidValue, "the stand-in knows no such attribute of a kernel");
    }
  });
}

cudaError_t cudaFuncSetCacheConfig(const void* function, cudaFuncCache) {
  return api("cudaFuncSetCacheConfig", [&] { kernel_of(function); });
}

cudaError_t cudaFuncGetName(const char** name, const void* function) {
  return api("cudaFuncGetName", [&] {
    require(name, "the place for the name is null");
    *name = kernel_of(function)->name.c_str();
  });
}

cudaError_t cudaFuncGetParamInfo(const void* function, size_t index, size_t* offset, size_t* size) {
  return api("cudaFuncGetParamInfo", [&] {
    const Function& parsed = function_of(*kernel_of(function));
    require(index < parsed.parameters.size() && offset, "no such parameter");
    *offset = parsed.parameters[index].offset;
    if (size) *size = parsed.parameters[index].bytes;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks,
                                                                   const void* function,
                                                                   int threads, size_t shared,
                                                                   unsigned int) {
  return api("cudaOccupancyMaxActiveBlocksPerMultiprocessor", [&] {
    require(blocks && threads > 0, "no place for the number, or no threads");
    *blocks = blocks_per_multiprocessor(*kernel_of(function), threads, shared);
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function,
                                                          int threads, size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, shared,
                                                                cudaOccupancyDefault);
}

cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, const void* function,
                                                      int blocks, int threads) {
  return api("cudaOccupancyAvailableDynamicSMemPerBlock", [&] {
    require(bytes && blocks > 0 && threads > 0, "no place for the number, no blocks or no threads");
    const DeviceLimits& limits = device_limits();
    const int each = limits.shared_per_multiprocessor / blocks / 128 * 128 - limits.shared_reserved;
    const int room = std::min(each, limits.shared_per_block_optin) -
                     static_cast<int>(function_of(*kernel_of(function)).static_shared);
    *bytes = static_cast<size_t>(std::max(room, 0));
  });
}

}  // extern "C"
