#include <striate/core/parallel.h>
#include <striate/layers/compare.h>
#include <striate/layers/trial.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

namespace striate {
namespace {

using kernels::Entry;
using kernels::Problem;
using kernels::ValueDesc;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const Entry* reference_of(const std::string& operation) {
  const auto all = kernels::entries(operation, DeviceType::kCpu);
  return all.empty() || all.back()->name != "reference" ? nullptr : all.back();
}

/// Return the entries of a problem's device, and the reference where it is none of them.
std::vector<const Entry*> entries_of(const Problem& problem) {
  auto all = kernels::entries(problem.operation, problem.device.type);
  const Entry* reference = reference_of(problem.operation);
  if (problem.device.type != DeviceType::kCpu && reference) all.push_back(reference);
  return all;
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

class Comparison {
 public:
  Comparison(const PlanStep& step, const CompareOptions& options)
      : problem_(kernels::without_gate(step.problem)), options_(options) {
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
    for (const Entry* entry : entries_of(problem_))
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
        if (problem_.device.type != DeviceType::kCpu) return conclude("ok", "on the CPU");
        if (!whole_) return conclude("ok", "not timed on the whole batch");
        seconds = reference_seconds_;
      } else {
        const std::string broken = check(entry, candidate);
        if (!broken.empty()) return conclude("failed", broken);
        if (options_.seconds <= 0) return conclude("ok", "not timed");
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
    candidate.set("workspace_bytes", trial.workspace_bytes());
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
    return trial.shortest(options_.seconds);
  }

  const Problem problem_;  // without a gate: few entries apply one, and all are to do the same work
  const CompareOptions& options_;
  Problem checked_;
  bool whole_ = true;
  double reference_seconds_ = 0;
  std::vector<std::shared_ptr<Buffer>> data_, expected_;
  Json row_;
};

}  // namespace

Json compare_kernels(const Plan& plan, const CompareOptions& options) {
  // A name is that of an entry, else of an operation, else a part of layers' paths.
  std::set<std::string> known, entries, others;
  std::set<std::string> operations;
  for (const PlanStep& step : plan.steps) {
    operations.insert(step.operation);
    for (const Entry* entry : entries_of(step.problem)) known.insert(entry->name);
  }
  for (const std::string& name : options.only) (known.count(name) ? entries : others).insert(name);

  Json rows = Json::array();
  std::map<std::string, Json> measured;
  for (const PlanStep& step : plan.steps) {
    const auto wanted = [&](const std::string& name) {
      return operations.count(name) ? step.operation == name : contains(step.path, name);
    };
    if (!is_measured(step.operation) ||
        (!others.empty() && std::none_of(others.begin(), others.end(), wanted)))
      continue;
    if (options.progress) options.progress(step.path + " " + step.operation);
    const std::string key = key_of(step.problem);
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
