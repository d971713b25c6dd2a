#include <striate/core/parallel.h>
#include <striate/kernels/reduce.h>
#include <striate/kernels/unary.h>
#include <striate/layers/graph/precision.h>
#include <striate/layers/graph/row_work.h>
#include <striate/layers/model.h>

#include <algorithm>
#include <cctype>
#include <exception>
#include <set>

namespace striate {
namespace {

constexpr size_t kMaxPrograms = 16;  // per model: input shapes seen lately

/// Return `max_pool2d` for `MaxPool2D`.
std::string snake_case(const std::string& name) {
  std::string text;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool upper = std::isupper(static_cast<unsigned char>(name[i])) != 0;
    const bool after_lower = i > 0 && std::islower(static_cast<unsigned char>(name[i - 1])) != 0;
    if (upper && after_lower) text += '_';
    text += static_cast<char>(std::tolower(static_cast<unsigned char>(name[i])));
  }
  return text;
}

/// Return `base`, numbered where it is used, and note it as used.
std::string free_path(const std::string& base, std::set<std::string>& used) {
  std::string path = base;
  for (int i = 1; !used.insert(path).second; ++i) path = base + "_" + std::to_string(i);
  return path;
}

std::string key_of(const std::string& purpose, const std::vector<Type>& x,
                   const std::vector<Type>& y) {
  std::string key = purpose;
  for (const auto* types : {&x, &y})
    for (const Type& type : *types) {
      key += '|';
      key += name_of(type.dtype);
      for (int64_t d : type.shape) key += ',' + std::to_string(d);
    }
  return key;
}

/// Divide a training step into slices of the batch that threads run side by side: they would spend
/// much of a small network's step waiting for each other at the end of each kernel. A large batch
/// becomes several slices for each thread, so that what one kernel writes is still in the cache
/// when the next one reads it (two threads, time of whole steps over sliced ones: LeNet of 1024 and
/// 4096 pictures 1.3, a small CNN of 64 to 256 pictures 1.0 to 1.1).
void divide(ProgramOptions& how, const Shape& x, const std::vector<Value>& means) {
  constexpr double kSmall = 1e8;      // multiply-adds of a forward pass
  constexpr double kCache = 8 << 20;  // bytes that the slices in work write, and of gradients
  constexpr int64_t kFewestRows = 8, kFewestRowsOfMany = 16;  // of a slice
  if (how.device.type != DeviceType::kCpu || how.same_for_threads || how.check_numerics) return;
  const int team = threads();
  if (x.rank() == 0 || x[0] % team != 0 || x[0] / team < kFewestRows) return;
  const auto row = row_work(means);
  if (!row) return;
  const auto rows = static_cast<double>(x[0]);
  // Adding up the gradients of so many slices must be little beside their work.
  const auto pays = [&](int slices) {
    return row->weights * sizeof(float) <= kCache &&
           row->weights * (slices - 1) <= row->products * rows / 600;
  };
  if (row->products * rows > kSmall && !pays(team)) return;
  int slices = team;
  while (row->bytes * rows / slices * team > kCache && x[0] % (2 * slices) == 0 &&
         x[0] / (2 * slices) >= kFewestRowsOfMany && pays(2 * slices))
    slices *= 2;
  if (slices == 1) return;
  how.shards = slices;
  how.lanes = team;
}

std::vector<Type> types_of(const std::vector<Tensor>& tensors) {
  std::vector<Type> types;
  for (const Tensor& tensor : tensors) types.push_back({tensor.shape(), tensor.dtype()});
  return types;
}

bool same_types(const std::vector<Type>& types, const std::vector<Type>& others) {
  return std::equal(
      types.begin(), types.end(), others.begin(), others.end(),
      [](const Type& a, const Type& b) { return a.dtype == b.dtype && a.shape == b.shape; });
}

bool same_types(const std::vector<Type>& types, const std::vector<Tensor>& tensors) {
  return std::equal(
      types.begin(), types.end(), tensors.begin(), tensors.end(),
      [](const Type& a, const Tensor& b) { return a.dtype == b.dtype() && a.shape == b.shape(); });
}

std::vector<Tensor> joined(const Batch& batch) {
  std::vector<Tensor> tensors = batch.x;
  tensors.insert(tensors.end(), batch.y.begin(), batch.y.end());
  return tensors;
}

}  // namespace

Model::Model(std::vector<Value> inputs, std::vector<Value> outputs, const std::string& name)
    : name_(name), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {
  if (inputs_.empty() || outputs_.empty())
    throw ShapeError("a model needs at least one input and one output",
                     std::to_string(inputs_.size()) + " and " + std::to_string(outputs_.size()));
  state_ = std::make_shared<State>();
  collect_calls();
  name_unnamed();
  for (const auto& variable : weights())
    if (!variable->materialized()) initialize(*variable, current_seed());
}

void Model::collect_calls() {
  std::vector<Value> todo = outputs_;
  std::set<const Node*> seen;
  while (!todo.empty()) {
    const Value value = todo.back();
    todo.pop_back();
    if (!value || std::count(inputs_.begin(), inputs_.end(), value)) continue;
    const Node& node = *value.node;
    if (node.operation->name == "constant" || node.operation->name == "variable") continue;
    if (node.operation->name == "input")
      throw ShapeError("a model's outputs must depend on its inputs alone",
                       "the further input '" + node.path() + "'");
    if (!seen.insert(value.node.get()).second) continue;
    auto call = node.call;
    if (!call) {  // an operation between layers
      call = std::make_shared<Call>();
      call->inputs = node.inputs;
      std::vector<Value> outputs;
      for (size_t i = 0; i < node.outputs.size(); ++i)
        outputs.push_back(node.output(static_cast<int>(i)));
      call->set_outputs(outputs);
      call->id = node.id;
    }
    if (!std::count(calls_.begin(), calls_.end(), call)) calls_.push_back(call);
    todo.insert(todo.end(), call->inputs.begin(), call->inputs.end());
  }
  std::sort(calls_.begin(), calls_.end(),
            [](const auto& a, const auto& b) { return a->id < b->id; });
  for (const auto& call : calls_)
    if (call->layer && !std::count(layers_.begin(), layers_.end(), call->layer))
      layers_.push_back(call->layer);
}

void Model::name_unnamed() {
  std::set<std::string> used;
  const auto unnamed = [](const std::string& path) { return path.empty() || path.back() == '/'; };
  for (const Layer& layer : layers_) {
    if (unnamed(layer.path()) || !layer.is_named()) continue;
    if (!used.insert(layer.path()).second)
      throw ShapeError("layers of a model need different names", "'" + layer.path() + "' twice",
                       "Name them differently, or leave the names out");
  }
  for (const Layer& layer : layers_) {
    if (layer.is_named() && !unnamed(layer.path())) continue;
    if (!unnamed(layer.path()) && used.insert(layer.path()).second) continue;
    const size_t slash = layer.path().rfind('/');
    const std::string prefix = slash == std::string::npos ? "" : layer.path().substr(0, slash + 1);
    layer.set_path(free_path(prefix + snake_case(layer.type()), used));
  }
}

Layer Model::layer(const std::string& path) const {
  std::string paths;
  for (const Layer& layer : layers_) {
    if (layer.path() == path) return layer;
    paths += (paths.empty() ? "" : ", ") + layer.path();
  }
  throw Error("the model has no layer '" + path + "'", "layers " + paths);
}

std::vector<std::shared_ptr<Variable>> Model::weights() const {
  std::vector<std::shared_ptr<Variable>> all;
  for (const Layer& layer : layers_)
    all.insert(all.end(), layer.weights().begin(), layer.weights().end());
  return all;
}

int64_t Model::count_params() const {
  int64_t total = 0;
  for (const auto& variable : weights()) total += variable->type.shape.elements();
  return total;
}

void Model::freeze(bool frozen) const {
  for (const Layer& layer : layers_) layer.freeze(frozen);
  state_->programs.clear();
}

std::vector<Value> Model::operator()(const std::vector<Value>& inputs) const {
  if (inputs.size() != inputs_.size())
    throw ShapeError(
        "the model '" + name_ + "' takes " + std::to_string(inputs_.size()) + " inputs",
        std::to_string(inputs.size()));
  std::map<Value, Value> made;
  for (size_t i = 0; i < inputs.size(); ++i) made[inputs_[i]] = inputs[i];
  const auto find = [&](const Value& value) {
    const auto found = made.find(value);
    return found == made.end() ? value : found->second;
  };
  for (const auto& call : calls_) {
    std::vector<Value> arguments;
    for (const Value& input : call->inputs) arguments.push_back(find(input));
    const std::vector<Value> originals = call->outputs();
    const Value used = call->used_output();
    const auto results = call->layer ? call->layer(arguments)
                                     : emit(*used.node->operation, used.node->options, arguments);
    for (size_t i = 0; i < results.size(); ++i)
      if (originals[i]) made[originals[i]] = results[i];
  }
  std::vector<Value> outputs;
  for (const Value& output : outputs_) outputs.push_back(find(output));
  return outputs;
}

Model Model::replace_head(const Layer& layer) const {
  const auto call = outputs_[0].node->call;
  if (outputs_.size() != 1 || !call || !call->layer || call->inputs.size() != 1)
    throw ShapeError("replace_head needs a model that ends in one layer with one input",
                     std::to_string(outputs_.size()) + " outputs");
  return Model(inputs_, {layer(call->inputs[0])}, name_);
}

void Model::compile(CompileOptions options) {
  const Device device = device_from_name(options.device);
  if (!options.optimizer) options.optimizer = Optimizer::make(Json("adam"));
  if (options.losses.empty())
    throw ShapeError("compile needs a loss", "none", "Pass loss=\"mean_squared_error\", ...");
  if (options.losses.size() != 1 && options.losses.size() != outputs_.size())
    throw ShapeError("compile needs one loss, or one for each of the " +
                         std::to_string(outputs_.size()) + " outputs",
                     std::to_string(options.losses.size()));
  if (!options.loss_weights.empty() && options.loss_weights.size() != outputs_.size())
    throw ShapeError("loss_weights needs one number for each output",
                     std::to_string(options.loss_weights.size()));
  if (options.precision != "float32" && device.type == DeviceType::kCpu)
    throw DTypeError("the CPU computes in float32", "precision '" + options.precision + "'");
  if (options.precision != "float32" && options.precision != "tf32" &&
      options.precision != "bfloat16")
    throw DTypeError("CUDA devices compute in float32, tf32 and bfloat16",
                     "precision '" + options.precision + "'");
  if (options.shards < 1) throw ShapeError("shards must be >= 1", std::to_string(options.shards));
  state_->options = std::move(options);
  state_->device = device;
  state_->programs.clear();
  state_->kept = nullptr;
  state_->differences.clear();
  state_->arena = std::make_shared<Arena>(device);
}

std::shared_ptr<Program> Model::build(const std::string& purpose, const std::vector<Type>& x,
                                      const std::vector<Type>& y,
                                      std::shared_ptr<Arena> arena) const {
  const CompileOptions& options = state_->options;
  ProgramOptions how;
  how.device = state_->device;
  how.training = purpose == "train";
  how.exact = options.exact;
  how.same_for_threads = options.same_for_threads;
  how.tf32 = options.precision == "tf32";
  how.check_losses = purpose != "predict";
  how.check_numerics = options.check_numerics;
  how.shards = purpose == "predict" ? 1 : options.shards;
  how.prefer = preference(purpose);
  if (!x.empty() && x[0].shape.rank() > 0 && x[0].shape[0] % how.shards != 0)
    how.shards = 1;  // a last, smaller batch is one shard
  const std::vector<Value> results =
      options.precision == "bfloat16" ? with_products_in(outputs_, DType::kBF16) : outputs_;
  if (purpose == "predict")
    return std::make_shared<Program>(inputs_, x, results, std::vector<Update>{}, how, arena);
  std::vector<Value> inputs = inputs_, targets;
  std::vector<Type> types = x;
  for (size_t i = 0; i < y.size(); ++i) {
    Type type = y[i];
    if (type.shape.rank() > 0) type.shape[0] = kUnknown;
    targets.push_back(input_value(type, "targets"));
    inputs.push_back(targets.back());
    types.push_back(y[i]);
  }
  if (targets.size() != outputs_.size())
    throw ShapeError("the model has " + std::to_string(outputs_.size()) + " outputs",
                     std::to_string(targets.size()) + " targets");
  const auto named_layer = [](const char* type, const NamedFunction& named) {
    return std::make_shared<LayerName>(LayerName{type, named.name});
  };
  const auto mean_of = [](const NamedFunction& named, const Value& target, const Value& output) {
    const Value value = named.function(target, output);
    return value.shape().rank() > 0 ? apply("reduce_mean", {value}, ReduceOptions{}) : value;
  };
  std::vector<Value> means;  // losses, then metrics
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const NamedFunction& named = options.losses[options.losses.size() == 1 ? 0 : i];
    const LayerScope scope(named_layer("Loss", named));
    means.push_back(mean_of(named, targets[i], results[i]));
  }
  for (const NamedFunction& named : options.metrics) {
    const LayerScope scope(named_layer("Metric", named));
    means.push_back(mean_of(named, targets[0], results[0]));
  }
  if (how.training && how.shards == 1 && !x.empty()) divide(how, x[0].shape, means);
  Value total;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const LayerScope scope(named_layer("Loss", options.losses[options.losses.size() == 1 ? 0 : i]));
    Value loss = means[i];
    const double weight = (options.loss_weights.empty() ? 1.0 : options.loss_weights[i]) /
                          static_cast<double>(how.shards);
    if (weight != 1) loss = apply("scale", {loss}, UnaryOptions{weight});
    total = total ? apply("add", {total, loss}) : loss;
  }
  std::vector<Value> outputs = {total};
  for (size_t i = 0; i < options.metrics.size(); ++i) {
    const LayerScope scope(named_layer("Metric", options.metrics[i]));
    Value metric = means[outputs_.size() + i];
    if (how.shards > 1)
      metric = apply("scale", {metric}, UnaryOptions{1.0 / static_cast<double>(how.shards)});
    outputs.push_back(metric);
  }
  std::vector<Update> updates;
  if (how.training) updates.push_back({options.optimizer, total, weights()});
  return std::make_shared<Program>(inputs, types, outputs, std::move(updates), how, arena);
}

void Model::need_compiled(const std::string& purpose) const {
  if (purpose != "predict" && !is_compiled())
    throw Error("the model is not compiled", "", "Call compile(optimizer, loss) first");
}

template <class T>
Model::Slot* Model::find_slot(const std::string& purpose, const std::vector<T>& x,
                              const std::vector<T>& y) const {
  for (const auto& slot : state_->programs)
    if (slot->purpose == purpose && same_types(slot->x, x) && same_types(slot->y, y)) {
      slot->used = ++state_->clock;
      return slot.get();
    }
  return nullptr;
}

Model::Slot& Model::slot(const std::string& purpose, const std::vector<Type>& x,
                         const std::vector<Type>& y) const {
  if (Slot* found = find_slot(purpose, x, y)) return *found;
  need_compiled(purpose);
  if (!state_->arena) state_->arena = std::make_shared<Arena>(state_->device);
  auto made = std::make_unique<Slot>();
  made->purpose = purpose;
  made->x = x;
  made->y = y;
  made->program = build(purpose, x, y, state_->arena);
  made->used = ++state_->clock;
  auto& programs = state_->programs;
  if (programs.size() == kMaxPrograms)
    programs.erase(std::min_element(programs.begin(), programs.end(),
                                    [](auto& a, auto& b) { return a->used < b->used; }));
  programs.push_back(std::move(made));
  return *programs.back();
}

std::shared_ptr<Program> Model::program(const std::string& purpose, const std::vector<Type>& x,
                                        const std::vector<Type>& y) const {
  return slot(purpose, x, y).program;
}

std::shared_ptr<Program> Model::planned(const std::string& purpose, const std::vector<Type>& x,
                                        const std::vector<Type>& y) const {
  if (const Slot* found = find_slot(purpose, x, y)) return found->program;
  need_compiled(purpose);
  return build(purpose, x, y, std::make_shared<Arena>(state_->device));
}

std::vector<Type> Model::target_types(int64_t batch) const {
  need_compiled("train");
  const Slot* latest = nullptr;
  for (const auto& slot : state_->programs)
    if (slot->purpose != "predict" && (!latest || slot->used > latest->used)) latest = slot.get();
  std::vector<Type> types;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const auto& losses = state_->options.losses;
    const Json& loss = losses[losses.size() == 1 ? 0 : i].config;
    Type type = {outputs_[i].shape(), DType::kF32};
    if (latest) {
      type = latest->y[i];
    } else if (loss.is_object() && loss["type"].as_string() == "SparseCategoricalCrossentropy") {
      type = {Shape(type.shape.begin(), type.shape.end() - 1), DType::kI64};
    }
    if (type.shape.rank() > 0) type.shape[0] = batch;
    types.push_back(type);
  }
  return types;
}

const StepResult& Model::run_batch(const std::string& purpose, const std::vector<Tensor>& x,
                                   const std::vector<Tensor>& y, std::span<const int64_t> samples,
                                   const Coming& coming) {
  if (x.empty() || x[0].shape().rank() == 0 || x[0].shape()[0] == 0)
    throw ShapeError("a batch needs at least one sample", "none");
  Slot* found = find_slot(purpose, x, y);
  if (!found) found = &slot(purpose, types_of(x), types_of(y));
  Slot& slot = *found;
  if (slot.outputs.empty()) {
    for (const Type& type : slot.program->output_types())
      slot.outputs.emplace_back(type.shape, type.dtype);
    slot.result.metrics.resize(slot.outputs.size() - 1);
  }
  StepBlock block;
  block.seed = state_->options.seed;
  block.step = state_->step;
  block.learning_rate[0] =
      static_cast<float>(state_->options.optimizer->learning_rate(state_->step));
  slot.inputs.assign(x.begin(), x.end());
  slot.inputs.insert(slot.inputs.end(), y.begin(), y.end());
  std::exception_ptr failure;  // of `next`: told when this step is finished
  const auto look_ahead = [&] {
    try {
      const std::optional<Batch> next = coming.next();
      // A program that is not there yet would change layouts under the running step.
      if (Slot* planned = next ? find_slot(purpose, next->x, next->y) : nullptr)
        planned->program->take_ahead(joined(*next));
    } catch (...) {
      failure = std::current_exception();
    }
  };
  Ahead ahead = {.taken = coming.taken};
  if (coming.next) ahead.next = std::ref(look_ahead);
  try {
    slot.program->run(slot.inputs, slot.outputs, block, samples, ahead);
  } catch (...) {
    slot.inputs.clear();  // the batch is its owner's again
    throw;
  }
  slot.inputs.clear();
  if (purpose == "train") ++state_->step;
  slot.result.loss = slot.outputs[0].item();
  for (size_t i = 1; i < slot.outputs.size(); ++i)
    slot.result.metrics[i - 1] = slot.outputs[i].item();
  if (failure) std::rethrow_exception(failure);
  return slot.result;
}

const StepResult& Model::train_batch(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                                     std::span<const int64_t> samples, const Coming& coming) {
  return run_batch("train", x, y, samples, coming);
}

const StepResult& Model::test_batch(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                                    std::span<const int64_t> samples, const Coming& coming) {
  return run_batch("test", x, y, samples, coming);
}

std::vector<Tensor> Model::predict_batch(const std::vector<Tensor>& x) const {
  Slot* found = find_slot("predict", x, {});
  if (!found) found = &slot("predict", types_of(x), {});
  return found->program->run(x);
}

void name_layers(const std::vector<Layer>& layers) {
  std::set<std::string> used;
  for (const Layer& layer : layers) used.insert(layer.path());
  for (const Layer& layer : layers)
    if (layer.path().empty()) layer.set_path(free_path(snake_case(layer.type()), used));
}

Model Sequential(const std::vector<Layer>& layers, const std::string& name) {
  if (layers.empty() || layers[0].type() != "Input")
    throw ShapeError("Sequential begins with an Input",
                     layers.empty() ? "no layers" : layers[0].type(), "Put Input(shape) first");
  const Value input = *static_cast<const Input*>(layers[0].state().options.get());
  Value x = input;
  // Names are given before the layers are applied, so that errors can say which one it was.
  const std::vector<Layer> others(layers.begin() + 1, layers.end());
  name_layers(others);
  for (const Layer& layer : others) x = layer(x);
  return Model({input}, {x}, name);
}

Predictor::Predictor(const Model& model)
    : model_(model), arena_(std::make_shared<Arena>(model.state_->device)) {}

std::vector<Tensor> Predictor::operator()(const std::vector<Tensor>& x) {
  const std::string key = key_of("predict", types_of(x), {});
  if (programs_.size() == kMaxPrograms && !programs_.count(key)) programs_.clear();
  auto& program = programs_[key];
  if (!program) program = model_.build("predict", types_of(x), {}, arena_);
  return program->run(x);
}

}  // namespace striate
