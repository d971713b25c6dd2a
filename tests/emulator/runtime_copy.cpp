// Copies and fills, with the host's part in them as the real runtime documents it.
//
// Pinned host memory is read and written when the copy runs. Pageable memory is taken when the call
// is made; into pageable memory the call itself waits. cudaMemcpy returns when the source may be
// changed and a host destination may be read, which does not mean that device memory is written: a
// stream that does not wait for the default stream may still see the old bytes.
#include <cstring>

#include "device_memory.h"
#include "runtime.h"

using namespace emulator;

namespace {

enum class When { kNow, kAsync };

u64 address_of(const void* pointer) { return reinterpret_cast<u64>(pointer); }

/// One end of a copy: host memory unless the map says otherwise.
struct End {
  const Allocation* allocation = nullptr;

  bool pageable() const { return !allocation; }
  bool on_device() const {
    return allocation &&
           (allocation->kind == MemoryKind::kDevice || allocation->kind == MemoryKind::kManaged);
  }
  bool only_on_device() const { return allocation && allocation->kind == MemoryKind::kDevice; }
};

End end_of(const void* pointer, u64 bytes, const char* which) {
  DeviceMemory& memory = DeviceMemory::instance();
  End end{memory.find(address_of(pointer))};
  const bool inside = end.allocation && end.allocation->contains(address_of(pointer), bytes);
  const std::string where = memory.describe(address_of(pointer), bytes);
  // Memory that was device memory once, or lies beside it, is no host memory.
  const bool stray = !end.allocation && memory.is_ours(address_of(pointer));
  require(!stray && (!end.allocation || inside), std::string(which) + " of the copy, " + where);
  require(pointer, std::string(which) + " of the copy is a null pointer");
  return end;
}

void check_direction(const End& to, const End& from, cudaMemcpyKind kind) {
  require(kind >= cudaMemcpyHostToHost && kind <= cudaMemcpyDefault, "unknown direction");
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind == cudaMemcpyDefault) return;
  require(to_device ? to.allocation != nullptr : !to.only_on_device(),
          to_device ? "the direction says device, but the destination is host memory"
                    : "the direction says host, but the destination is device memory");
  require(from_device ? from.allocation != nullptr : !from.only_on_device(),
          from_device ? "the direction says device, but the source is host memory"
                      : "the direction says host, but the source is device memory");
}

std::shared_ptr<std::vector<std::byte>> stage(const CopyWork& copy) {
  auto bytes = std::make_shared<std::vector<std::byte>>(copy.width * copy.height);
  for (size_t i = 0; i < copy.height; ++i)
    std::memcpy(bytes->data() + i * copy.width,
                reinterpret_cast<const void*>(copy.from + i * copy.from_pitch), copy.width);
  return bytes;
}

u64 extent(size_t pitch, size_t width, size_t height) { return pitch * (height - 1) + width; }

void copy(const char* call, CopyWork work, cudaMemcpyKind kind, cudaStream_t handle, When when) {
  cudaStream_t stream = stream_of(handle);
  if (when == When::kNow) forbid_while_capturing(call);
  if (work.width == 0 || work.height == 0) return;
  if (work.height > 1 && (work.width > work.to_pitch || work.width > work.from_pitch))
    refuse(cudaErrorInvalidPitchValue, "rows are longer than their pitch");
  const End to = end_of(reinterpret_cast<void*>(work.to),
                        extent(work.to_pitch, work.width, work.height), "the destination");
  const End from = end_of(reinterpret_cast<void*>(work.from),
                          extent(work.from_pitch, work.width, work.height), "the source");
  check_direction(to, from, kind);
  // Undefined on a real machine, whatever this one makes of it.
  const bool overlap = work.height == 1 && work.to != work.from &&
                       work.to < work.from + work.width && work.from < work.to + work.width;
  require(!overlap, "source and destination of the copy overlap");
  const bool between_hosts = !to.on_device() && !from.on_device();
  const bool takes_now = from.pageable() && !stream->capture;
  if (takes_now && when == When::kNow) finish(stream->last);
  if (takes_now && !between_hosts) work.staged = stage(work);
  const bool from_pinned = !from.pageable() && !from.on_device();
  const bool waits =
      to.pageable() || between_hosts || (when == When::kNow && (from_pinned || !to.on_device()));
  OperationPointer operation = submit(stream, std::move(work));
  if (operation && waits) finish(operation);
  if (operation && !waits) runtime().queue.spoil_destination(operation);
}

CopyWork flat(void* to, const void* from, size_t count) {
  return {address_of(to), address_of(from), count, count, count, 1, nullptr};
}

void fill(const char* call, FillWork work, cudaStream_t handle, When when) {
  cudaStream_t stream = stream_of(handle);
  if (when == When::kNow) forbid_while_capturing(call);
  if (work.width == 0 || work.height == 0) return;
  if (work.height > 1 && work.width > work.pitch)
    refuse(cudaErrorInvalidPitchValue, "rows are longer than their pitch");
  const End to = end_of(reinterpret_cast<void*>(work.to),
                        extent(work.pitch, work.width, work.height), "the destination");
  require(!to.pageable(), "a memset needs device memory");
  const bool waits = when == When::kNow && !to.only_on_device();
  OperationPointer operation = submit(stream, work);
  if (operation && waits) finish(operation);
}

// The address of part of a variable.
void* inside_symbol(const void* symbol, size_t offset, size_t count) {
  size_t size = 0;
  const u64 address = address_of_symbol(symbol, &size);
  require(offset <= size && count <= size - offset,
          std::to_string(count) + " bytes from " + std::to_string(offset) + " of a variable of " +
              std::to_string(size));
  return reinterpret_cast<void*>(address + offset);
}

}  // namespace

extern "C" {

cudaError_t cudaMemcpy(void* to, const void* from, size_t count, cudaMemcpyKind kind) {
  return api("cudaMemcpy",
             [&] { copy("cudaMemcpy", flat(to, from, count), kind, nullptr, When::kNow); });
}

cudaError_t cudaMemcpy_ptds(void* to, const void* from, size_t count, cudaMemcpyKind kind) {
  return api("cudaMemcpy", [&] {
    copy("cudaMemcpy", flat(to, from, count), kind, cudaStreamPerThread, When::kNow);
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t count, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return api("cudaMemcpyAsync",
             [&] { copy("cudaMemcpyAsync", flat(to, from, count), kind, stream, When::kAsync); });
}

cudaError_t cudaMemcpy2D(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                         size_t width, size_t height, cudaMemcpyKind kind) {
  return api("cudaMemcpy2D", [&] {
    copy("cudaMemcpy2D",
         {address_of(to), address_of(from), to_pitch, from_pitch, width, height, nullptr}, kind,
         nullptr, When::kNow);
  });
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  return api("cudaMemcpy2DAsync", [&] {
    copy("cudaMemcpy2DAsync",
         {address_of(to), address_of(from), to_pitch, from_pitch, width, height, nullptr}, kind,
         stream, When::kAsync);
  });
}

cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, size_t count, size_t offset,
                               cudaMemcpyKind kind) {
  return api("cudaMemcpyToSymbol", [&] {
    copy("cudaMemcpyToSymbol", flat(inside_symbol(symbol, offset, count), from, count), kind,
         nullptr, When::kNow);
  });
}

cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, size_t count,
                                    size_t offset, cudaMemcpyKind kind, cudaStream_t stream) {
  return api("cudaMemcpyToSymbolAsync", [&] {
    copy("cudaMemcpyToSymbolAsync", flat(inside_symbol(symbol, offset, count), from, count), kind,
         stream, When::kAsync);
  });
}

cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, size_t count, size_t offset,
                                 cudaMemcpyKind kind) {
  return api("cudaMemcpyFromSymbol", [&] {
    copy("cudaMemcpyFromSymbol", flat(to, inside_symbol(symbol, offset, count), count), kind,
         nullptr, When::kNow);
  });
}

cudaError_t cudaMemcpyFromSymbolAsync(void* to, const void* symbol, size_t count, size_t offset,
                                      cudaMemcpyKind kind, cudaStream_t stream) {
  return api("cudaMemcpyFromSymbolAsync", [&] {
    copy("cudaMemcpyFromSymbolAsync", flat(to, inside_symbol(symbol, offset, count), count), kind,
         stream, When::kAsync);
  });
}

cudaError_t cudaMemset(void* to, int value, size_t count) {
  return api("cudaMemset", [&] {
    fill("cudaMemset", {address_of(to), count, static_cast<u8>(value), count, 1}, nullptr,
         When::kNow);
  });
}

cudaError_t cudaMemset_ptds(void* to, int value, size_t count) {
  return api("cudaMemset", [&] {
    fill("cudaMemset", {address_of(to), count, static_cast<u8>(value), count, 1},
         cudaStreamPerThread, When::kNow);
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t count, cudaStream_t stream) {
  return api("cudaMemsetAsync", [&] {
    fill("cudaMemsetAsync", {address_of(to), count, static_cast<u8>(value), count, 1}, stream,
         When::kAsync);
  });
}

cudaError_t cudaMemset2D(void* to, size_t pitch, int value, size_t width, size_t height) {
  return api("cudaMemset2D", [&] {
    fill("cudaMemset2D", {address_of(to), pitch, static_cast<u8>(value), width, height}, nullptr,
         When::kNow);
  });
}

cudaError_t cudaMemset2DAsync(void* to, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t stream) {
  return api("cudaMemset2DAsync", [&] {
    fill("cudaMemset2DAsync", {address_of(to), pitch, static_cast<u8>(value), width, height},
         stream, When::kAsync);
  });
}

}  // extern "C"
