// Streams: which work comes after which, and what synchronising with a stream does.
//
// Work of the legacy default stream comes after all earlier work of blocking streams, and later
// work of blocking streams comes after it. Streams made with cudaStreamNonBlocking take no part in
// that.
#include <algorithm>

#include "device_memory.h"
#include "runtime.h"

using namespace emulator;

namespace emulator {
namespace {

cudaStream_t legacy_stream() {
  static cudaStream_t const stream = [] {
    auto* made = new CUstream_st();
    made->legacy = true;
    runtime().default_streams.insert(made);
    return made;
  }();
  return stream;
}

cudaStream_t stream_of_this_thread() {
  thread_local cudaStream_t const stream = [] {
    auto* made = new CUstream_st();
    made->lane = runtime().queue.new_lane();
    runtime().default_streams.insert(made);
    return made;
  }();
  return stream;
}

}  // namespace

std::vector<OperationPointer> predecessors(cudaStream_t stream) {
  std::vector<OperationPointer> after{stream->last};
  if (!stream->blocking()) return after;
  if (!stream->legacy) {
    after.push_back(legacy_stream()->last);
    return after;
  }
  for (const auto* all : {&runtime().streams, &runtime().default_streams})
    for (cudaStream_t other : *all)
      if (other->blocking()) after.push_back(other->last);
  return after;
}

cudaStream_t stream_of(cudaStream_t handle) {
  if (!handle || handle == cudaStreamLegacy) return legacy_stream();
  if (handle == cudaStreamPerThread) return stream_of_this_thread();
  if (!runtime().streams.count(handle) && !runtime().default_streams.count(handle))
    refuse(cudaErrorInvalidResourceHandle, "this is no stream, or it was destroyed");
  return handle;
}

std::string name_of(const CUstream_st& stream) {
  if (stream.legacy) return "the legacy default stream";
  return "stream " + std::to_string(stream.lane);
}

OperationPointer submit(cudaStream_t stream, Work work) {
  if (stream->capture) {
    capture_node(stream, std::move(work));
    return nullptr;
  }
  return submit_after(stream, std::move(work), {});
}

OperationPointer submit_after(cudaStream_t stream, Work work,
                              const std::vector<OperationPointer>& others) {
  forbid_implicit_dependency(stream);
  std::vector<OperationPointer> after = predecessors(stream);
  after.insert(after.end(), others.begin(), others.end());
  Runtime& state = runtime();
  stream->last = state.queue.add(std::move(work), std::move(after), stream->lane, name_of(*stream));
  OperationPointer operation = stream->last;
  state.queue.limit_depth(state.mutex);
  return operation;
}

void finish(const OperationPointer& operation) {
  if (operation) runtime().queue.complete({operation}, runtime().mutex);
  if (runtime().sticky != cudaSuccess) refuse(runtime().sticky, "");
}

void finish_everything() {
  runtime().queue.complete_all(runtime().mutex);
  if (runtime().sticky != cudaSuccess) refuse(runtime().sticky, "");
}

// What a synchronising call on a stream waits for.
static std::vector<OperationPointer> last_work(cudaStream_t stream) {
  return stream->legacy ? predecessors(stream) : std::vector<OperationPointer>{stream->last};
}

}  // namespace emulator

extern "C" {

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned int flags, int priority) {
  return api("cudaStreamCreate", [&] {
    require(stream && (flags == cudaStreamDefault || flags == cudaStreamNonBlocking),
            "the place for the stream is null, or unknown flags");
    auto* made = new CUstream_st();
    made->lane = runtime().queue.new_lane();
    made->flags = flags;
    made->priority = std::max(-5, std::min(0, priority));
    runtime().streams.insert(made);
    *stream = made;
  });
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithPriority(stream, cudaStreamDefault, 0);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return api("cudaStreamDestroy", [&] {
    cudaStream_t stream = stream_of(handle);
    if (!runtime().streams.count(stream))
      refuse(cudaErrorInvalidResourceHandle, "a default stream cannot be destroyed");
    forbid_on_capturing(stream, "cudaStreamDestroy");
    // Its work stays queued; device-wide calls still wait for it.
    runtime().streams.erase(stream);
    delete stream;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return api("cudaStreamSynchronize", [&] {
    cudaStream_t stream = stream_of(handle);
    forbid_on_capturing(stream, "cudaStreamSynchronize");
    forbid_implicit_dependency(stream);
    runtime().queue.complete(last_work(stream), runtime().mutex);
    finish(nullptr);
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return api("cudaStreamQuery", [&] {
    cudaStream_t stream = stream_of(handle);
    forbid_on_capturing(stream, "cudaStreamQuery");
    forbid_implicit_dependency(stream);
    for (const OperationPointer& operation : last_work(stream)) {
      if (!operation || operation->state == Operation::kDone) continue;
      // Each question lets the device do one thing, so that polling ends.
      runtime().queue.advance(operation, runtime().mutex);
      finish(nullptr);
      refuse(cudaErrorNotReady, "");
    }
    for (const OperationPointer& operation : last_work(stream)) finish(operation);
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned int flags) {
  return api("cudaStreamWaitEvent", [&] {
    cudaStream_t stream = stream_of(handle);
    cudaEvent_t event = event_of(event_handle);
    require(flags == cudaEventWaitDefault || flags == cudaEventWaitExternal, "unknown flags");
    if (stream->capture || event->capture) {
      capture_wait(stream, event, flags == cudaEventWaitExternal);
      return;
    }
    if (event->recorded) submit_after(stream, EmptyWork{}, {event->recorded});
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return api("cudaLaunchHostFunc", [&] {
    require(function, "the function is null");
    submit(stream_of(stream), HostWork{function, nullptr, stream, data});
  });
}

cudaError_t cudaStreamAddCallback(cudaStream_t handle, cudaStreamCallback_t callback, void* data,
                                  unsigned int flags) {
  return api("cudaStreamAddCallback", [&] {
    require(callback && flags == 0, "the function is null, or flags are not");
    cudaStream_t stream = stream_of(handle);
    forbid_on_capturing(stream, "cudaStreamAddCallback");
    submit(stream, HostWork{nullptr, callback, handle, data});
  });
}

cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned int* flags) {
  return api("cudaStreamGetFlags", [&] { *flags = stream_of(stream)->flags; });
}

cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  return api("cudaStreamGetPriority", [&] { *priority = stream_of(stream)->priority; });
}

cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* id) {
  return api("cudaStreamGetId",
             [&] { *id = static_cast<unsigned long long>(stream_of(stream)->lane); });
}

cudaError_t cudaStreamGetDevice(cudaStream_t stream, int* device) {
  return api("cudaStreamGetDevice", [&] {
    stream_of(stream);
    *device = 0;
  });
}

cudaError_t cudaStreamAttachMemAsync(cudaStream_t stream, void*, size_t, unsigned int) {
  return api("cudaStreamAttachMemAsync", [&] { submit(stream_of(stream), EmptyWork{}); });
}

cudaError_t cudaMemPrefetchAsync(const void* address, size_t count, cudaMemLocation, unsigned int,
                                 cudaStream_t stream) {
  return api("cudaMemPrefetchAsync", [&] {
    const auto at = reinterpret_cast<u64>(address);
    const Allocation* allocation = DeviceMemory::instance().find(at);
    require(
        allocation && allocation->kind == MemoryKind::kManaged && allocation->contains(at, count),
        "not managed memory: " + DeviceMemory::instance().describe(at, count));
    submit(stream_of(stream), EmptyWork{});
  });
}

cudaError_t cudaDeviceSynchronize() {
  return api("cudaDeviceSynchronize", [&] {
    forbid_while_capturing("cudaDeviceSynchronize");
    finish_everything();
  });
}

}  // extern "C"
