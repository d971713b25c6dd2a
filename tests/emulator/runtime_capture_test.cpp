// Stream capture and graphs.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "runtime_test.h"

namespace emulator {
namespace {

cudaGraph_t begin_and(cudaStream_t stream, void (*work)(cudaStream_t, Ints&), Ints& x) {
  cudaGraph_t graph = nullptr;
  EXPECT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  work(stream, x);
  EXPECT_CUDA(cudaStreamEndCapture(stream, &graph));
  return graph;
}

std::vector<cudaGraphNodeType> kinds(cudaGraph_t graph) {
  size_t count = 0;
  EXPECT_CUDA(cudaGraphGetNodes(graph, nullptr, &count));
  std::vector<cudaGraphNode_t> nodes(count);
  EXPECT_CUDA(cudaGraphGetNodes(graph, nodes.data(), &count));
  std::vector<cudaGraphNodeType> kinds(count);
  for (size_t i = 0; i < count; ++i) EXPECT_CUDA(cudaGraphNodeGetType(nodes[i], &kinds[i]));
  return kinds;
}

void fill_and_copy(cudaStream_t stream, Ints& x) {
  EXPECT_CUDA(cudaMemsetAsync(x.data(), 0, 8, stream));
  EXPECT_CUDA(cudaMemcpyAsync(x.data() + 2, x.data(), 8, cudaMemcpyDeviceToDevice, stream));
}

TEST(Capture, RecordsWithoutRunning) {
  Stream stream;
  Ints x(std::vector<int>{1, 2, 3, 4});
  cudaGraph_t graph = begin_and(stream, fill_and_copy, x);
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(x.values(), (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(kinds(graph),
            (std::vector<cudaGraphNodeType>{cudaGraphNodeTypeMemset, cudaGraphNodeTypeMemcpy}));
  cudaGraphExec_t executable = nullptr;
  ASSERT_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  EXPECT_CUDA(cudaGraphDestroy(graph));
  EXPECT_CUDA(cudaGraphLaunch(executable, stream));
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(x.values(), (std::vector<int>{0, 0, 0, 0}));
  EXPECT_CUDA(cudaGraphExecDestroy(executable));
}

TEST(Capture, NodesReadTheirAddressesAtEachLaunch) {
  Stream stream;
  Ints x(std::vector<int>{0});
  PinnedInts host(1, 1);
  cudaGraph_t graph = nullptr;
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  EXPECT_CUDA(cudaMemcpyAsync(x.data(), host.data(), 4, cudaMemcpyHostToDevice, stream));
  ASSERT_CUDA(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t executable = nullptr;
  ASSERT_CUDA(cudaGraphInstantiateWithFlags(&executable, graph, 0));
  for (int value : {5, 6}) {
    host[0] = value;
    EXPECT_CUDA(cudaGraphLaunch(executable, stream));
    EXPECT_CUDA(cudaStreamSynchronize(stream));
    EXPECT_EQ(x.values()[0], value);
  }
  EXPECT_CUDA(cudaGraphExecDestroy(executable));
  EXPECT_CUDA(cudaGraphDestroy(graph));
}

// Forks to a second stream and joins it unless told otherwise.
cudaError_t fork(cudaStream_t one, cudaStream_t two, Ints& x, bool join, cudaGraph_t* graph) {
  Event forked(cudaEventDisableTiming), joined(cudaEventDisableTiming);
  EXPECT_CUDA(cudaStreamBeginCapture(one, cudaStreamCaptureModeGlobal));
  EXPECT_CUDA(cudaMemsetAsync(x.data(), 0, 4, one));
  EXPECT_CUDA(cudaEventRecord(forked, one));
  EXPECT_CUDA(cudaStreamWaitEvent(two, forked, 0));
  EXPECT_CUDA(cudaMemsetAsync(x.data() + 1, 0, 4, one));
  EXPECT_CUDA(cudaMemsetAsync(x.data() + 2, 0, 4, two));
  EXPECT_CUDA(cudaEventRecord(joined, two));
  if (join) {
    EXPECT_CUDA(cudaStreamWaitEvent(one, joined, 0));
  }
  EXPECT_CUDA(cudaMemsetAsync(x.data() + 3, 0, 4, one));
  return cudaStreamEndCapture(one, graph);
}

TEST(Capture, ForksAndJoins) {
  Stream one, two;
  Ints x(std::vector<int>{1, 1, 1, 1});
  cudaGraph_t graph = nullptr;
  ASSERT_CUDA(fork(one, two, x, true, &graph));
  cudaStreamCaptureStatus status;
  EXPECT_CUDA(cudaStreamIsCapturing(two, &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusNone);
  EXPECT_EQ(kinds(graph).size(), 4u);
  size_t roots = 0, edges = 0;
  EXPECT_CUDA(cudaGraphGetRootNodes(graph, nullptr, &roots));
  EXPECT_CUDA(cudaGraphGetEdges(graph, nullptr, nullptr, nullptr, &edges));
  EXPECT_EQ(roots, 1u);
  EXPECT_EQ(edges, 4u);
  cudaGraphExec_t executable = nullptr;
  ASSERT_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  EXPECT_CUDA(cudaGraphLaunch(executable, two));
  EXPECT_CUDA(cudaStreamSynchronize(two));
  EXPECT_EQ(x.values(), (std::vector<int>{0, 0, 0, 0}));
  EXPECT_CUDA(cudaGraphExecDestroy(executable));
  EXPECT_CUDA(cudaGraphDestroy(graph));
}

TEST(Capture, BranchesMustBeJoined) {
  Stream one, two;
  Ints x(4);
  cudaGraph_t graph = nullptr;
  EXPECT_CUDA_ERROR(fork(one, two, x, false, &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(graph, nullptr);
  EXPECT_CUDA(cudaStreamSynchronize(two));
}

// What each call does to a stream that captures.
struct Illegal {
  const char* name;
  cudaError_t (*call)(cudaStream_t stream, Ints& x, cudaEvent_t outside);
  cudaError_t error;
};
const Illegal kIllegal[] = {
    {"malloc",
     [](cudaStream_t, Ints&, cudaEvent_t) {
       void* memory = nullptr;
       return cudaMalloc(&memory, 4);
     },
     cudaErrorStreamCaptureUnsupported},
    {"free", [](cudaStream_t, Ints&, cudaEvent_t) { return cudaFree(nullptr); },
     cudaErrorStreamCaptureUnsupported},
    {"pinned",
     [](cudaStream_t, Ints&, cudaEvent_t) {
       void* memory = nullptr;
       return cudaMallocHost(&memory, 4);
     },
     cudaErrorStreamCaptureUnsupported},
    {"copy",
     [](cudaStream_t, Ints& x, cudaEvent_t) {
       int host;
       return cudaMemcpy(&host, x.data(), 4, cudaMemcpyDeviceToHost);
     },
     cudaErrorStreamCaptureUnsupported},
    {"memset", [](cudaStream_t, Ints& x, cudaEvent_t) { return cudaMemset(x.data(), 0, 4); },
     cudaErrorStreamCaptureUnsupported},
    {"synchronize", [](cudaStream_t s, Ints&, cudaEvent_t) { return cudaStreamSynchronize(s); },
     cudaErrorStreamCaptureUnsupported},
    {"query", [](cudaStream_t s, Ints&, cudaEvent_t) { return cudaStreamQuery(s); },
     cudaErrorStreamCaptureUnsupported},
    {"device", [](cudaStream_t, Ints&, cudaEvent_t) { return cudaDeviceSynchronize(); },
     cudaErrorStreamCaptureUnsupported},
    {"outside", [](cudaStream_t s, Ints&, cudaEvent_t e) { return cudaStreamWaitEvent(s, e, 0); },
     cudaErrorStreamCaptureIsolation},
    {"captured event",
     [](cudaStream_t s, Ints&, cudaEvent_t) {
       static cudaEvent_t event = nullptr;
       if (!event) cudaEventCreate(&event);
       cudaEventRecord(event, s);
       return cudaEventSynchronize(event);
     },
     cudaErrorCapturedEvent},
};

TEST(Capture, IllegalCallsInvalidateIt) {
  for (const Illegal& illegal : kIllegal) {
    SCOPED_TRACE(illegal.name);
    Stream stream;
    Ints x(std::vector<int>{1, 2});
    Event outside;
    EXPECT_CUDA(cudaEventRecord(outside, stream));
    ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    EXPECT_CUDA_ERROR(illegal.call(stream, x, outside), illegal.error);
    cudaStreamCaptureStatus status;
    EXPECT_CUDA(cudaStreamIsCapturing(stream, &status));
    EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated);
    EXPECT_CUDA_ERROR(cudaMemsetAsync(x.data(), 0, 4, stream), cudaErrorStreamCaptureInvalidated);
    cudaGraph_t graph = nullptr;
    EXPECT_CUDA_ERROR(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    EXPECT_CUDA(cudaStreamSynchronize(stream));
  }
}

TEST(Capture, TheLegacyStreamWouldDependOnABlockingOne) {
  Stream blocking(cudaStreamDefault);
  Ints x(2);
  ASSERT_CUDA(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed));
  cudaStreamCaptureStatus status;
  EXPECT_CUDA_ERROR(cudaStreamIsCapturing(nullptr, &status), cudaErrorStreamCaptureImplicit);
  EXPECT_CUDA(cudaStreamIsCapturing(blocking, &status));
  EXPECT_EQ(status, cudaStreamCaptureStatusActive);  // to ask does no harm
  EXPECT_CUDA_ERROR(cudaMemsetAsync(x.data(), 0, 4, nullptr), cudaErrorStreamCaptureImplicit);
  cudaGraph_t graph = nullptr;
  EXPECT_CUDA_ERROR(cudaStreamEndCapture(blocking, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_CUDA_ERROR(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeRelaxed),
                    cudaErrorStreamCaptureUnsupported);
}

TEST(Capture, RelaxedModeAllowsAllocation) {
  Stream stream;
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  Ints x(4);
  cudaGraph_t graph = nullptr;
  EXPECT_CUDA(cudaStreamEndCapture(stream, &graph));
  EXPECT_CUDA(cudaGraphDestroy(graph));
}

TEST(Capture, ModesReachAcrossThreads) {
  for (auto [mode, error] :
       {std::pair{cudaStreamCaptureModeGlobal, cudaErrorStreamCaptureUnsupported},
        std::pair{cudaStreamCaptureModeThreadLocal, cudaSuccess}}) {
    Stream stream;
    cudaGraph_t graph = nullptr;
    ASSERT_CUDA(cudaStreamBeginCapture(stream, mode));
    std::thread([expected = error] {
      void* memory = nullptr;
      EXPECT_EQ(cudaMalloc(&memory, 4), expected);
      cudaFree(memory);
    }).join();
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph),
              error == cudaSuccess ? cudaSuccess : cudaErrorStreamCaptureInvalidated);
    if (graph) {
      EXPECT_CUDA(cudaGraphDestroy(graph));
    }
  }
  cudaGetLastError();
}

TEST(Capture, AThreadMayExchangeItsMode) {
  Stream stream;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  EXPECT_CUDA(cudaThreadExchangeStreamCaptureMode(&mode));
  EXPECT_EQ(mode, cudaStreamCaptureModeGlobal);
  void* memory = nullptr;
  EXPECT_CUDA(cudaMalloc(&memory, 4));
  EXPECT_CUDA(cudaThreadExchangeStreamCaptureMode(&mode));
  cudaGraph_t graph = nullptr;
  EXPECT_CUDA(cudaStreamEndCapture(stream, &graph));
  EXPECT_CUDA(cudaGraphDestroy(graph));
  EXPECT_CUDA(cudaFree(memory));
}

TEST(Capture, EndsWhereItBegan) {
  Stream one, two;
  Event event;
  cudaGraph_t graph = nullptr;
  EXPECT_CUDA_ERROR(cudaStreamEndCapture(one, &graph), cudaErrorIllegalState);
  ASSERT_CUDA(cudaStreamBeginCapture(one, cudaStreamCaptureModeGlobal));
  EXPECT_CUDA_ERROR(cudaStreamBeginCapture(one, cudaStreamCaptureModeGlobal),
                    cudaErrorIllegalState);
  EXPECT_CUDA(cudaEventRecord(event, one));
  EXPECT_CUDA(cudaStreamWaitEvent(two, event, 0));
  std::thread([&] {
    EXPECT_CUDA_ERROR(cudaStreamEndCapture(one, &graph), cudaErrorStreamCaptureWrongThread);
  }).join();
  EXPECT_CUDA_ERROR(cudaStreamEndCapture(two, &graph), cudaErrorStreamCaptureUnmatched);
  EXPECT_CUDA_ERROR(cudaStreamEndCapture(one, &graph), cudaErrorStreamCaptureInvalidated);
}

TEST(Capture, TwoCapturesDoNotMerge) {
  Stream one, two;
  Event event;
  cudaGraph_t graph = nullptr;
  ASSERT_CUDA(cudaStreamBeginCapture(one, cudaStreamCaptureModeRelaxed));
  ASSERT_CUDA(cudaStreamBeginCapture(two, cudaStreamCaptureModeRelaxed));
  EXPECT_CUDA(cudaEventRecord(event, one));
  EXPECT_CUDA_ERROR(cudaStreamWaitEvent(two, event, 0), cudaErrorStreamCaptureMerge);
  EXPECT_CUDA_ERROR(cudaStreamEndCapture(one, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_CUDA_ERROR(cudaStreamEndCapture(two, &graph), cudaErrorStreamCaptureInvalidated);
}

TEST(Graph, ExternalEventsAreRecordedByEachLaunch) {
  Stream stream, other;
  Event event;
  Ints x(std::vector<int>{1});
  PinnedInts seen(1, 9);
  cudaGraph_t graph = nullptr;
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  EXPECT_CUDA(cudaMemsetAsync(x.data(), 0, 4, stream));
  EXPECT_CUDA(cudaEventRecordWithFlags(event, stream, cudaEventRecordExternal));
  ASSERT_CUDA(cudaStreamEndCapture(stream, &graph));
  EXPECT_EQ(kinds(graph).back(), cudaGraphNodeTypeEventRecord);
  cudaGraphExec_t executable = nullptr;
  ASSERT_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  EXPECT_CUDA(cudaGraphLaunch(executable, stream));
  EXPECT_CUDA(cudaStreamWaitEvent(other, event, 0));
  EXPECT_CUDA(cudaMemcpyAsync(seen.data(), x.data(), 4, cudaMemcpyDeviceToHost, other));
  EXPECT_CUDA(cudaStreamSynchronize(other));
  EXPECT_EQ(seen[0], 0);
  EXPECT_CUDA(cudaGraphExecDestroy(executable));
  EXPECT_CUDA(cudaGraphDestroy(graph));
}

TEST(Graph, UpdateTakesTheSameShapeOnly) {
  Stream stream;
  Ints x(std::vector<int>{1, 2, 3, 4}), y(std::vector<int>{5, 6, 7, 8});
  cudaGraph_t first = begin_and(stream, fill_and_copy, x);
  cudaGraph_t second = begin_and(stream, fill_and_copy, y);
  cudaGraph_t shorter = begin_and(
      stream, [](cudaStream_t s, Ints& z) { EXPECT_CUDA(cudaMemsetAsync(z.data(), 0, 4, s)); }, x);
  cudaGraph_t other = begin_and(
      stream,
      [](cudaStream_t s, Ints& z) {
        EXPECT_CUDA(cudaMemsetAsync(z.data(), 0, 4, s));
        EXPECT_CUDA(cudaMemsetAsync(z.data(), 0, 4, s));
      },
      x);
  cudaGraphExec_t executable = nullptr;
  ASSERT_CUDA(cudaGraphInstantiate(&executable, first, 0));
  cudaGraphExecUpdateResultInfo info;
  EXPECT_CUDA_ERROR(cudaGraphExecUpdate(executable, shorter, &info),
                    cudaErrorGraphExecUpdateFailure);
  EXPECT_EQ(info.result, cudaGraphExecUpdateErrorTopologyChanged);
  EXPECT_CUDA_ERROR(cudaGraphExecUpdate(executable, other, &info), cudaErrorGraphExecUpdateFailure);
  EXPECT_EQ(info.result, cudaGraphExecUpdateErrorNodeTypeChanged);
  EXPECT_CUDA(cudaGraphExecUpdate(executable, second, &info));
  EXPECT_EQ(info.result, cudaGraphExecUpdateSuccess);
  EXPECT_CUDA(cudaGraphLaunch(executable, stream));
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(x.values()[0], 1);
  EXPECT_EQ(y.values()[0], 0);
  EXPECT_CUDA(cudaGraphExecDestroy(executable));
  EXPECT_CUDA_ERROR(cudaGraphLaunch(executable, stream), cudaErrorInvalidValue);
  for (cudaGraph_t graph : {first, second, shorter, other}) EXPECT_CUDA(cudaGraphDestroy(graph));
  EXPECT_CUDA_ERROR(cudaGraphDestroy(first), cudaErrorInvalidValue);
}

TEST(Graph, UpdateKeepsTheKindOfMemory) {
  Stream stream;
  Ints x(4), y(4);
  PinnedInts host(4);
  const auto copy = [&](const int* from, size_t bytes) {
    cudaGraph_t graph = nullptr;
    EXPECT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    EXPECT_CUDA(cudaMemcpyAsync(x.data(), from, bytes, cudaMemcpyDefault, stream));
    EXPECT_CUDA(cudaStreamEndCapture(stream, &graph));
    return graph;
  };
  cudaGraph_t from_device = copy(y.data(), 16), shorter = copy(y.data(), 8);
  cudaGraph_t from_host = copy(host.data(), 16);
  cudaGraphExec_t executable = nullptr;
  ASSERT_CUDA(cudaGraphInstantiate(&executable, from_device, 0));
  cudaGraphExecUpdateResultInfo info;
  EXPECT_CUDA(cudaGraphExecUpdate(executable, shorter, &info));
  EXPECT_CUDA_ERROR(cudaGraphExecUpdate(executable, from_host, &info),
                    cudaErrorGraphExecUpdateFailure);
  EXPECT_EQ(info.result, cudaGraphExecUpdateErrorParametersChanged);
  EXPECT_CUDA(cudaGraphExecDestroy(executable));
  for (cudaGraph_t graph : {from_device, shorter, from_host}) EXPECT_CUDA(cudaGraphDestroy(graph));
}

TEST(Graph, PrintsItself) {
  Stream stream;
  Ints x(4);
  cudaGraph_t graph = begin_and(stream, fill_and_copy, x);
  const std::string path = ::testing::TempDir() + "emulator_graph.dot";
  EXPECT_CUDA(cudaGraphDebugDotPrint(graph, path.c_str(), 0));
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  EXPECT_NE(text.str().find("n0 [label=\"a memset of 8 bytes\"]"), std::string::npos) << text.str();
  EXPECT_NE(text.str().find("n0 -> n1"), std::string::npos);
  EXPECT_CUDA_ERROR(cudaGraphDebugDotPrint(graph, "/nowhere/graph.dot", 0),
                    cudaErrorOperatingSystem);
  EXPECT_CUDA(cudaGraphDestroy(graph));
}

TEST(Graph, CapturedMemoryThatIsFreedIsAFault) {
  // Checked by the memory's own message: the process does not survive it.
  EXPECT_IN_NEW_PROCESS(({}),
                        [] {
                          cudaStream_t stream = nullptr;
                          cudaGraph_t graph = nullptr;
                          cudaGraphExec_t executable = nullptr;
                          int* x = nullptr;
                          cudaMalloc(reinterpret_cast<void**>(&x), 16);
                          cudaStreamCreate(&stream);
                          cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
                          cudaMemsetAsync(x, 0, 16, stream);
                          cudaStreamEndCapture(stream, &graph);
                          cudaGraphInstantiate(&executable, graph, 0);
                          cudaFree(x);
                          return cudaGraphLaunch(executable, stream) == cudaSuccess &&
                                 cudaStreamSynchronize(stream) == cudaErrorIllegalAddress &&
                                 cudaFree(nullptr) == cudaErrorIllegalAddress &&
                                 cudaGetLastError() == cudaErrorIllegalAddress &&
                                 cudaGetLastError() == cudaErrorIllegalAddress;
                        },
                        "a memset of 16 bytes touches .*, freed");
}

}  // namespace
}  // namespace emulator
