// Stream capture: work becomes nodes of a graph, and calls that do not go with it are refused.
#include <algorithm>
#include <unordered_set>

#include "capture.h"

using namespace emulator;

namespace emulator {
namespace {

thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

// Does the capture forbid calls of this thread that may disturb it?
bool forbids(const Capture& capture) {
  if (thread_mode == cudaStreamCaptureModeRelaxed) return false;
  if (capture.thread == std::this_thread::get_id())
    return capture.mode != cudaStreamCaptureModeRelaxed;
  return thread_mode == cudaStreamCaptureModeGlobal && capture.mode == cudaStreamCaptureModeGlobal;
}

void check_valid(const Capture& capture) {
  if (capture.invalid) refuse(cudaErrorStreamCaptureInvalidated, "the capture failed earlier");
}

void join_tail(cudaStream_t stream, const std::vector<cudaGraphNode_t>& nodes) {
  for (cudaGraphNode_t node : nodes)
    if (std::find(stream->tail.begin(), stream->tail.end(), node) == stream->tail.end())
      stream->tail.push_back(node);
}

// Only to ask about the legacy stream is an error while a blocking stream captures, but does no
// harm.
void forbid_asking(cudaStream_t stream) {
  if (!stream->legacy) return;
  for (const auto& capture : runtime().captures)
    for (cudaStream_t other : capture->streams)
      if (other->blocking())
        refuse(cudaErrorStreamCaptureImplicit,
               "the legacy default stream is of no use while a blocking stream captures");
}

// Have all branches come back to the stream that began?
bool joined(const Capture& capture) {
  std::unordered_set<cudaGraphNode_t> reached;
  std::vector<cudaGraphNode_t> open = capture.origin->tail;
  while (!open.empty()) {
    cudaGraphNode_t node = open.back();
    open.pop_back();
    if (reached.insert(node).second)
      open.insert(open.end(), node->after.begin(), node->after.end());
  }
  for (cudaStream_t stream : capture.streams)
    for (cudaGraphNode_t node : stream->tail)
      if (!reached.count(node)) return false;
  return true;
}

void end(Capture& capture) {
  capture.ended = true;
  for (cudaStream_t stream : capture.streams) {
    stream->capture = nullptr;
    stream->tail.clear();
  }
  auto& captures = runtime().captures;
  captures.erase(std::remove_if(captures.begin(), captures.end(),
                                [&](const auto& other) { return other.get() == &capture; }),
                 captures.end());
}

}  // namespace

void forbid_while_capturing(const char* call) {
  bool forbidden = false;
  for (const auto& capture : runtime().captures)
    if (forbids(*capture)) capture->invalid = forbidden = true;
  if (forbidden)
    refuse(cudaErrorStreamCaptureUnsupported,
           std::string(call) + " while a stream captures invalidates the capture");
}

void forbid_on_capturing(cudaStream_t stream, const char* call) {
  if (!stream->capture) return;
  stream->capture->invalid = true;
  refuse(cudaErrorStreamCaptureUnsupported, std::string(call) + " on " + name_of(*stream) +
                                                ", which captures, invalidates the capture");
}

void forbid_implicit_dependency(cudaStream_t stream) {
  if (!stream->legacy) return;
  bool forbidden = false;
  for (const auto& capture : runtime().captures)
    for (cudaStream_t other : capture->streams)
      if (other->blocking()) capture->invalid = forbidden = true;
  if (forbidden)
    refuse(cudaErrorStreamCaptureImplicit,
           "work on the legacy default stream would wait for a blocking stream that captures");
}

cudaGraphNode_t capture_node(cudaStream_t stream, Work work) {
  check_valid(*stream->capture);
  cudaGraphNode_t node = add_node(stream->capture->graph, std::move(work), stream->tail);
  stream->tail = {node};
  return node;
}

void capture_wait(cudaStream_t stream, cudaEvent_t event, bool external) {
  if (stream->capture) check_valid(*stream->capture);
  if (stream->capture && external) {
    capture_node(stream, EmptyWork{})->waits_for = event;
    return;
  }
  if (!event->capture) {
    if (!event->recorded) return;
    stream->capture->invalid = true;
    refuse(cudaErrorStreamCaptureIsolation,
           name_of(*stream) + " captures and waits for an event recorded outside the capture");
  }
  const std::shared_ptr<Capture> capture = event->capture;
  if (capture->ended)
    refuse(cudaErrorCapturedEvent, "the event was last recorded in a capture that has ended");
  if (stream->capture && stream->capture != capture) {
    stream->capture->invalid = capture->invalid = true;
    refuse(cudaErrorStreamCaptureMerge, "two captures would become one");
  }
  check_valid(*capture);
  if (!stream->capture) {
    if (stream->legacy) {
      capture->invalid = true;
      refuse(cudaErrorStreamCaptureImplicit, "the legacy default stream cannot join a capture");
    }
    stream->capture = capture;
    capture->streams.insert(stream);
  }
  join_tail(stream, event->nodes);
}

}  // namespace emulator

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return api("cudaStreamBeginCapture", [&] {
    cudaStream_t stream = stream_of(handle);
    require(mode >= cudaStreamCaptureModeGlobal && mode <= cudaStreamCaptureModeRelaxed,
            "unknown mode");
    if (stream->legacy)
      refuse(cudaErrorStreamCaptureUnsupported, "the legacy default stream cannot be captured");
    if (stream->capture) refuse(cudaErrorIllegalState, "the stream captures already");
    static unsigned long long captures = 0;
    auto capture = std::make_shared<Capture>();
    capture->id = ++captures;
    capture->mode = mode;
    capture->thread = std::this_thread::get_id();
    capture->origin = stream;
    capture->graph = new CUgraph_st();
    capture->streams = {stream};
    stream->capture = capture;
    runtime().captures.push_back(capture);
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return api("cudaStreamEndCapture", [&] {
    cudaStream_t stream = stream_of(handle);
    require(graph, "the place for the graph is null");
    *graph = nullptr;
    const std::shared_ptr<Capture> capture = stream->capture;
    if (!capture) refuse(cudaErrorIllegalState, "the stream does not capture");
    if (capture->origin != stream) {
      capture->invalid = true;
      refuse(cudaErrorStreamCaptureUnmatched, "the capture began in another stream");
    }
    if (capture->mode != cudaStreamCaptureModeRelaxed &&
        capture->thread != std::this_thread::get_id())
      refuse(cudaErrorStreamCaptureWrongThread, "the capture began in another thread");
    const bool complete = joined(*capture);
    end(*capture);
    if (capture->invalid || !complete) {
      destroy_graph(capture->graph);
      if (capture->invalid) refuse(cudaErrorStreamCaptureInvalidated, "the capture failed earlier");
      refuse(cudaErrorStreamCaptureUnjoined,
             "work of another stream was captured and nothing waits for it");
    }
    runtime().graphs.insert(capture->graph);
    *graph = capture->graph;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return api("cudaStreamIsCapturing", [&] {
    cudaStream_t stream = stream_of(handle);
    forbid_asking(stream);
    *status = !stream->capture           ? cudaStreamCaptureStatusNone
              : stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                         : cudaStreamCaptureStatusActive;
  });
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** dependencies,
                                     const cudaGraphEdgeData** edges, size_t* count) {
  return api("cudaStreamGetCaptureInfo", [&] {
    cudaStream_t stream = stream_of(handle);
    forbid_asking(stream);
    const Capture* capture = stream->capture.get();
    require(status, "the place for the status is null");
    *status = !capture           ? cudaStreamCaptureStatusNone
              : capture->invalid ? cudaStreamCaptureStatusInvalidated
                                 : cudaStreamCaptureStatusActive;
    if (*status != cudaStreamCaptureStatusActive) return;
    if (id) *id = capture->id;
    if (graph) *graph = capture->graph;
    if (dependencies) *dependencies = stream->tail.data();
    if (edges) *edges = nullptr;
    if (count) *count = stream->tail.size();
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return api("cudaThreadExchangeStreamCaptureMode", Needs::kNothing, [&] {
    require(mode && *mode <= cudaStreamCaptureModeRelaxed, "unknown mode");
    std::swap(*mode, thread_mode);
  });
}

}  // extern "C"
