// A compiled graph: a flat list of prepared kernels and one arena whose size is known beforehand.
#pragma once

#include <striate/core/step.h>
#include <striate/layers/graph/plan.h>
#include <striate/layers/graph/staging.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace striate {

/// The memory that the programs of one model share: as large as the largest needs. What programs
/// make once for many runs is kept for those that ran last.
class Arena {
 public:
  explicit Arena(Device device = {}) : device_(device) {}
  /// Grow to at least `bytes`. Throws OutOfMemoryError with the bytes asked.
  void reserve(size_t bytes);
  /// Keep what a program that runs now makes once; the `kKept` last ones are kept.
  void keep(const std::shared_ptr<Buffer>& made);
  char* data() const { return buffer_ ? static_cast<char*>(buffer_->data()) : nullptr; }
  size_t bytes() const { return buffer_ ? buffer_->bytes() : 0; }
  Device device() const { return device_; }

 private:
  // As many as training and validation take turns with: whole batches, and the last of each.
  static constexpr size_t kKept = 4;

  Device device_;
  std::shared_ptr<Buffer> buffer_;
  std::vector<std::shared_ptr<Buffer>> kept_;  // the latest last
};

/// What a run has to do with the one after it.
struct Ahead {
  bool taken = false;               // its inputs are what `take_ahead` was given last, unchanged
  std::function<void()> next = {};  // called while a device works, on the CPU after the run
};

/// A symbolic graph, and its plans for the input types that it meets.
class Program {
 public:
  /// Compile for given input types. Throws what the operations throw, layer named; KernelError
  /// when a forced kernel declines.
  Program(std::vector<Value> inputs, std::vector<Type> input_types, std::vector<Value> outputs,
          std::vector<Update> updates, ProgramOptions options, std::shared_ptr<Arena> arena = {});

  /// Run once. `inputs` and `outputs` are dense tensors of the types compiled for, on the CPU or on
  /// the program's device. On a device a step is recorded at the first run and given to it as one.
  /// With `shards` > 1 the inputs hold the rows of all shards one after another; outputs that have
  /// rows too are filled likewise, the others are summed by the tree.
  /// `samples` are the numbers of the rows in their data set, by which errors name them.
  /// Throws LabelError for a label outside its classes; NumericsError when a loss is not finite
  /// (the layer named, nothing updated) or an input of a program with losses, with check_numerics
  /// when any value is not;
  /// OutOfMemoryError at the first run.
  void run(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
           const StepBlock& block = {}, std::span<const int64_t> samples = {},
           const Ahead& ahead = {});
  /// Take the inputs of the next run to the device beside its work, and return whether that could
  /// be done; on the CPU there is nothing to do.
  bool take_ahead(const std::vector<Tensor>& inputs);
  /// Return how many runs found their inputs on the device because of `take_ahead`.
  int64_t taken_ahead() const { return staging_ ? staging_->taken_ahead() : 0; }
  /// The same with new output tensors.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs, const StepBlock& block = {});

  /// Run `rounds` times (a training program trains) and report each kernel as `explain` does, with
  /// `microseconds`: its shortest run.
  Json profile(const std::vector<Tensor>& inputs, const StepBlock& block = {}, int rounds = 5);

  /// Types of a whole batch: `shards` times the rows compiled for.
  const std::vector<Type>& input_types() const { return input_types_; }
  std::vector<Type> output_types() const;

  struct Memory {
    size_t planned = 0;  // of the arena, before anything runs
    size_t used = 0;     // of the arena, up to the last byte that a kernel is given
    size_t weights = 0, state = 0, gradients = 0;
    size_t persistent = 0;  // folded and packed weights, copies of inputs and outputs, statistics
  };
  /// Return the bytes needed; the arena itself is had at the first run.
  Memory memory() const;
  double plan_seconds() const { return plan_seconds_; }
  /// Return the kernels, copies and fills of the recorded step; 0 before it is recorded.
  int recorded_nodes() const { return recording_ ? recording_->nodes() : 0; }
  const Plan& plan() const { return plan_; }
  /// Report each kernel: layer, operation, entry, why, what the others said, layouts, bytes.
  Json explain() const;
  const ProgramOptions& options() const { return options_; }

 private:
  void compile();
  void run_steps(std::vector<PlanStep>& steps, size_t begin, size_t end);
  void run_prologue();
  void reserve_memory();
  void check_finite(const std::vector<Tensor>& outputs, int64_t step);
  void keep_state();
  void restore_state();
  void make_sums();
  std::unique_ptr<kernels::Kernel> make_addition() const;
  size_t levels() const;
  void sum_part(kernels::Kernel& add, size_t base, int part);
  void sum_remaining(kernels::Kernel& add, size_t base);
  void add_region(kernels::Kernel& add, size_t from_offset, size_t to_offset);
  struct Fault {
    std::string layer, place;
  };
  Fault find_nonfinite();
  void check_inputs(const std::vector<Tensor>& inputs, int64_t step,
                    std::span<const int64_t> samples) const;
  void check_labels(const std::vector<Tensor>& inputs, std::span<const int64_t> samples) const;
  bool checks_losses() const {
    return options_.training || options_.check_losses || options_.check_numerics;
  }
  bool is_stale() const;
  char* pointer(int value) const;
  bool on_device() const { return options_.device.type != DeviceType::kCpu; }
  void copy(void* to, const void* from, size_t bytes) const;
  float scalar(const std::vector<Tensor>& outputs, size_t i) const;
  void feed(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs, int shard);
  void run_shard(const std::vector<Tensor>& outputs, int shard, int64_t step);
  void replay(const std::vector<Tensor>& outputs, int64_t step, const Ahead& ahead);
  void receive();
  void hand_out(const std::vector<Tensor>& outputs) const;

  struct Bound {
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
    void* workspace = nullptr;
  };

  /// A thread that runs slices one after another, with kernels and a part of the arena of its own.
  struct Lane {
    std::vector<std::unique_ptr<kernels::Kernel>> kernels;  // none for the first: those of the plan
    std::unique_ptr<kernels::Kernel> add;                   // of two gradient regions
  };
  /// A shard that one thread runs from the first kernel to the gradients.
  struct Slice {
    std::vector<Bound> bound;
    std::vector<float> scalars;  // outputs of rank 0
    StepBlock block;
  };
  void make_slices();
  void bind_slices(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs);
  void run_slices(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
                  const StepBlock& block);
  void run_lane(size_t lane);
  void run_slice(size_t lane, size_t part);
  void sum_lanes();
  Fault find_nonfinite_slice();
  [[noreturn]] void report_fault(int64_t step, Fault fault);

  void bind(const std::vector<PlanStep>& steps, std::vector<Bound>& bound);

  struct LabelCheck {
    size_t input;
    int64_t classes;
    std::string layer;
  };

  std::vector<Value> inputs_, outputs_;
  std::vector<Type> input_types_;
  std::vector<Update> updates_;
  ProgramOptions options_;
  std::shared_ptr<Arena> arena_;
  Plan plan_;
  std::weak_ptr<Buffer> persistent_;  // the arena's
  std::vector<Bound> bound_steps_, bound_prologue_;
  std::vector<const char*> fed_inputs_;
  std::vector<char*> fed_outputs_;
  std::vector<uint64_t> seen_versions_;
  std::vector<bool> changed_;        // variables that a run changes
  std::vector<size_t> shard_state_;  // variables that each shard changes, when there are shards
  std::vector<std::shared_ptr<Buffer>> kept_state_;  // their values before the step
  std::vector<double> sums_;                         // of the outputs over the shards
  std::vector<LabelCheck> labels_;
  char* bound_arena_ = nullptr;
  std::vector<double> seconds_;           // shortest run of each step, while `profile` runs
  std::unique_ptr<kernels::Kernel> add_;  // of two gradient regions, when there are shards
  int parts_ = 1;       // shards whose gradients are summed in one part of the arena
  size_t waiting_ = 0;  // where sums wait there
  std::vector<Lane> lanes_;
  size_t lane_bytes_ = 0;         // of the arena
  std::vector<Slice> slices_;     // parts_ for each lane
  size_t slice_ = 0;              // to which `pointer` points
  std::vector<const void*> fed_;  // the tensors that the slices are bound to
  StepBlock block_;
  std::unique_ptr<Staging> staging_;      // on a device
  std::unique_ptr<Recording> recording_;  // of a whole step
  double plan_seconds_ = 0;
};

}  // namespace striate
