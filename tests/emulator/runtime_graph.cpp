// Graphs: what a capture left, made ready to launch again and again.
//
// A launch queues every node as an operation of its own, so branches run in any order that the
// edges allow. Nodes keep their kernel arguments and the addresses of their copies as captured.
#include <algorithm>
#include <cstring>
#include <fstream>

#include "capture.h"
#include "device_memory.h"

struct CUgraphExec_st {
  struct Node {
    emulator::Work work;
    std::vector<size_t> after;
    cudaEvent_t waits_for = nullptr;
    int lane = 0;  // one for each chain of nodes, so that branches are unordered among themselves
  };
  std::vector<Node> nodes;
  emulator::OperationPointer last;  // the end of the last launch: launches do not overlap
};

using namespace emulator;

namespace emulator {

cudaGraphNodeType type_of(const CUgraphNode_st& node) {
  if (node.waits_for) return cudaGraphNodeTypeWaitEvent;
  const Work& work = node.work;
  if (std::holds_alternative<KernelWork>(work)) return cudaGraphNodeTypeKernel;
  if (std::holds_alternative<CopyWork>(work)) return cudaGraphNodeTypeMemcpy;
  if (std::holds_alternative<FillWork>(work)) return cudaGraphNodeTypeMemset;
  if (std::holds_alternative<HostWork>(work)) return cudaGraphNodeTypeHost;
  if (std::holds_alternative<EventWork>(work)) return cudaGraphNodeTypeEventRecord;
  return cudaGraphNodeTypeEmpty;
}

cudaGraphNode_t add_node(cudaGraph_t graph, Work work, std::vector<cudaGraphNode_t> after) {
  auto node = std::make_unique<CUgraphNode_st>();
  node->work = std::move(work);
  node->after = std::move(after);
  node->graph = graph;
  node->index = graph->nodes.size();
  graph->nodes.push_back(std::move(node));
  return graph->nodes.back().get();
}

cudaGraph_t graph_of(cudaGraph_t handle) {
  if (!runtime().graphs.count(handle))
    refuse(cudaErrorInvalidValue, "this is no graph, or it was destroyed");
  return handle;
}

void destroy_graph(cudaGraph_t graph) {
  runtime().graphs.erase(graph);
  delete graph;
}

namespace {

cudaGraphExec_t executable_of(cudaGraphExec_t handle) {
  if (!runtime().executables.count(handle))
    refuse(cudaErrorInvalidValue, "this is no instantiated graph, or it was destroyed");
  return handle;
}

std::vector<CUgraphExec_st::Node> nodes_of(const CUgraph_st& graph) {
  std::vector<CUgraphExec_st::Node> nodes;
  std::vector<bool> continued(graph.nodes.size());
  for (const auto& node : graph.nodes) {
    CUgraphExec_st::Node made;
    made.work = node->work;
    made.waits_for = node->waits_for;
    for (cudaGraphNode_t before : node->after) {
      made.after.push_back(before->index);
      if (made.lane || continued[before->index]) continue;
      continued[before->index] = true;
      made.lane = nodes[before->index].lane;
    }
    if (!made.lane) made.lane = runtime().queue.new_lane();
    nodes.push_back(std::move(made));
  }
  return nodes;
}

void instantiate(cudaGraphExec_t* executable, cudaGraph_t graph) {
  require(executable, "the place for the executable graph is null");
  auto made = std::make_unique<CUgraphExec_st>();
  made->nodes = nodes_of(*graph_of(graph));
  *executable = made.release();
  runtime().executables.insert(*executable);
}

void launch(cudaGraphExec_t handle, cudaStream_t stream_handle) {
  cudaGraphExec_t executable = executable_of(handle);
  cudaStream_t stream = stream_of(stream_handle);
  if (stream->capture)
    refuse(cudaErrorNotSupported, "the stand-in captures no graph inside a graph");
  forbid_implicit_dependency(stream);
  Runtime& state = runtime();
  std::vector<OperationPointer> before = predecessors(stream);
  before.push_back(executable->last);
  const std::string place = name_of(*stream) + ", in a graph";
  std::vector<OperationPointer> operations;
  for (const CUgraphExec_st::Node& node : executable->nodes) {
    std::vector<OperationPointer> after = before;
    for (size_t index : node.after) after.push_back(operations[index]);
    if (node.waits_for && state.events.count(node.waits_for))
      after.push_back(node.waits_for->recorded);
    operations.push_back(state.queue.add(node.work, std::move(after), node.lane, place));
    const auto* record = std::get_if<EventWork>(&node.work);
    if (record && state.events.count(record->event)) record->event->recorded = operations.back();
  }
  for (const OperationPointer& operation : operations) state.queue.spoil_destination(operation);
  executable->last = submit_after(stream, EmptyWork{}, operations);
}

// Null, or the first thing in which a graph differs so that an executable cannot take it over.
struct Difference {
  cudaGraphExecUpdateResult result = cudaGraphExecUpdateSuccess;
  cudaGraphNode_t node = nullptr;
};

bool same_kind_of_memory(u64 one, u64 other) {
  const DeviceMemory& memory = DeviceMemory::instance();
  const Allocation *a = memory.find(one), *b = memory.find(other);
  return !a == !b && (!a || a->kind == b->kind);
}

// May a node of the executable take these parameters? Rows of one line may change their length.
bool takes_over(const Work& old, const Work& work) {
  const auto same_rows = [](const auto& a, const auto& b) {
    return (a.height == 1 && b.height == 1) || (a.height == b.height && a.width == b.width);
  };
  if (const auto* copy = std::get_if<CopyWork>(&work)) {
    const auto& before = std::get<CopyWork>(old);
    return same_rows(before, *copy) && same_kind_of_memory(before.to, copy->to) &&
           same_kind_of_memory(before.from, copy->from);
  }
  if (const auto* fill = std::get_if<FillWork>(&work))
    return same_rows(std::get<FillWork>(old), *fill) &&
           same_kind_of_memory(std::get<FillWork>(old).to, fill->to);
  if (const auto* kernel = std::get_if<KernelWork>(&work))
    return std::get<KernelWork>(old).cooperative == kernel->cooperative;
  return true;
}

Difference difference(const CUgraphExec_st& executable, const CUgraph_st& graph) {
  if (executable.nodes.size() != graph.nodes.size())
    return {cudaGraphExecUpdateErrorTopologyChanged, nullptr};
  for (const auto& node : graph.nodes) {
    const CUgraphExec_st::Node& old = executable.nodes[node->index];
    if (old.work.index() != node->work.index() || !old.waits_for != !node->waits_for)
      return {cudaGraphExecUpdateErrorNodeTypeChanged, node.get()};
    std::vector<size_t> after;
    for (cudaGraphNode_t before : node->after) after.push_back(before->index);
    if (after != old.after) return {cudaGraphExecUpdateErrorTopologyChanged, node.get()};
    if (!takes_over(old.work, node->work))
      return {cudaGraphExecUpdateErrorParametersChanged, node.get()};
  }
  return {};
}

template <class Nodes>
void list_nodes(const Nodes& found, cudaGraphNode_t* nodes, size_t* count) {
  require(count, "the place for the number is null");
  if (!nodes) {
    *count = found.size();
    return;
  }
  for (size_t i = 0; i < *count; ++i) nodes[i] = i < found.size() ? &*found[i] : nullptr;
  *count = std::min(*count, found.size());
}

}  // namespace
}  // namespace emulator

extern "C" {

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned int flags) {
  return api("cudaGraphCreate", [&] {
    require(graph && flags == 0, "the place for the graph is null, or flags are not 0");
    *graph = new CUgraph_st();
    runtime().graphs.insert(*graph);
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return api("cudaGraphDestroy", [&] { destroy_graph(graph_of(graph)); });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  return api("cudaGraphInstantiate", [&] { instantiate(executable, graph); });
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph,
                                          unsigned long long) {
  return api("cudaGraphInstantiateWithFlags", [&] { instantiate(executable, graph); });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t handle) {
  return api("cudaGraphExecDestroy", [&] {
    cudaGraphExec_t executable = executable_of(handle);
    runtime().executables.erase(executable);
    delete executable;
  });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t stream) {
  return api("cudaGraphUpload", [&] {
    executable_of(executable);
    submit(stream_of(stream), EmptyWork{});
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return api("cudaGraphLaunch", [&] { launch(executable, stream); });
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t handle, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo* info) {
  return api("cudaGraphExecUpdate", [&] {
    require(info, "the place for the result is null");
    cudaGraphExec_t executable = executable_of(handle);
    const Difference found = difference(*executable, *graph_of(graph));
    *info = {};
    info->result = found.result;
    info->errorNode = found.node;
    if (found.result != cudaGraphExecUpdateSuccess)
      refuse(cudaErrorGraphExecUpdateFailure,
             found.node ? "the graphs differ at " + describe(found.node->work)
                        : "the graphs differ in their number of nodes");
    for (const auto& node : graph->nodes) executable->nodes[node->index].work = node->work;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  return api("cudaGraphGetNodes", [&] { list_nodes(graph_of(graph)->nodes, nodes, count); });
}

cudaError_t cudaGraphGetRootNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  return api("cudaGraphGetRootNodes", [&] {
    std::vector<cudaGraphNode_t> roots;
    for (const auto& node : graph_of(graph)->nodes)
      if (node->after.empty()) roots.push_back(node.get());
    list_nodes(roots, nodes, count);
  });
}

cudaError_t cudaGraphGetEdges(cudaGraph_t graph, cudaGraphNode_t* from, cudaGraphNode_t* to,
                              cudaGraphEdgeData* data, size_t* count) {
  return api("cudaGraphGetEdges", [&] {
    std::vector<cudaGraphNode_t> starts, ends;
    for (const auto& node : graph_of(graph)->nodes)
      for (cudaGraphNode_t before : node->after) {
        starts.push_back(before);
        ends.push_back(node.get());
      }
    require(count && !from == !to, "the number's place is null, or only one list is given");
    if (data && from) std::memset(data, 0, *count * sizeof *data);
    size_t second = *count;
    list_nodes(starts, from, count);
    list_nodes(ends, to, &second);
  });
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  return api("cudaGraphNodeGetType", [&] {
    require(node && type, "no node, or no place for the type");
    *type = type_of(*node);
  });
}

cudaError_t cudaGraphDebugDotPrint(cudaGraph_t graph, const char* path, unsigned int) {
  return api("cudaGraphDebugDotPrint", [&] {
    require(path, "the path is null");
    std::ofstream file(path);
    file << "digraph captured {\n";
    for (const auto& node : graph_of(graph)->nodes) {
      file << "  n" << node->index << " [label=\"" << describe(node->work) << "\"];\n";
      for (cudaGraphNode_t before : node->after)
        file << "  n" << before->index << " -> n" << node->index << ";\n";
    }
    file << "}\n";
    if (!file.flush()) refuse(cudaErrorOperatingSystem, std::string("cannot write ") + path);
  });
}

}  // extern "C"
