#include <striate/core/parallel.h>
#include <striate/core/run_alone.h>
#include <striate/layers/graph/precision.h>
#include <striate/layers/graph/program.h>
#include <striate/layers/graph/report.h>
#include <striate/layers/graph/update_fusion.h>
#include <striate/layers/initializer.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

namespace striate {
namespace {

Type shard_of(const Type& type, int shards) {
  Type part = type;
  if (shards == 1) return part;
  if (type.shape.rank() == 0 || type.shape[0] % shards != 0)
    throw ShapeError("the batch must divide into " + std::to_string(shards) + " shards",
                     type.shape.to_string());
  part.shape[0] /= shards;
  return part;
}

}  // namespace

void Arena::reserve(size_t bytes) {
  if (bytes <= this->bytes()) return;
  buffer_.reset();
  buffer_ = Buffer::allocate(bytes, device_);
}

void Arena::keep(const std::shared_ptr<Buffer>& made) {
  if (!kept_.empty() && kept_.back() == made) return;
  std::erase(kept_, made);
  if (kept_.size() == kKept) kept_.erase(kept_.begin());
  kept_.push_back(made);
}

Program::Program(std::vector<Value> inputs, std::vector<Type> input_types,
                 std::vector<Value> outputs, std::vector<Update> updates, ProgramOptions options,
                 std::shared_ptr<Arena> arena)
    : inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      input_types_(std::move(input_types)),
      updates_(std::move(updates)),
      options_(options),
      arena_(arena ? std::move(arena) : std::make_shared<Arena>(options.device)) {
  if (inputs_.size() != input_types_.size())
    throw ShapeError("a program takes " + std::to_string(inputs_.size()) + " inputs",
                     std::to_string(input_types_.size()));
  if (!(arena_->device() == options_.device))
    throw DeviceError("a program and its arena must be on one device",
                      arena_->device().to_string() + " and " + options_.device.to_string());
  compile();
}

void Program::compile() {
  const auto start = std::chrono::steady_clock::now();
  std::vector<Type> types;
  for (const Type& type : input_types_) types.push_back(shard_of(type, options_.shards));
  const Allow16Bits allow(on_device());
  LoweredGraph graph = lower(inputs_, types, outputs_, updates_, options_.training);
  fuse(graph, options_.device, options_.training);
  if (options_.shards == 1 && !options_.check_numerics) fuse_updates(graph, options_.device);
  Plan plan = [&] {
    std::optional<RunAlone> alone;
    if (options_.lanes > 0) alone.emplace();
    return make_plan(graph, options_);
  }();
  labels_.clear();
  for (const auto& node : graph.order) {
    const std::string& name = node->operation->name;
    if (name != "sparse_categorical_crossentropy" && name != "top_k_correct") continue;
    const Node* source = node->inputs[1].node.get();
    while (source->operation->name == "cast" || source->operation->name == "reshape")
      source = source->inputs[0].node.get();
    for (size_t i = 0; i < graph.inputs.size(); ++i)
      if (graph.inputs[i].node.get() == source)
        labels_.push_back({i, node->inputs[0].shape()[-1], node->layer()});
  }
  // The variables move to the layouts that this plan chose only now that nothing can fail.
  plan.epochs.clear();
  changed_.assign(plan.variables.size(), false);
  for (const PlanValue& value : plan.values)
    if (value.place == Place::kVariable && value.root == &value - plan.values.data()) {
      const auto& variable = plan.variables[static_cast<size_t>(value.number)];
      if (!variable->materialized()) initialize(*variable, current_seed());
      variable->relocate(value.layout, options_.device, options_.training);
    }
  for (const auto& variable : plan.variables) plan.epochs.push_back(variable->epoch());
  for (const PlanStep& step : plan.steps)
    for (int output : step.outputs)
      if (plan.root(output).place == Place::kVariable)
        changed_[static_cast<size_t>(plan.root(output).number)] = true;
  for (Tensor& constant : plan.constants) constant = constant.to(options_.device);
  plan_ = std::move(plan);
  persistent_.reset();
  staging_ = nullptr;
  recording_ = nullptr;
  shard_state_.clear();
  kept_state_.clear();
  for (size_t s = plan_.state_begin; options_.shards > 1 && s < plan_.update_begin; ++s)
    for (int output : plan_.steps[s].outputs)
      if (plan_.root(output).place == Place::kVariable)
        shard_state_.push_back(static_cast<size_t>(plan_.root(output).number));
  slices_.clear();
  lanes_.clear();
  make_sums();
  if (options_.lanes > 0) make_slices();
  fed_inputs_.assign(inputs_.size(), nullptr);
  fed_outputs_.assign(outputs_.size(), nullptr);
  seen_versions_.clear();
  bound_steps_.clear();
  bound_prologue_.clear();
  bound_arena_ = nullptr;
  plan_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report(*this);
}

/// Have the memory of the plan: at the first run, so that a plan can be looked at without it.
void Program::reserve_memory() try {
  arena_->reserve(plan_.arena_bytes);
  if (plan_.persistent_bytes) {
    std::shared_ptr<Buffer> made = persistent_.lock();
    if (!made) {
      made = Buffer::allocate(plan_.persistent_bytes, options_.device);
      persistent_ = made;
      bound_steps_.clear();
      bound_prologue_.clear();
    }
    arena_->keep(made);
  }
  if (on_device() && !staging_)
    staging_ = std::make_unique<Staging>(options_.device, input_types_, output_types());
  if (kept_state_.size() == shard_state_.size()) return;
  std::vector<std::shared_ptr<Buffer>> kept;  // all or none: there may be no room for the last
  for (size_t index : shard_state_)
    kept.push_back(Buffer::allocate(plan_.variables[index]->storage()->bytes(), options_.device));
  kept_state_ = std::move(kept);
} catch (const OutOfMemoryError& error) {
  const size_t peak = plan_.arena_bytes + memory().persistent;
  throw OutOfMemoryError(
      error.rule(),
      error.values() + "; a step of this batch needs " + std::to_string(peak) + " at its peak",
      error.fix());
}

/// Copy within the program's device.
void Program::copy(void* to, const void* from, size_t bytes) const {
  backend(options_.device.type).copy(to, from, bytes, options_.device.index);
}

/// Return the value of an output of rank 0.
float Program::scalar(const std::vector<Tensor>& outputs, size_t i) const {
  float value;
  std::memcpy(&value, on_device() ? staging_->received_output(i) : outputs[i].data(), sizeof value);
  return value;
}

bool Program::is_stale() const {
  for (size_t i = 0; i < plan_.variables.size(); ++i)
    if (plan_.variables[i]->epoch() != plan_.epochs[i]) return true;
  return false;
}

char* Program::pointer(int index) const {
  if (index < 0) return nullptr;
  const PlanValue& owner = plan_.root(index);
  const size_t number = static_cast<size_t>(owner.number);
  switch (owner.place) {
    case Place::kArena:
      return arena_->data() + slice_ / static_cast<size_t>(parts_) * lane_bytes_ + owner.offset;
    case Place::kPersistent:
      return static_cast<char*>(persistent_.lock()->data()) + owner.offset;
    case Place::kInput:
      return const_cast<char*>(fed_inputs_[number]);
    case Place::kOutput:
      if (!slices_.empty() && owner.type.shape.rank() == 0)
        return reinterpret_cast<char*>(const_cast<float*>(&slices_[slice_].scalars[number]));
      return fed_outputs_[number];
    case Place::kVariable:
      return static_cast<char*>(plan_.variables[number]->storage()->data());
    case Place::kConstant:
      return static_cast<char*>(plan_.constants[number].data());
    case Place::kStepBlock:
      if (on_device()) return staging_->step_block();
      if (!slices_.empty())
        return reinterpret_cast<char*>(const_cast<StepBlock*>(&slices_[slice_].block));
      return reinterpret_cast<char*>(const_cast<StepBlock*>(&block_));
  }
  return nullptr;
}

void Program::bind(const std::vector<PlanStep>& steps, std::vector<Bound>& bound) {
  bound.resize(steps.size());
  for (size_t s = 0; s < steps.size(); ++s) {
    const PlanStep& step = steps[s];
    bound[s].inputs.resize(step.inputs.size());
    bound[s].outputs.resize(step.outputs.size());
    for (size_t i = 0; i < step.inputs.size(); ++i) bound[s].inputs[i] = pointer(step.inputs[i]);
    for (size_t i = 0; i < step.outputs.size(); ++i) bound[s].outputs[i] = pointer(step.outputs[i]);
    bound[s].workspace = pointer(step.workspace);
  }
}

void Program::run_steps(std::vector<PlanStep>& steps, size_t begin, size_t end) {
  std::vector<Bound>& bound = &steps == &plan_.steps ? bound_steps_ : bound_prologue_;
  const bool timed = !seconds_.empty();
  const size_t row = &steps == &plan_.steps ? plan_.prologue.size() : 0;
  Backend& device = backend(options_.device.type);
  void* stream = device.stream(options_.device.index);
  size_t s = begin;
  try {
    for (; s < end; ++s) {
      const auto start =
          timed ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
      steps[s].kernel->run(
          {bound[s].inputs.data(), bound[s].outputs.data(), bound[s].workspace, stream});
      if (!timed) continue;
      device.wait(options_.device.index);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      seconds_[row + s] = std::min(seconds_[row + s], taken.count());
    }
  } catch (Error& error) {
    error.set_layer(steps[s].layer);
    throw;
  }
}

void Program::run_prologue() {
  bool same = seen_versions_.size() == plan_.variables.size() &&
              bound_prologue_.size() == plan_.prologue.size();
  for (size_t i = 0; same && i < plan_.variables.size(); ++i)
    same = seen_versions_[i] == plan_.variables[i]->version();
  if (same) return;
  seen_versions_.clear();
  bind(plan_.prologue, bound_prologue_);
  run_steps(plan_.prologue, 0, plan_.prologue.size());
  for (const auto& variable : plan_.variables) seen_versions_.push_back(variable->version());
}

void Program::run(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
                  const StepBlock& block, std::span<const int64_t> samples, const Ahead& ahead) {
  if (inputs.size() != inputs_.size() || outputs.size() != outputs_.size())
    throw ShapeError("the program takes " + std::to_string(inputs_.size()) + " inputs and " +
                         std::to_string(outputs_.size()) + " outputs",
                     std::to_string(inputs.size()) + " and " + std::to_string(outputs.size()));
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].shape() != input_types_[i].shape || inputs[i].dtype() != input_types_[i].dtype)
      throw ShapeError("the program is compiled for " + input_types_[i].shape.to_string() + " " +
                           name_of(input_types_[i].dtype),
                       inputs[i].shape().to_string() + " " + name_of(inputs[i].dtype()));
  for (const auto* tensors : {&inputs, &outputs})
    for (const Tensor& tensor : *tensors)
      if (tensor.device().type != DeviceType::kCpu && !(tensor.device() == options_.device))
        throw DeviceError("the program runs on " + options_.device.to_string(),
                          "a tensor on " + tensor.device().to_string(),
                          "Copy it there, or to the CPU, with to(device)");
  check_labels(inputs, samples);
  if (checks_losses()) check_inputs(inputs, block.step, samples);
  if (is_stale()) compile();
  reserve_memory();
  if (bound_arena_ != arena_->data()) bound_steps_.clear();
  block_ = block;
  run_prologue();
  if (on_device()) staging_->send(inputs, block, ahead.taken);
  const int shards = options_.shards;
  const bool is_replayed =
      on_device() && shards == 1 && !options_.check_numerics && seconds_.empty();
  if (!slices_.empty()) {
    run_slices(inputs, outputs, block);
  } else if (is_replayed) {
    feed(inputs, outputs, 0);
    replay(outputs, block.step, ahead);
  } else {
    keep_state();
    sums_.assign(outputs.size(), 0);
    for (int shard = 0; shard < shards; ++shard) {
      feed(inputs, outputs, shard);
      run_shard(outputs, shard, block.step);
    }
    if (shards > 1 && add_) sum_remaining(*add_, 0);
    run_steps(plan_.steps, plan_.update_begin, plan_.steps.size());
    if (on_device()) receive();
  }
  if (on_device()) hand_out(outputs);
  for (size_t i = 0; shards > 1 && slices_.empty() && i < outputs.size(); ++i)
    if (outputs[i].shape().rank() == 0) {
      const auto sum = static_cast<float>(sums_[i]);
      backend(outputs[i].device().type)
          .copy_from_host(outputs[i].data(), &sum, sizeof sum, outputs[i].device().index);
    }
  for (size_t i = 0; i < changed_.size(); ++i)
    if (changed_[i]) plan_.variables[i]->touch();
  if (!is_replayed && ahead.next) ahead.next();
}

bool Program::take_ahead(const std::vector<Tensor>& inputs) {
  return staging_ && !is_stale() && staging_->take_ahead(inputs);
}

/// Bind the kernels to a shard's part of the inputs and outputs.
void Program::feed(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
                   int shard) {
  const auto shards = static_cast<size_t>(options_.shards);
  bool rebind = bound_steps_.empty();
  auto feed_one = [&](auto& fed, char* data, const Tensor& tensor, size_t i) {
    if (tensor.shape().rank() > 0) data += tensor.bytes() / shards * static_cast<size_t>(shard);
    rebind = rebind || fed[i] != data;
    fed[i] = data;
  };
  for (size_t i = 0; i < inputs.size(); ++i)
    feed_one(fed_inputs_, on_device() ? staging_->input(i) : static_cast<char*>(inputs[i].data()),
             inputs[i], i);
  for (size_t i = 0; i < outputs.size(); ++i)
    feed_one(fed_outputs_,
             on_device() ? staging_->output(i) : static_cast<char*>(outputs[i].data()), outputs[i],
             i);
  if (rebind) {
    bind(plan_.steps, bound_steps_);
    bound_arena_ = arena_->data();
    recording_ = nullptr;
  }
  if (shards == 1 || inputs.empty()) return;
  const StepBlock before = block_;
  if (shard > 0) block_.first_sample += input_types_[0].shape[0] / options_.shards;
  if (on_device() && before.first_sample != block_.first_sample)
    backend(options_.device.type)
        .copy_from_host(staging_->step_block(), &block_, sizeof block_, options_.device.index);
}

/// Give the device the whole step as one piece, and wait for what it made of it.
void Program::replay(const std::vector<Tensor>& outputs, int64_t step, const Ahead& ahead) {
  Backend& device = backend(options_.device.type);
  const auto work = [&] {
    run_steps(plan_.steps, 0, plan_.steps.size());
    staging_->receive();
  };
  if (!recording_) recording_ = device.record(work, options_.device.index);
  recording_ ? recording_->replay() : work();
  if (ahead.next) ahead.next();
  device.wait(options_.device.index);
  // The device has left its state as it was: the kernels saw the same fault.
  if (checks_losses()) check_finite(outputs, step);
}

void Program::receive() {
  staging_->receive();
  backend(options_.device.type).wait(options_.device.index);
}

/// Copy what was received to the caller's tensors.
void Program::hand_out(const std::vector<Tensor>& outputs) const {
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i].device().type == DeviceType::kCpu)
      std::memcpy(outputs[i].data(), staging_->received_output(i), outputs[i].bytes());
    else
      copy(outputs[i].data(), staging_->output(i), outputs[i].bytes());
}

std::vector<Type> Program::output_types() const {
  std::vector<Type> types;
  for (int output : plan_.outputs) {
    types.push_back(plan_.values[static_cast<size_t>(output)].type);
    if (options_.shards > 1 && types.back().shape.rank() > 0)
      types.back().shape[0] *= options_.shards;
  }
  return types;
}

std::vector<Tensor> Program::run(const std::vector<Tensor>& inputs, const StepBlock& block) {
  std::vector<Tensor> outputs;
  for (const Type& type : output_types())
    outputs.emplace_back(type.shape, type.dtype, options_.device);
  run(inputs, outputs, block);
  return outputs;
}

Program::Memory Program::memory() const {
  Memory memory;
  memory.planned = plan_.arena_bytes;
  const auto use = [&](int index) {
    if (index < 0 || plan_.root(index).place != Place::kArena) return;
    const size_t end = plan_.root(index).offset + plan_.root(index).bytes;
    memory.used = std::max(memory.used, (end + 63) / 64 * 64);
  };
  for (const PlanStep& step : plan_.steps) {
    for (int input : step.inputs) use(input);
    for (int output : step.outputs) use(output);
    use(step.workspace);
  }
  if (parts_ > 1 && add_) memory.used = waiting_ + plan_.gradient_bytes * levels();
  memory.used += lane_bytes_ * (lanes_.empty() ? 0 : lanes_.size() - 1);
  memory.gradients = plan_.gradient_bytes;
  memory.persistent = plan_.persistent_bytes;
  if (on_device()) memory.persistent += Staging::bytes(input_types_, output_types());
  for (size_t index : shard_state_) memory.persistent += plan_.variables[index]->storage()->bytes();
  for (const PlanValue& value : plan_.values)
    if (value.place == Place::kVariable && value.root == &value - plan_.values.data()) {
      const auto& variable = plan_.variables[static_cast<size_t>(value.number)];
      (variable->trainable ? memory.weights : memory.state) += value.bytes;
    }
  return memory;
}

Json Program::explain() const {
  Json report = Json::array();
  for (const auto* steps : {&plan_.prologue, &plan_.steps})
    for (const PlanStep& step : *steps) {
      Json row = Json::object();
      row.set("layer", step.path);
      row.set("operation", step.operation);
      row.set("entry", step.choice.entry->name);
      row.set("detail", step.choice.prepared.detail);
      row.set("why", step.choice.why);
      row.set("once", steps == &plan_.prologue && !options_.training);
      Json refusals = Json::object();
      for (const auto& candidate : step.choice.candidates)
        if (!candidate.reason.empty()) refusals.set(candidate.entry->name, candidate.reason);
      row.set("refusals", refusals);
      Json layouts = Json::array();
      for (const auto* values : {&step.inputs, &step.outputs})
        for (int index : *values) {
          if (index < 0) continue;
          const PlanValue& value = plan_.values[static_cast<size_t>(index)];
          layouts.push(value.type.shape.to_string() + " " +
                       value.layout.to_string(value.type.shape.rank()));
        }
      row.set("values", layouts);
      row.set("workspace_bytes", step.choice.prepared.workspace);
      report.push(std::move(row));
    }
  return report;
}

Json Program::profile(const std::vector<Tensor>& inputs, const StepBlock& block, int rounds) {
  run(inputs, block);  // compiles anew when that is needed, and touches all memory
  seconds_.assign(plan_.prologue.size() + plan_.steps.size(),
                  std::numeric_limits<double>::infinity());
  try {
    for (int round = 0; round < rounds; ++round) run(inputs, block);
  } catch (...) {
    seconds_.clear();
    throw;
  }
  const Json steps = explain();
  Json report = Json::array();
  size_t step = 0;
  for (const Json& explained : steps.items()) {
    Json row = explained;
    if (!row["once"].as_bool()) row.set("microseconds", seconds_[step] * 1e6);
    ++step;
    report.push(std::move(row));
  }
  seconds_.clear();
  return report;
}

}  // namespace striate
