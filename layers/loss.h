// Losses and metrics as functions of symbolic values, by name or of the user's own.
#pragma once

#include <striate/core/json.h>
#include <striate/layers/graph/graph.h>
#include <striate/layers/graph/options.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace striate {

/// From targets and a model's output to a value: a scalar loss (its sum over the batch divided by
/// the batch's rows), or for a metric one number per sample.
using LossFunction = std::function<Value(const Value& targets, const Value& output)>;

/// A loss or metric, and the name under which files record it (null: it cannot be recorded).
struct NamedFunction {
  std::string name;
  Json config;
  LossFunction function;
};

/// Give a function of the user's own a name: models record it, and `find_loss` and `find_metric`
/// find it. A later function of the same name replaces it.
void register_function(const std::string& name, LossFunction function);

/// Find a loss by name ("mean_squared_error") or by {"type": "SparseCategoricalCrossentropy",
/// "from_logits": false, ...}. Throws ShapeError with the names that exist.
NamedFunction find_loss(const Json& config);
/// Find a metric: accuracy, top_k_accuracy ({"type": "TopKAccuracy", "k": 5}), or a loss's name.
/// `accuracy` looks at the shapes: integer labels, one-hot rows, or one probability.
NamedFunction find_metric(const Json& config);

/// A loss in the options of `Model::compile`: a function, or what `find_loss` takes.
struct Loss : NamedFunction {
  Loss(NamedFunction function) : NamedFunction(std::move(function)) {}  // NOLINT
  Loss(const char* name) : NamedFunction(find_loss(Json(name))) {}      // NOLINT
  Loss(const Json& config) : NamedFunction(find_loss(config)) {}        // NOLINT
};

/// A metric in the options of `Model::compile`: a function, or what `find_metric` takes.
struct Metric : NamedFunction {
  Metric(NamedFunction function) : NamedFunction(std::move(function)) {}  // NOLINT
  Metric(const char* name) : NamedFunction(find_metric(Json(name))) {}    // NOLINT
  Metric(const Json& config) : NamedFunction(find_metric(config)) {}      // NOLINT
};

std::vector<const Schema*> loss_schemas();
std::vector<const Schema*> metric_schemas();

}  // namespace striate
