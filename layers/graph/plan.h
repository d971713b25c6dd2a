// The plan of a program: kernels chosen, layouts settled, memory laid out; a flat list to run.
#pragma once

#include <striate/kernels/impl.h>
#include <striate/layers/graph/lower.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace striate {

/// How programs are made.
struct ProgramOptions {
  Device device;
  bool training = false;
  bool exact = false;             // only kernels as exact as direct sums
  bool same_for_threads = false;  // only kernels whose bits do not depend on the threads
  bool tf32 = false;              // products of float32 may cut off their factors' last bits
  bool check_losses = false;      // inputs and results of rank 0 must be finite; so in training
  bool check_numerics = false;    // look for NaN and infinity after every kernel
  int shards = 1;                 // equal parts of the batch whose gradients are summed by one tree
  int lanes = 0;  // threads that run the shards side by side, each some of them; 0: all run each
  /// Says what to prefer for a problem; without it the estimates decide alone.
  std::function<kernels::Preferred(const kernels::Problem&)> prefer = {};
};

inline constexpr size_t kMostBytes = size_t{1} << 60;  // of a value, and of a program in all

/// Where a value lies.
enum class Place { kArena, kPersistent, kInput, kOutput, kVariable, kConstant, kStepBlock };

/// One value of a plan in one layout.
struct PlanValue {
  Type type;
  Layout layout;
  Place place = Place::kArena;
  int root = -1;    // the value whose memory this one shares; itself if it owns some
  int number = -1;  // of the input, output, variable or constant
  size_t bytes = 0;
  size_t offset = 0;          // in the arena or in the persistent memory
  int first = -1, last = -1;  // steps between which the memory is needed
  bool gradient = false;      // lies in the gradient region
  std::string name;           // for reports
};

/// One kernel of the flat list.
struct PlanStep {
  std::unique_ptr<kernels::Kernel> kernel;
  std::vector<int> inputs, outputs;
  int workspace = -1;
  std::string layer, path, operation;
  kernels::Choice choice;  // the report; its kernel has moved to `kernel`
  kernels::Problem problem;
};

struct Plan {
  std::vector<PlanValue> values;
  std::vector<std::shared_ptr<Variable>> variables;
  std::vector<uint64_t> epochs;  // of the variables when planned
  std::vector<Tensor> constants;
  std::vector<int> inputs, outputs;  // values
  std::vector<PlanStep> prologue;    // run when a variable has changed; in training, each step
  std::vector<PlanStep> steps;       // run once per shard up to `update_begin`, then once
  size_t state_begin = 0;  // from here to update_begin state is stored, the results being finite
  size_t update_begin = 0;
  std::vector<std::pair<std::string, int>> gradients;  // weight's path, value; in memory order
  size_t arena_bytes = 0;
  size_t persistent_bytes = 0;
  size_t gradient_offset = 0, gradient_bytes = 0;
  size_t alignment = 64;  // of every value in the arena

  const PlanValue& root(int value) const {
    return values[static_cast<size_t>(values[static_cast<size_t>(value)].root)];
  }
};

/// Choose kernels and layouts for the graph in its order and lay out its memory.
Plan make_plan(const LoweredGraph& graph, const ProgramOptions& options);

/// Give every arena value of `steps` an offset so that values needed at the same time do not
/// overlap; values marked `gradient` become one region. Returns the bytes needed.
size_t lay_out_memory(std::vector<PlanValue>& values, Place place, size_t alignment);

}  // namespace striate
