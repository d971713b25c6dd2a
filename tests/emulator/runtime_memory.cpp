// Memory: allocation by every name it goes by, pools, and what a pointer is.
#include <cstring>

#include "device_memory.h"
#include "runtime.h"

// One pool stands for all: memory is not kept when it is freed, so attributes are only remembered.
struct CUmemPoolHandle_st {
  uint64_t release_threshold = 0;
  int reuse[3] = {1, 1, 1};
};

using namespace emulator;

namespace {

CUmemPoolHandle_st default_pool;

DeviceMemory& memory() { return DeviceMemory::instance(); }

void* pointer(u64 address) { return reinterpret_cast<void*>(address); }
u64 address_of(const void* pointer) { return reinterpret_cast<u64>(pointer); }

void allocate(void** result, size_t size, MemoryKind kind, const char* label) {
  require(result, "the place for the pointer is null");
  *result = nullptr;
  if (size == 0) return;
  const bool on_device = kind == MemoryKind::kDevice || kind == MemoryKind::kManaged;
  const u64 alignment = on_device ? 256 : 4096;
  const Allocation* allocation = memory().allocate(size, kind, label, alignment);
  if (!allocation)
    refuse(cudaErrorMemoryAllocation, std::to_string(size) + " bytes asked, " +
                                          std::to_string(memory().capacity() - memory().in_use()) +
                                          " of " + std::to_string(memory().capacity()) + " free");
  *result = pointer(allocation->base);
}

// Freeing waits for all work, as the real calls do.
void release(void* memory_pointer, const char* what, bool (*fits)(const Allocation&)) {
  if (!memory_pointer) return;
  finish_everything();
  const Allocation* allocation = memory().find_base(address_of(memory_pointer));
  require(allocation && fits(*allocation), std::string("not the start of ") + what + ": " +
                                               memory().describe(address_of(memory_pointer), 1));
  runtime().queue.forget_allocation(allocation->number);
  memory().release(allocation->base);
}

bool freed_by_cuda_free(const Allocation& allocation) {
  return allocation.kind == MemoryKind::kDevice || allocation.kind == MemoryKind::kManaged;
}

void allocate_in_stream(void** result, size_t size, cudaStream_t handle) {
  cudaStream_t stream = stream_of(handle);
  if (stream->capture)
    refuse(cudaErrorNotSupported, "the stand-in captures no allocations in a graph");
  require(result, "the place for the pointer is null");
  *result = nullptr;
  if (size == 0) return;
  if (size > memory().capacity() - memory().in_use()) finish_everything();
  allocate(result, size, MemoryKind::kDevice, "cudaMallocAsync");
  memory().find_base(address_of(*result))->in_stream = true;
  submit(stream, PoolWork{address_of(*result), false});
}

void check_pool(cudaMemPool_t pool) { require(pool == &default_pool, "not a pool of the device"); }

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** result, size_t size) {
  return api("cudaMalloc", [&] {
    forbid_while_capturing("cudaMalloc");
    allocate(result, size, MemoryKind::kDevice, "cudaMalloc");
  });
}

cudaError_t cudaMallocPitch(void** result, size_t* pitch, size_t width, size_t height) {
  return api("cudaMallocPitch", [&] {
    forbid_while_capturing("cudaMallocPitch");
    require(pitch, "the place for the pitch is null");
    *pitch = (width + 511) / 512 * 512;
    allocate(result, *pitch * height, MemoryKind::kDevice, "cudaMallocPitch");
  });
}

cudaError_t cudaMallocManaged(void** result, size_t size, unsigned int flags) {
  return api("cudaMallocManaged", [&] {
    forbid_while_capturing("cudaMallocManaged");
    require(flags == cudaMemAttachGlobal || flags == cudaMemAttachHost, "unknown flags");
    require(size > 0, "managed memory of no bytes");
    allocate(result, size, MemoryKind::kManaged, "cudaMallocManaged");
  });
}

cudaError_t cudaHostAlloc(void** result, size_t size, unsigned int flags) {
  return api("cudaHostAlloc", [&] {
    forbid_while_capturing("cudaHostAlloc");
    require(flags < 8, "unknown flags");
    allocate(result, size, MemoryKind::kPinned, "pinned host memory");
  });
}

cudaError_t cudaMallocHost(void** result, size_t size) {
  return api("cudaMallocHost", [&] {
    forbid_while_capturing("cudaMallocHost");
    allocate(result, size, MemoryKind::kPinned, "pinned host memory");
  });
}

cudaError_t cudaFree(void* device_pointer) {
  return api("cudaFree", [&] {
    forbid_while_capturing("cudaFree");
    release(device_pointer, "device memory", freed_by_cuda_free);
  });
}

cudaError_t cudaFreeHost(void* host_pointer) {
  return api("cudaFreeHost", [&] {
    forbid_while_capturing("cudaFreeHost");
    release(host_pointer, "pinned memory",
            [](const Allocation& a) { return a.kind == MemoryKind::kPinned; });
  });
}

cudaError_t cudaHostRegister(void* host_pointer, size_t size, unsigned int flags) {
  return api("cudaHostRegister", [&] {
    forbid_while_capturing("cudaHostRegister");
    require(host_pointer && size > 0 && flags < 16, "no memory, or unknown flags");
    if (!memory().enter(address_of(host_pointer), size, MemoryKind::kRegistered,
                        "registered host memory"))
      refuse(cudaErrorHostMemoryAlreadyRegistered,
             memory().describe(address_of(host_pointer), size));
  });
}

cudaError_t cudaHostUnregister(void* host_pointer) {
  return api("cudaHostUnregister", [&] {
    forbid_while_capturing("cudaHostUnregister");
    finish_everything();
    const Allocation* allocation = memory().find_base(address_of(host_pointer));
    if (!allocation || allocation->kind != MemoryKind::kRegistered)
      refuse(cudaErrorHostMemoryNotRegistered, memory().describe(address_of(host_pointer), 1));
    runtime().queue.forget_allocation(allocation->number);
    memory().release(allocation->base);
  });
}

cudaError_t cudaHostGetDevicePointer(void** device_pointer, void* host_pointer, unsigned int) {
  return api("cudaHostGetDevicePointer", [&] {
    const Allocation* allocation = memory().find(address_of(host_pointer));
    require(device_pointer && allocation && allocation->kind != MemoryKind::kDevice,
            "not pinned memory");
    *device_pointer = host_pointer;
  });
}

cudaError_t cudaMallocAsync(void** result, size_t size, cudaStream_t stream) {
  return api("cudaMallocAsync", [&] { allocate_in_stream(result, size, stream); });
}

cudaError_t cudaMallocFromPoolAsync(void** result, size_t size, cudaMemPool_t pool,
                                    cudaStream_t stream) {
  return api("cudaMallocFromPoolAsync", [&] {
    check_pool(pool);
    allocate_in_stream(result, size, stream);
  });
}

cudaError_t cudaFreeAsync(void* device_pointer, cudaStream_t handle) {
  return api("cudaFreeAsync", [&] {
    cudaStream_t stream = stream_of(handle);
    if (!device_pointer) return;
    if (stream->capture)
      refuse(cudaErrorNotSupported, "the stand-in captures no freeing of memory in a graph");
    Allocation* allocation = memory().find_base(address_of(device_pointer));
    require(allocation && freed_by_cuda_free(*allocation) && !allocation->free_queued,
            "not the start of device memory, or freed before: " +
                memory().describe(address_of(device_pointer), 1));
    allocation->free_queued = true;
    submit(stream, PoolWork{allocation->base, true});
  });
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
  return api("cudaMemGetInfo", [&] {
    if (free_bytes) *free_bytes = memory().capacity() - memory().in_use();
    if (total) *total = memory().capacity();
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* asked) {
  return api("cudaPointerGetAttributes", [&] {
    require(attributes, "the place for the attributes is null");
    std::memset(attributes, 0, sizeof *attributes);
    const Allocation* allocation = memory().find(address_of(asked));
    void* const same = const_cast<void*>(asked);
    attributes->type = cudaMemoryTypeUnregistered;
    attributes->device = cudaInvalidDeviceId;
    attributes->hostPointer = same;
    if (!allocation) return;
    attributes->device = 0;
    attributes->devicePointer = same;
    attributes->type = cudaMemoryTypeHost;
    if (allocation->kind == MemoryKind::kManaged) attributes->type = cudaMemoryTypeManaged;
    if (allocation->kind != MemoryKind::kDevice) return;
    attributes->type = cudaMemoryTypeDevice;
    attributes->hostPointer = nullptr;
  });
}

// ---- Pools --------------------------------------------------------------------------------------

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  return api("cudaDeviceGetDefaultMemPool", [&] {
    if (device != 0) refuse(cudaErrorInvalidDevice, "the device's number is 0");
    *pool = &default_pool;
  });
}

cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int device) {
  return cudaDeviceGetDefaultMemPool(pool, device);
}

cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t pool) {
  return api("cudaDeviceSetMemPool", [&] {
    if (device != 0) refuse(cudaErrorInvalidDevice, "the device's number is 0");
    check_pool(pool);
  });
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  return api("cudaMemPoolSetAttribute", [&] {
    check_pool(pool);
    require(value, "the value is null");
    if (attribute == cudaMemPoolAttrReleaseThreshold)
      pool->release_threshold = *static_cast<uint64_t*>(value);
    else if (attribute >= cudaMemPoolReuseFollowEventDependencies &&
             attribute <= cudaMemPoolReuseAllowInternalDependencies)
      pool->reuse[attribute - cudaMemPoolReuseFollowEventDependencies] = *static_cast<int*>(value);
    else
      require(
          attribute == cudaMemPoolAttrReservedMemHigh || attribute == cudaMemPoolAttrUsedMemHigh,
          "this attribute cannot be set");
  });
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  return api("cudaMemPoolGetAttribute", [&] {
    check_pool(pool);
    require(value, "the place for the value is null");
    auto* const bytes = static_cast<uint64_t*>(value);
    switch (attribute) {
      case cudaMemPoolAttrReleaseThreshold:
        *bytes = pool->release_threshold;
        break;
      case cudaMemPoolAttrReservedMemCurrent:
      case cudaMemPoolAttrUsedMemCurrent:
        *bytes = memory().in_use();
        break;
      case cudaMemPoolAttrReservedMemHigh:
      case cudaMemPoolAttrUsedMemHigh:
        *bytes = memory().peak();
        break;
      case cudaMemPoolReuseFollowEventDependencies:
      case cudaMemPoolReuseAllowOpportunistic:
      case cudaMemPoolReuseAllowInternalDependencies:
        *static_cast<int*>(value) =
            pool->reuse[attribute - cudaMemPoolReuseFollowEventDependencies];
        break;
      default:
        refuse(cudaErrorInvalidValue, "unknown attribute");
    }
  });
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t) {
  return api("cudaMemPoolTrimTo", [&] { check_pool(pool); });
}

}  // extern "C"
