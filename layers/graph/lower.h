// From a symbolic graph to the graph of one program: known shapes, gradients, updates.
#pragma once

#include <striate/layers/graph/graph.h>
#include <striate/layers/graph/variable.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace striate {

class Optimizer;

/// Train `weights` (those that are not frozen) to lessen `loss` by `optimizer`.
struct Update {
  std::shared_ptr<Optimizer> optimizer;
  Value loss;
  std::vector<std::shared_ptr<Variable>> weights;
};

/// A variable's new value.
struct Assignment {
  std::shared_ptr<Variable> variable;
  Value value;
};

/// What a program computes, on known shapes.
struct LoweredGraph {
  std::vector<Value> inputs;
  std::vector<Value> outputs;
  Value step_block;                          // null when nothing reads it
  std::vector<Assignment> state;             // at the end of each forward and backward
  std::vector<Assignment> gradients;         // of each weight, in order of readiness
  std::vector<Assignment> updates;           // after all gradients of all shards
  uint64_t first_update_id = 0;              // nodes from here on run once a step, not once a shard
  std::vector<std::shared_ptr<Node>> order;  // of execution
};

/// Make the graph that computes `outputs` from `inputs` of the given types, and the updates.
/// Throws what the operations throw for these shapes.
LoweredGraph lower(const std::vector<Value>& inputs, const std::vector<Type>& types,
                   const std::vector<Value>& outputs, const std::vector<Update>& updates,
                   bool training);

/// Recompute `order`: all nodes that outputs, state and updates need.
void schedule(LoweredGraph& graph);

/// Merge neighbours where a kernel of the device does both: conv + activation, batch norm +
/// residual + relu, batch norm into the convolution before it (inference), an activation's gradient
/// into the operation before it, relu's into max pooling's winners, a dense layer's gradients, the
/// share of right answers into the loss. On a device the loss's kernel looks itself whether the
/// step must stop.
void fuse(LoweredGraph& graph, Device device, bool training);

/// True when the kernel that makes `output` tells the step block that it is not finite.
bool stops_by_itself(const Value& output);

}  // namespace striate
