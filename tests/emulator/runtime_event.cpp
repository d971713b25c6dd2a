// Events: a point of a stream that others wait for and that carries the time it was reached.
#include "capture.h"
#include "runtime.h"

using namespace emulator;

namespace emulator {

cudaEvent_t event_of(cudaEvent_t handle) {
  if (!runtime().events.count(handle))
    refuse(cudaErrorInvalidResourceHandle, "this is no event, or it was destroyed");
  return handle;
}

namespace {

void forbid_captured(cudaEvent_t event, const char* call) {
  if (!event->capture) return;
  event->capture->invalid = true;
  refuse(cudaErrorCapturedEvent,
         std::string(call) + " on an event that was last recorded in a capture");
}

void record(cudaEvent_t event_handle, cudaStream_t handle, unsigned int flags) {
  cudaEvent_t event = event_of(event_handle);
  cudaStream_t stream = stream_of(handle);
  require(flags == cudaEventRecordDefault || flags == cudaEventRecordExternal, "unknown flags");
  if (stream->capture && flags == cudaEventRecordDefault) {
    if (stream->capture->invalid)
      refuse(cudaErrorStreamCaptureInvalidated, "the capture failed earlier");
    event->capture = stream->capture;
    event->nodes = stream->tail;
    event->recorded = nullptr;
    return;
  }
  OperationPointer operation = submit(stream, EventWork{event});
  if (!operation) return;
  event->capture = nullptr;
  event->recorded = operation;
}

}  // namespace
}  // namespace emulator

extern "C" {

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags) {
  return api("cudaEventCreate", [&] {
    require(event && flags < 8 &&
                (!(flags & cudaEventInterprocess) || (flags & cudaEventDisableTiming)),
            "the place for the event is null, or flags do not fit");
    auto* made = new CUevent_st();
    made->flags = flags;
    runtime().events.insert(made);
    *event = made;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  return api("cudaEventDestroy", [&] {
    cudaEvent_t event = event_of(handle);
    runtime().events.erase(event);
    delete event;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return api("cudaEventRecord", [&] { record(event, stream, cudaEventRecordDefault); });
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned int flags) {
  return api("cudaEventRecordWithFlags", [&] { record(event, stream, flags); });
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return api("cudaEventSynchronize", [&] {
    cudaEvent_t event = event_of(handle);
    forbid_captured(event, "cudaEventSynchronize");
    forbid_while_capturing("cudaEventSynchronize");
    finish(event->recorded);
  });
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return api("cudaEventQuery", [&] {
    cudaEvent_t event = event_of(handle);
    forbid_captured(event, "cudaEventQuery");
    forbid_while_capturing("cudaEventQuery");
    if (event->recorded && event->recorded->state != Operation::kDone) {
      runtime().queue.advance(event->recorded, runtime().mutex);
      finish(nullptr);
      refuse(cudaErrorNotReady, "");
    }
    finish(event->recorded);
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return api("cudaEventElapsedTime", [&] {
    require(milliseconds, "the place for the time is null");
    for (cudaEvent_t handle : {start, end}) {
      cudaEvent_t event = event_of(handle);
      forbid_captured(event, "cudaEventElapsedTime");
      if (event->flags & cudaEventDisableTiming)
        refuse(cudaErrorInvalidResourceHandle, "the event was made without timing");
      if (!event->recorded) refuse(cudaErrorInvalidResourceHandle, "the event was never recorded");
    }
    for (cudaEvent_t event : {start, end})
      if (event->recorded->state != Operation::kDone) refuse(cudaErrorNotReady, "");
    *milliseconds = std::chrono::duration<float, std::milli>(end->recorded->finished -
                                                             start->recorded->finished)
                        .count();
  });
}

}  // extern "C"
