#include <striate/core/parallel.h>
#include <striate/core/random.h>
#include <striate/core/step.h>
#include <striate/kernels/reorder.h>
#include <striate/layers/graph/graph.h>
#include <striate/layers/trial.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>
#include <utility>

namespace striate {
namespace {

using kernels::Entry;
using kernels::Prepared;
using kernels::Problem;
using kernels::ValueDesc;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

size_t bytes_of(const ValueDesc& value, const Layout& layout) {
  return static_cast<size_t>(layout.elements(value.shape)) * size_of(value.dtype);
}

/// Copy to another layout; the buffer itself where both have the same bytes.
std::shared_ptr<Buffer> relaid(const std::shared_ptr<Buffer>& from, ValueDesc value,
                               const Layout& before, const Layout& after) {
  if (same_bytes(before, after, value.shape)) return from;
  Problem problem;
  problem.operation = "reorder";
  problem.options = std::make_shared<ReorderOptions>(ReorderOptions{after});
  value.layout = before;
  problem.inputs = {value};
  value.layout = after;
  problem.outputs = {value};
  problem.threads = threads();
  const Prepared prepared = kernels::choose(problem).prepared;
  const auto made = Buffer::allocate(bytes_of(value, after));
  const auto workspace = Buffer::allocate(prepared.workspace);
  const void* inputs[] = {from->data()};
  void* outputs[] = {made->data()};
  prepared.kernel->run({inputs, outputs, workspace->data(), nullptr});
  return made;
}

/// Return the buffer on a device; itself where it is there.
std::shared_ptr<Buffer> moved(const std::shared_ptr<Buffer>& from, Device device) {
  if (!from || from->device() == device) return from;
  auto made = Buffer::allocate(from->bytes(), device);
  if (device.type != DeviceType::kCpu)
    backend(device.type).copy_from_host(made->data(), from->data(), from->bytes(), device.index);
  else
    backend(from->device().type)
        .copy_to_host(made->data(), from->data(), from->bytes(), from->device().index);
  return made;
}

/// Fill with numbers that are good for this input of this operation.
void fill(Buffer& buffer, const Problem& problem, size_t input) {
  const ValueDesc& value = problem.inputs[input];
  const int64_t count = value.shape.elements();
  const bool statistics = problem.operation.find("batch_norm") != std::string::npos &&
                          value.shape.rank() == 1;  // variances too
  const RandomStream random{1, hash_of(problem.operation), input};
  if (value.dtype == DType::kU8 && value.shape == Shape{sizeof(StepBlock)}) {
    const StepBlock block;
    std::memcpy(buffer.data(), &block, sizeof block);
    return;
  }
  // Whole numbers may be labels: they stay inside the classes.
  const int64_t classes =
      std::max<int64_t>(1, problem.inputs[0].shape.rank() > 0 ? problem.inputs[0].shape[-1] : 1);
  for (int64_t i = 0; i < count; i += 4) {
    const auto words = random.words(static_cast<uint64_t>(i >> 34), static_cast<uint32_t>(i / 4));
    for (int64_t j = i; j < std::min(i + 4, count); ++j) {
      const uint32_t word = words[static_cast<size_t>(j - i)];
      const float uniform = uniform01(word);
      switch (value.dtype) {
        case DType::kF32:
          static_cast<float*>(buffer.data())[j] =
              statistics ? 0.5f + uniform : 3.4f * uniform - 1.7f;
          break;
        case DType::kI64:
          static_cast<int64_t*>(buffer.data())[j] = word % classes;
          break;
        case DType::kI32:
          static_cast<int32_t*>(buffer.data())[j] = static_cast<int32_t>(word % classes);
          break;
        case DType::kU8:
          static_cast<uint8_t*>(buffer.data())[j] = word & 0xFF;
          break;
        default:
          std::memset(buffer.data(), 0, buffer.bytes());
          return;
      }
    }
  }
}

}  // namespace

std::string key_of(const Problem& problem) {
  std::string key = problem.operation +
                    operation(problem.operation).options.write(problem.options.get(), true).dump();
  for (const auto* values : {&problem.inputs, &problem.outputs})
    for (const ValueDesc& v : *values)
      key += v.shape.to_string() + name_of(v.dtype) + v.layout.to_string(v.shape.rank());
  for (size_t i = 0; i < problem.inputs.size(); ++i) key += problem.has_input(i) ? '1' : '0';
  for (size_t o = 0; o < problem.outputs.size(); ++o) key += problem.is_read(o) ? '1' : '0';
  for (size_t i = 0; i < problem.inputs.size(); ++i) key += problem.is_lasting(i) ? '1' : '0';
  for (const bool flag : {problem.exact, problem.same_for_threads, problem.weights_change})
    key += flag ? '1' : '0';
  return key + std::to_string(problem.threads);
}

bool is_measured(const std::string& operation) {
  static const std::set<std::string> skipped = {
      "reorder", "reshape", "sgd", "adam", "dense_sgd", "dense_adam", "squared_norm", "clip_scale"};
  return !skipped.count(operation);
}

std::vector<std::shared_ptr<Buffer>> draw_inputs(const Problem& problem) {
  std::vector<std::shared_ptr<Buffer>> made;
  const Operation& op = operation(problem.operation);
  for (size_t i = 0; i < problem.inputs.size(); ++i) {
    made.emplace_back();
    if (!problem.has_input(i) || op.shape_only(i)) continue;
    made.back() = Buffer::allocate(bytes_of(problem.inputs[i], {}));
    fill(*made.back(), problem, i);
  }
  // Winners must lie inside their windows: they come from the forward operation.
  if (problem.operation == "max_pool2d_backward") {
    Problem forward = problem;
    forward.operation = "max_pool2d";
    forward.inputs = {problem.inputs[2]};
    forward.inputs[0].dtype = DType::kF32;
    forward.outputs = {problem.inputs[0], problem.inputs[1]};
    forward.optional.clear();
    forward.unread.clear();
    forward.gate = {};  // of the gradient
    Trial trial(*kernels::entries("max_pool2d", DeviceType::kCpu).back(), forward,
                draw_inputs(forward));
    trial.run();
    made[1] = trial.dense_output(1);
  }
  return made;
}

Trial::Trial(const Entry& entry, const Problem& problem, std::vector<std::shared_ptr<Buffer>> dense)
    : problem_(problem),
      device_(entry.device == DeviceType::kCpu ? Device{} : problem.device),
      prepared_(entry.prepare(problem)),
      buffers_(std::move(dense)) {
  prepared_.inputs.resize(problem.inputs.size());
  prepared_.outputs.resize(problem.outputs.size());
  for (size_t i = 0; i < buffers_.size(); ++i) {
    if (buffers_[i])
      buffers_[i] = moved(relaid(buffers_[i], problem.inputs[i], {}, prepared_.inputs[i]), device_);
    inputs_.push_back(buffers_[i] ? buffers_[i]->data() : nullptr);
  }
  for (size_t o = 0; o < problem.outputs.size(); ++o) {
    outputs_.push_back(
        Buffer::allocate(bytes_of(problem.outputs[o], prepared_.outputs[o]), device_));
    pointers_.push_back(outputs_.back()->data());
  }
  for (const kernels::InPlace& share : prepared_.in_place) {
    if (!share.required) continue;
    const auto i = static_cast<size_t>(share.input), o = static_cast<size_t>(share.output);
    backend(device_.type).copy(pointers_[o], inputs_[i], outputs_[o]->bytes(), device_.index);
    inputs_[i] = pointers_[o];
  }
  workspace_ = Buffer::allocate(prepared_.workspace, device_);
  if (!prepared_.packing.kernel) return;
  packed_ = Buffer::allocate(prepared_.packing.bytes, device_);
  const void*& input = inputs_[static_cast<size_t>(prepared_.packing.input)];
  unpacked_ = std::exchange(input, packed_->data());
  pack();
}

/// Make the form in which the kernel takes an input.
void Trial::pack() {
  void* to = packed_->data();
  prepared_.packing.kernel->run({&unpacked_, &to, nullptr, nullptr});
}

double Trial::run() {
  Backend& device = backend(device_.type);
  const auto start = Clock::now();
  if (packed_ && problem_.weights_change) pack();
  prepared_.kernel->run(
      {inputs_.data(), pointers_.data(), workspace_->data(), device.stream(device_.index)});
  device.wait(device_.index);
  return seconds_since(start);
}

double Trial::shortest(double seconds) {
  double best = run();  // touches the memory
  const auto start = Clock::now();
  for (int i = 0; i < 3 || (seconds_since(start) < seconds && i < 1000); ++i)
    best = std::min(best, run());
  return best;
}

double Trial::copies() const {
  double seconds = 0;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    const ValueDesc& value = problem_.inputs[i];
    if (!buffers_[i] || same_bytes(value.layout, prepared_.inputs[i], value.shape)) continue;
    const auto given = relaid(buffers_[i], value, prepared_.inputs[i], value.layout);
    double best = 1e9;
    for (int round = 0; round < 2; ++round) {
      const auto start = Clock::now();
      relaid(given, value, value.layout, prepared_.inputs[i]);
      best = std::min(best, seconds_since(start));
    }
    seconds += best;
  }
  return seconds;
}

std::shared_ptr<Buffer> Trial::dense_output(size_t o) const {
  return relaid(moved(outputs_[o], {}), problem_.outputs[o], prepared_.outputs[o], {});
}

}  // namespace striate
