// Models: a graph of layers with weights, and the programs that train, evaluate and run it.
#pragma once

#include <striate/layers/fit.h>
#include <striate/layers/graph/program.h>
#include <striate/layers/initializer.h>
#include <striate/layers/layer.h>
#include <striate/layers/loss.h>
#include <striate/layers/optimizer.h>

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace striate {

class SafetensorsFile;

/// How a model is trained: the arguments of `Model::compile`.
///   {.optimizer = Adam{.learning_rate = 0.01}, .losses = {"mean_squared_error"}}
struct CompileOptions {
  std::shared_ptr<Optimizer> optimizer = {};  // none: Adam
  std::vector<Loss> losses = {};              // one per output, or one for all
  std::vector<double> loss_weights = {};      // empty: all 1
  std::vector<Metric> metrics = {};           // of the first output
  std::string device = "auto";
  std::string precision = "float32";
  bool check_numerics = false;
  bool exact = false;             // decline Winograd with large tiles
  bool same_for_threads = false;  // decline kernels whose bits depend on the number of threads
  bool tune = false;              // measure the kernels of each layer instead of estimating
  int shards = 1;
  uint64_t seed = current_seed();
};

class Model {
 public:
  /// Make a model of a graph. Layers without a name get one; weights get their first values.
  /// Throws ShapeError when an output does not depend on the inputs given, or two layers share a
  /// name.
  Model(std::vector<Value> inputs, std::vector<Value> outputs, const std::string& name = "model");

  const std::string& name() const { return name_; }
  const std::vector<Value>& inputs() const { return inputs_; }
  const std::vector<Value>& outputs() const { return outputs_; }
  /// Return the calls of layers and operations in order.
  const std::vector<std::shared_ptr<Call>>& calls() const { return calls_; }
  /// Return the layers in order of their first call.
  const std::vector<Layer>& layers() const { return layers_; }
  /// Return the layer of that path. Throws Error with the paths that exist.
  Layer layer(const std::string& path) const;
  /// Return all variables, trained or not, in order of their layers.
  std::vector<std::shared_ptr<Variable>> weights() const;
  int64_t count_params() const;
  void freeze(bool frozen = true) const;

  /// Apply the model as a layer: its layers and weights are shared.
  std::vector<Value> operator()(const std::vector<Value>& inputs) const;
  /// Return a model with the last layer replaced.
  Model replace_head(const Layer& layer) const;

  /// Say how the model is trained. Throws what unknown names throw, DeviceError.
  void compile(CompileOptions options);
  /// Say what is otherwise than when the checkpoint that this model was loaded from was written,
  /// so that training on will not give the same bits: a sentence each.
  const std::vector<std::string>& resume_differences() const { return state_->differences; }
  /// Return the device that the model was compiled for.
  Device device() const { return state_->device; }
  bool is_compiled() const { return state_->options.optimizer != nullptr; }
  const CompileOptions& compile_options() const { return state_->options; }

  /// Train on one batch; x and y hold one tensor per input and output, rows first. The result is
  /// the model's and holds until the next batch. Nothing is allocated but at the first such batch.
  /// `samples` are the numbers of the rows in their data set, by which errors name them.
  /// `coming`: what comes after this batch, for loops over a data set.
  const StepResult& train_batch(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                                std::span<const int64_t> samples = {}, const Coming& coming = {});
  /// Evaluate one batch without training.
  const StepResult& test_batch(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                               std::span<const int64_t> samples = {}, const Coming& coming = {});
  /// Return the outputs for one batch.
  std::vector<Tensor> predict_batch(const std::vector<Tensor>& x) const;

  /// Train for some epochs: the numbers are those of Python's `fit`. x: [N, ...] per input, y:
  /// [N, ...] per output. Throws ShapeError for no samples or counts that differ, LabelError,
  /// NumericsError; the sample is named.
  History fit(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
              const FitOptions& options = {});
  /// Return loss and metrics over a data set, without training. Throws the same.
  StepResult evaluate(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                      int64_t batch_size = 256);
  /// Return the outputs for a data set. Throws ShapeError.
  std::vector<Tensor> predict(const std::vector<Tensor>& x, int64_t batch_size = 256) const;

  /// Training steps done, rows seen: what learning rates and random numbers depend on.
  int64_t step() const { return state_->step; }
  void set_step(int64_t step) { state_->step = step; }

  /// Return the program for given types, compiled when new; `purpose` train, test or predict.
  std::shared_ptr<Program> program(const std::string& purpose, const std::vector<Type>& x,
                                   const std::vector<Type>& y = {}) const;
  /// Return the same, but not kept where it is new: to look at.
  std::shared_ptr<Program> planned(const std::string& purpose, const std::vector<Type>& x,
                                   const std::vector<Type>& y = {}) const;
  /// Return the types of the targets of `batch` samples: those trained on last, else what the
  /// losses ask for.
  std::vector<Type> target_types(int64_t batch) const;

  /// Return shapes, parameters, bytes and multiply-adds of each layer as JSON, and how convolutions
  /// are computed: in the training program used last, else in a prediction of `batch` samples.
  Json summary(int64_t batch = 32) const;
  /// Return the graph and the options as JSON: what `from_config` reads.
  /// Throws Error naming what cannot be recorded.
  Json config() const;
  /// Rebuild a model, its weights not yet set. Throws FileError for a config that is none.
  static Model from_config(const Json& config);

  /// Write weights and graph to one safetensors file, atomically. Throws FileError; the old file
  /// is intact then. `checkpoint` adds the optimizer's state and the step.
  void save(const std::string& path, bool checkpoint = false) const;
  /// Read such a file. Throws FileError; nothing is half-loaded.
  static Model load(const std::string& path);
  /// Set weights by name from any safetensors file; returns {loaded, missing, unexpected,
  /// wrong_shape}. Without `partial` any of the last three is a FileError and nothing changes.
  Json load_weights(const std::string& path, bool partial = false);

 private:
  friend class Predictor;
  /// A program, and what a batch needs besides, kept from one to the next.
  struct Slot {
    std::string purpose;
    std::vector<Type> x, y;
    std::shared_ptr<Program> program;
    std::vector<Tensor> inputs, outputs;
    StepResult result;
    uint64_t used = 0;
  };
  struct State {
    CompileOptions options;
    Device device;
    int64_t step = 0;
    std::shared_ptr<Arena> arena;
    std::vector<std::unique_ptr<Slot>> programs;  // of the input types seen lately
    uint64_t clock = 0;
    std::shared_ptr<const std::map<std::string, std::string>> kept;  // a checkpoint's choices
    std::vector<std::string> differences;
  };

  std::map<std::string, Json> convolutions(int64_t batch) const;
  void read_compile(const Json& compile, const SafetensorsFile& file);
  void record_choices(Json& compile) const;
  void keep_choices(const Json& compile);
  std::function<kernels::Preferred(const kernels::Problem&)> preference(
      const std::string& purpose) const;
  void collect_calls();
  void name_unnamed();
  std::shared_ptr<Program> build(const std::string& purpose, const std::vector<Type>& x,
                                 const std::vector<Type>& y, std::shared_ptr<Arena> arena) const;
  void need_compiled(const std::string& purpose) const;
  template <class T>
  Slot* find_slot(const std::string& purpose, const std::vector<T>& x,
                  const std::vector<T>& y) const;
  Slot& slot(const std::string& purpose, const std::vector<Type>& x,
             const std::vector<Type>& y) const;
  const StepResult& run_batch(const std::string& purpose, const std::vector<Tensor>& x,
                              const std::vector<Tensor>& y, std::span<const int64_t> samples,
                              const Coming& coming);

  std::string name_;
  std::vector<Value> inputs_, outputs_;
  std::vector<std::shared_ptr<Call>> calls_;
  std::vector<Layer> layers_;
  std::shared_ptr<State> state_;
};

/// Give a path to each layer that has none: its type's name, numbered where that is taken.
void name_layers(const std::vector<Layer>& layers);

/// Make a model of layers one after another; the first is an Input.
Model Sequential(const std::vector<Layer>& layers, const std::string& name = "sequential");

/// Runs a model with an arena of its own: one per thread makes prediction concurrent.
class Predictor {
 public:
  explicit Predictor(const Model& model);
  /// Return the outputs for a batch of any size.
  std::vector<Tensor> operator()(const std::vector<Tensor>& x);
  Tensor operator()(const Tensor& x) { return (*this)(std::vector<Tensor>{x})[0]; }

 private:
  Model model_;
  std::shared_ptr<Arena> arena_;
  std::map<std::string, std::shared_ptr<Program>> programs_;
};

}  // namespace striate
