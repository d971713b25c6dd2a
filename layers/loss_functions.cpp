#include <striate/kernels/cast.h>
#include <striate/kernels/loss.h>
#include <striate/kernels/reduce.h>
#include <striate/kernels/unary.h>
#include <striate/layers/loss.h>
#include <striate/layers/shape_ops.h>

#include <map>
#include <mutex>

namespace striate {
namespace {

struct CrossentropyOptions {
  Json from_logits;  // null: a softmax or sigmoid at the model's end is taken into the loss
  double label_smoothing = 0;
};
struct MeanOptions {};
struct TopKAccuracyOptions {
  int64_t k = 5;
};

Value as_float(const Value& value) {
  return value.dtype() == DType::kF32 ? value : apply("cast", {value}, CastOptions{DType::kF32});
}

/// Labels may come as [N, 1], as Keras users write them.
Value without_last_one(const Value& labels, const Shape& output) {
  if (labels.shape().rank() != output.rank() || labels.shape()[-1] != 1) return labels;
  return apply("reshape", {labels},
               ReshapeOptions{Shape(labels.shape().begin(), labels.shape().end() - 1)});
}

Value crossentropy(const std::string& operation, const CrossentropyOptions& options,
                   const Value& targets, const Value& output) {
  const char* squash = operation == "binary_crossentropy" ? "sigmoid" : "softmax";
  LossOptions loss{true, options.label_smoothing};
  Value logits = output;
  if (options.from_logits.is_null() && output.node->operation->name == squash)
    logits = output.node->inputs[0];
  else if (!options.from_logits.is_null())
    loss.from_logits = options.from_logits.as_bool();
  Value y = targets;
  if (operation == "sparse_categorical_crossentropy") {
    y = without_last_one(targets, output.shape());
  } else {
    y = as_float(targets);
    if (y.shape().rank() + 1 == output.shape().rank() && output.shape()[-1] == 1) {
      Shape wanted = y.shape();
      std::vector<int64_t> dims = wanted.to_vector();
      dims.push_back(1);
      y = apply("reshape", {y}, ReshapeOptions{Shape(dims)});
    }
  }
  return apply(operation, {logits, y}, loss);
}

struct Kind {
  Schema schema;
  std::string name;  // as Keras writes it in strings
  std::function<LossFunction(std::shared_ptr<void>)> make;
};

Kind crossentropy_kind(const char* type, const char* operation, const char* doc) {
  using O = CrossentropyOptions;
  return {Describe<O>(type, doc)
              .field("from_logits", &O::from_logits,
                     "True: the output holds logits; False: probabilities; None: logits, and a "
                     "softmax or sigmoid at the model's end is taken into the loss.")
              .field("label_smoothing", &O::label_smoothing,
                     "Part of the target that goes to all classes alike (Szegedy et al. 2016).",
                     between(0, 1)),
          operation, [operation](std::shared_ptr<void> options) -> LossFunction {
            const O copy = *static_cast<const O*>(options.get());
            return [=](const Value& targets, const Value& output) {
              return crossentropy(operation, copy, targets, output);
            };
          }};
}

const std::vector<Kind>& losses() {
  static const std::vector<Kind> all = {
      crossentropy_kind("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy",
                        "Crossentropy of integer labels [N] and scores [N, classes]."),
      crossentropy_kind("CategoricalCrossentropy", "categorical_crossentropy",
                        "Crossentropy of one-hot or soft targets and scores [N, classes]."),
      crossentropy_kind("BinaryCrossentropy", "binary_crossentropy",
                        "Crossentropy of independent yes-or-no targets."),
      {Describe<MeanOptions>("MeanSquaredError", "Mean of squared differences."),
       "mean_squared_error", [](std::shared_ptr<void>) -> LossFunction {
         return [](const Value& targets, const Value& output) {
           return apply("mean_squared_error", {output, as_float(targets)}, LossOptions{});
         };
       }}};
  return all;
}

Value top_k(const Value& targets, const Value& output, int64_t k) {
  const int64_t classes = output.shape().rank() > 0 ? output.shape()[-1] : kUnknown;
  if (classes != kUnknown && k > classes)
    throw ShapeError("k must be at most the " + std::to_string(classes) + " classes",
                     std::to_string(k));
  Value labels = without_last_one(targets, output.shape());
  if (labels.shape().rank() == output.shape().rank())
    labels = apply("argmax", {labels}, ReduceOptions{{-1}, false});
  return apply("top_k_correct", {output, labels}, TopKOptions{static_cast<int>(k)});
}

/// One probability or logit a sample: right when it is on the target's side of the middle.
Value binary_accuracy(const Value& targets, const Value& output) {
  const bool is_probability = output.node->operation->name == "sigmoid";
  const Value middle = scalar(is_probability ? 0.5f : 0.0f);
  const Value said = apply("cast", {apply("greater", {output, middle})}, CastOptions{});
  Value wanted = as_float(targets);
  if (wanted.shape().rank() < output.shape().rank())
    wanted = apply("reshape", {wanted}, ReshapeOptions{{kUnknown, 1}});
  wanted = apply("cast", {apply("greater", {wanted, scalar(0.5f)})}, CastOptions{});
  const Value same = apply("cast", {apply("equal", {said, wanted})}, CastOptions{});
  return apply("reduce_mean", {same}, ReduceOptions{{1}, false});
}

Value accuracy(const Value& targets, const Value& output) {
  if (output.shape().rank() == 2 && output.shape()[1] == 1) return binary_accuracy(targets, output);
  return top_k(targets, output, 1);
}

const std::vector<Kind>& metrics() {
  static const std::vector<Kind> all = {
      {Describe<MeanOptions>("Accuracy", "Part of the samples whose largest score is the label's."),
       "accuracy", [](std::shared_ptr<void>) -> LossFunction { return accuracy; }},
      {Describe<TopKAccuracyOptions>("TopKAccuracy",
                                     "Part of the samples whose label is among the k best scores.")
           .field("k", &TopKAccuracyOptions::k, "How many scores count.", at_least(1)),
       "top_k_accuracy", [](std::shared_ptr<void> options) -> LossFunction {
         const int64_t k = static_cast<const TopKAccuracyOptions*>(options.get())->k;
         return
             [k](const Value& targets, const Value& output) { return top_k(targets, output, k); };
       }}};
  return all;
}

struct UserFunctions {
  std::mutex mutex;
  std::map<std::string, LossFunction> by_name;
};

/// Never destroyed: functions from Python must not be let go of after the interpreter's end.
UserFunctions& user_functions() {
  static auto* all = new UserFunctions;
  return *all;
}

NamedFunction find(const std::vector<Kind>& kinds, const Json& config, const char* what) {
  std::string wanted = config.is_string() ? config.as_string() : config["type"].as_string();
  if (wanted == "mse") wanted = "mean_squared_error";
  if (wanted == "acc") wanted = "accuracy";
  std::string names;
  {
    const std::lock_guard<std::mutex> lock(user_functions().mutex);
    const auto found = user_functions().by_name.find(wanted);
    if (found != user_functions().by_name.end())
      return {wanted, Json::object({{"type", wanted}}), found->second};
  }
  for (const Kind& kind : kinds) {
    names += (names.empty() ? "" : ", ") + kind.name;
    if (wanted != kind.name && wanted != kind.schema.name) continue;
    Json options = Json::object();
    if (config.is_object())
      for (const auto& [key, value] : config.members())
        if (key != "type") options.set(key, value);
    const auto read = kind.schema.read(options);
    Json full = Json::object({{"type", kind.schema.name}});
    const Json given = kind.schema.write(read.get());
    for (const auto& [key, value] : given.members()) full.set(key, value);
    return {kind.name, full, kind.make(read)};
  }
  throw ShapeError(std::string(what) + " must be a function or one of " + names, "'" + wanted + "'",
                   "Register a function of your own under that name first");
}

std::vector<const Schema*> schemas_of(const std::vector<Kind>& kinds) {
  std::vector<const Schema*> all;
  for (const Kind& kind : kinds) all.push_back(&kind.schema);
  return all;
}

}  // namespace

void register_function(const std::string& name, LossFunction function) {
  const std::lock_guard<std::mutex> lock(user_functions().mutex);
  user_functions().by_name[name] = std::move(function);
}

NamedFunction find_loss(const Json& config) { return find(losses(), config, "a loss"); }

NamedFunction find_metric(const Json& config) {
  const std::string wanted = config.is_string() ? config.as_string() : config["type"].as_string();
  for (const Kind& kind : losses())
    if (wanted == kind.name || wanted == kind.schema.name)
      return find(losses(), config, "a metric");
  return find(metrics(), config, "a metric");
}

std::vector<const Schema*> loss_schemas() { return schemas_of(losses()); }
std::vector<const Schema*> metric_schemas() { return schemas_of(metrics()); }

}  // namespace striate
