#include <striate/core/parallel.h>
#include <striate/core/random.h>
#include <striate/core/step.h>
#include <striate/kernels/pool2d.h>
#include <striate/kernels/reorder.h>
#include <striate/layers/compare.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>

namespace striate {
namespace {

using kernels::Arguments;
using kernels::Entry;
using kernels::Prepared;
using kernels::Problem;
using kernels::ValueDesc;
using Clock = std::chrono::steady_clock;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// --- data ------------------------------------------------------------------------------------

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

/// One entry prepared for a problem, with memory of its own.
class Trial {
 public:
  /// `dense` holds the inputs, null for those that are left out or give only a shape.
  Trial(const Entry& entry, const Problem& problem, std::vector<std::shared_ptr<Buffer>> dense)
      : problem_(problem), prepared_(entry.prepare(problem)), buffers_(std::move(dense)) {
    prepared_.inputs.resize(problem.inputs.size());
    prepared_.outputs.resize(problem.outputs.size());
    for (size_t i = 0; i < buffers_.size(); ++i) {
      if (buffers_[i])
        buffers_[i] = relaid(buffers_[i], problem.inputs[i], {}, prepared_.inputs[i]);
      inputs_.push_back(buffers_[i] ? buffers_[i]->data() : nullptr);
    }
    for (size_t o = 0; o < problem.outputs.size(); ++o) {
      outputs_.push_back(Buffer::allocate(bytes_of(problem.outputs[o], prepared_.outputs[o])));
      pointers_.push_back(outputs_.back()->data());
    }
    for (const kernels::InPlace& share : prepared_.in_place) {
      if (!share.required) continue;
      const auto i = static_cast<size_t>(share.input), o = static_cast<size_t>(share.output);
      std::memcpy(pointers_[o], inputs_[i], outputs_[o]->bytes());
      inputs_[i] = pointers_[o];
    }
    workspace_ = Buffer::allocate(prepared_.workspace);
  }

  /// Run once and return the seconds.
  double run() {
    const auto start = Clock::now();
    prepared_.kernel->run({inputs_.data(), pointers_.data(), workspace_->data(), nullptr});
    return seconds_since(start);
  }

  /// Return an output in the dense layout.
  std::shared_ptr<Buffer> dense_output(size_t o) const {
    return relaid(outputs_[o], problem_.outputs[o], prepared_.outputs[o], {});
  }
  size_t workspace_bytes() const { return prepared_.workspace; }

 private:
  const Problem& problem_;
  Prepared prepared_;
  std::vector<std::shared_ptr<Buffer>> buffers_, outputs_;
  std::shared_ptr<Buffer> workspace_;
  std::vector<const void*> inputs_;
  std::vector<void*> pointers_;
};

/// Fill with numbers that are good for this input of this operation.
void fill(Buffer& buffer, const Problem& problem, size_t input) {
  const ValueDesc& value = problem.inputs[input];
  const int64_t count = value.shape.elements();
  const bool statistics =
      contains(problem.operation, "batch_norm") && value.shape.rank() == 1;  // variances too
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

const Entry* reference_of(const std::string& operation) {
  const auto all = kernels::entries(operation, DeviceType::kCpu);
  return all.empty() || all.back()->name != "reference" ? nullptr : all.back();
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
    Trial trial(*reference_of("max_pool2d"), forward, draw_inputs(forward));
    trial.run();
    made[1] = trial.dense_output(1);
  }
  return made;
}

// --- errors ----------------------------------------------------------------------------------

struct Difference {
  double nmse = 0;
  double max_ulp = 0;
};

/// Place a float on the line of all floats, so that neighbours differ by 1.
int64_t place_of(float value) {
  int32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits < 0 ? -static_cast<int64_t>(bits & 0x7FFFFFFF) : bits;
}

Difference difference(const ValueDesc& value, const Buffer& found, const Buffer& expected) {
  Difference result;
  double error = 0, scale = 0;
  const auto count = static_cast<size_t>(value.shape.elements());
  const auto compare = [&](const auto* a, const auto* b) {
    for (size_t i = 0; i < count; ++i) {
      const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
      error += (x - y) * (x - y);
      scale += y * y;
    }
  };
  switch (value.dtype) {
    case DType::kF32: {
      const auto* a = static_cast<const float*>(found.data());
      const auto* b = static_cast<const float*>(expected.data());
      compare(a, b);
      for (size_t i = 0; i < count; ++i)
        result.max_ulp = std::max(result.max_ulp,
                                  std::abs(static_cast<double>(place_of(a[i]) - place_of(b[i]))));
      break;
    }
    case DType::kI32:
      compare(static_cast<const int32_t*>(found.data()),
              static_cast<const int32_t*>(expected.data()));
      break;
    case DType::kI64:
      compare(static_cast<const int64_t*>(found.data()),
              static_cast<const int64_t*>(expected.data()));
      break;
    default:
      compare(static_cast<const uint8_t*>(found.data()),
              static_cast<const uint8_t*>(expected.data()));
  }
  result.nmse = scale > 0 ? error / scale : error;
  return result;
}

// --- one kernel of the plan ------------------------------------------------------------------

/// Return a convolution of the first `rows` images, the rest as it is.
Problem with_batch(Problem problem, int64_t rows) {
  const bool weight = problem.operation == "conv2d_backward_weight";
  for (size_t i = 0; i < problem.inputs.size(); ++i) {
    const bool images = weight ? i < 2 : i != 1;
    if (images && problem.inputs[i].shape.rank() == 4) problem.inputs[i].shape[0] = rows;
  }
  if (!weight) problem.outputs[0].shape[0] = rows;
  return problem;
}

/// Return how many images of the batch the reference can do in a bearable time.
int64_t checked_batch(const Problem& problem, double most_flops) {
  const int64_t batch = problem.inputs[0].shape.rank() > 0 ? problem.inputs[0].shape[0] : 1;
  const double flops = kernels::cost_of(problem).flops;
  if (problem.operation.rfind("conv2d", 0) != 0 || flops <= most_flops) return batch;
  return std::max<int64_t>(1,
                           static_cast<int64_t>(static_cast<double>(batch) * most_flops / flops));
}

std::string direction_of(const Problem& problem) {
  if (contains(problem.operation, "_backward_weight")) return "backward_weight";
  if (contains(problem.operation, "_backward")) return "backward_input";
  if (problem.operation == "matmul") {
    // The gradients of a dense layer are products too: dy w^T and x^T dy.
    const Json options = operation("matmul").options.write(problem.options.get(), true);
    if (options["transpose_a"].as_bool()) return "backward_weight";
    if (options["transpose_b"].as_bool()) return "backward_input";
  }
  return "forward";
}

Json shape_json(const Shape& shape) {
  Json dims = Json::array();
  for (int64_t d : shape) dims.push(d);
  return dims;
}

/// Everything that makes two kernels the same problem.
std::string key_of(const PlanStep& step) {
  const Problem& problem = step.problem;
  std::string key = problem.operation +
                    operation(problem.operation).options.write(problem.options.get(), true).dump();
  for (const auto* values : {&problem.inputs, &problem.outputs})
    for (const ValueDesc& v : *values)
      key += v.shape.to_string() + name_of(v.dtype) + v.layout.to_string(v.shape.rank());
  for (size_t i = 0; i < problem.inputs.size(); ++i) key += problem.has_input(i) ? '1' : '0';
  for (size_t o = 0; o < problem.outputs.size(); ++o) key += problem.is_read(o) ? '1' : '0';
  return key;
}

class Comparison {
 public:
  Comparison(const PlanStep& step, const CompareOptions& options)
      : problem_(step.problem), options_(options) {
    const int64_t rows = checked_batch(problem_, options.checked_flops);
    row_ = Json::object({{"layer", ""},
                         {"operation", problem_.operation},
                         {"direction", direction_of(problem_)},
                         {"dtype", name_of(problem_.inputs[0].dtype)},
                         {"shape", shape_json(problem_.outputs[0].shape)}});
    Json inputs = Json::array();
    for (size_t i = 0; i < problem_.inputs.size(); ++i)
      inputs.push(problem_.has_input(i) ? shape_json(problem_.inputs[i].shape) : Json());
    row_.set("inputs", inputs);
    whole_ = !problem_.inputs[0].shape.rank() || rows == problem_.inputs[0].shape[0];
    row_.set("checked_batch", rows);
    row_.set("chosen", step.choice.entry->name);
    checked_ = whole_ ? problem_ : with_batch(problem_, rows);
    data_ = draw_inputs(checked_);
    expect();
  }

  Json run(const std::set<std::string>& entries) {
    Json candidates = Json::array();
    for (const Entry* entry : kernels::entries(problem_.operation, DeviceType::kCpu))
      if (entries.empty() || entries.count(entry->name)) candidates.push(try_entry(*entry));
    row_.set("candidates", candidates);
    return row_;
  }

 private:
  void expect() {
    const Entry* reference = reference_of(problem_.operation);
    if (!reference) return;
    Trial trial(*reference, checked_, data_);
    reference_seconds_ = trial.run();
    for (size_t o = 0; o < problem_.outputs.size(); ++o) expected_.push_back(trial.dense_output(o));
  }

  Json try_entry(const Entry& entry) {
    Json candidate = Json::object({{"name", entry.name}, {"status", "ok"}, {"reason", ""}});
    for (const char* name :
         {"milliseconds", "estimate_ms", "roofline_percent", "workspace_bytes", "nmse", "max_ulp"})
      candidate.set(name, Json());
    const auto conclude = [&](const char* status, const std::string& reason) {
      candidate.set("status", status).set("reason", reason);
      return candidate;
    };
    const std::string refusal = entry.declines(problem_);
    if (!refusal.empty()) return conclude("declined", refusal);
    const double roofline = kernels::roofline_seconds(problem_);
    candidate.set("estimate_ms", roofline / entry.efficiency(problem_) * 1e3);
    try {
      double seconds = 0;
      if (entry.name == "reference") {
        // Its one run is enough: nobody waits for plain loops three times.
        candidate.set("nmse", 0.0).set("max_ulp", 0.0).set("workspace_bytes", 0);
        if (!whole_) return conclude("ok", "not timed on the whole batch");
        seconds = reference_seconds_;
      } else {
        const std::string broken = check(entry, candidate);
        if (!broken.empty()) return conclude("failed", broken);
        seconds = time(entry, candidate);
      }
      candidate.set("milliseconds", seconds * 1e3);
      candidate.set("roofline_percent", 100 * roofline / seconds);
    } catch (const KernelError& error) {
      return conclude("failed", error.what());
    }
    return candidate;
  }

  std::string check(const Entry& entry, Json& candidate) {
    if (expected_.empty()) return "";
    if (!whole_) {
      const std::string refusal = entry.declines(checked_);
      if (!refusal.empty()) return "on the images that are checked: " + refusal;
    }
    Trial trial(entry, checked_, data_);
    trial.run();
    Difference worst;
    for (size_t o = 0; o < expected_.size(); ++o) {
      if (!problem_.is_read(o)) continue;
      const Difference found =
          difference(checked_.outputs[o], *trial.dense_output(o), *expected_[o]);
      if (!std::isfinite(found.nmse)) return "it gives NaN or infinity";
      worst.nmse = std::max(worst.nmse, found.nmse);
      worst.max_ulp = std::max(worst.max_ulp, found.max_ulp);
    }
    candidate.set("nmse", worst.nmse).set("max_ulp", worst.max_ulp);
    return "";
  }

  double time(const Entry& entry, Json& candidate) {
    Trial trial(entry, problem_, whole_ ? data_ : draw_inputs(problem_));
    candidate.set("workspace_bytes", trial.workspace_bytes());
    double best = trial.run();  // touches the memory
    const auto start = Clock::now();
    for (int i = 0; i < 3 || (seconds_since(start) < options_.seconds && i < 1000); ++i)
      best = std::min(best, trial.run());
    return best;
  }

  const Problem& problem_;
  const CompareOptions& options_;
  Problem checked_;
  bool whole_ = true;
  double reference_seconds_ = 0;
  std::vector<std::shared_ptr<Buffer>> data_, expected_;
  Json row_;
};

/// What moves data, or is compiled away, or changes the weights, is not compared.
bool is_compared(const std::string& operation) {
  static const std::set<std::string> skipped = {"reorder", "reshape",      "sgd",
                                                "adam",    "squared_norm", "clip_scale"};
  return !skipped.count(operation);
}

}  // namespace

Json compare_kernels(const Plan& plan, const CompareOptions& options) {
  // A name is that of an entry, else of an operation, else a part of layers' paths.
  std::set<std::string> known, entries, others;
  std::set<std::string> operations;
  for (const PlanStep& step : plan.steps) {
    operations.insert(step.operation);
    for (const Entry* entry : kernels::entries(step.operation, DeviceType::kCpu))
      known.insert(entry->name);
  }
  for (const std::string& name : options.only) (known.count(name) ? entries : others).insert(name);

  Json rows = Json::array();
  std::map<std::string, Json> measured;
  for (const PlanStep& step : plan.steps) {
    const auto wanted = [&](const std::string& name) {
      return operations.count(name) ? step.operation == name : contains(step.path, name);
    };
    if (!is_compared(step.operation) ||
        (!others.empty() && std::none_of(others.begin(), others.end(), wanted)))
      continue;
    if (options.progress) options.progress(step.path + " " + step.operation);
    const std::string key = key_of(step);
    if (!measured.count(key)) measured[key] = Comparison(step, options).run(entries);
    Json row = measured[key];
    rows.push(row.set("layer", step.path));
  }
  return rows;
}

Json accepting_kernels(const std::string& name, const Json& options,
                       const std::vector<Type>& inputs, const std::vector<bool>& present,
                       Device device) {
  const Operation& op = operation(name);
  std::vector<Value> values;
  Problem problem;
  for (size_t i = 0; i < inputs.size(); ++i) {
    values.push_back(present[i] ? input_value(inputs[i]) : Value{});
    problem.inputs.push_back({inputs[i].shape, inputs[i].dtype, {}});
  }
  problem.operation = name;
  problem.options = op.options.read(options);
  problem.optional = present;
  problem.device = device;
  problem.threads = threads();
  for (const Value& output : emit(op, problem.options, values))
    problem.outputs.push_back({output.shape(), output.dtype(), {}});
  Json rows = Json::array();
  for (const Entry* entry : kernels::entries(name, device.type)) {
    const std::string reason = entry->declines(problem);
    rows.push(
        Json::object({{"name", entry->name}, {"accepts", reason.empty()}, {"reason", reason}}));
  }
  return rows;
}

}  // namespace striate
