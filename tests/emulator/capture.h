// A capture in progress, and the graphs that captures and programs build.
#pragma once

#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "runtime.h"

struct CUgraphNode_st {
  emulator::Work work;
  std::vector<cudaGraphNode_t> after;
  cudaGraph_t graph = nullptr;
  size_t index = 0;                 // in the graph; later nodes come after earlier ones
  cudaEvent_t waits_for = nullptr;  // an external event, of a wait node
};

struct CUgraph_st {
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;
};

namespace emulator {

struct Capture {
  unsigned long long id = 0;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  cudaStream_t origin = nullptr;
  cudaGraph_t graph = nullptr;
  bool invalid = false;
  bool ended = false;
  std::set<cudaStream_t> streams;  // the origin and those that joined
};

/// Return the kind of a node as cudaGraphNodeGetType gives it.
cudaGraphNodeType type_of(const CUgraphNode_st& node);
/// Add a node to a graph.
cudaGraphNode_t add_node(cudaGraph_t graph, Work work, std::vector<cudaGraphNode_t> after);
/// Throw unless the program made the graph and has not destroyed it.
cudaGraph_t graph_of(cudaGraph_t handle);
/// Delete a graph and its nodes.
void destroy_graph(cudaGraph_t graph);

}  // namespace emulator
