// Optimizers: from gradients to new weights, as nodes; learning rates and their schedules.
#pragma once

#include <striate/layers/graph/lower.h>
#include <striate/layers/graph/options.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace striate {

/// A learning rate as a function of the step, described by JSON: a number, or a registered
/// schedule such as {"type": "OneCycle", "max_learning_rate": 0.01, "total_steps": 1000}.
class Schedule {
 public:
  Schedule() = default;
  /// Throws ShapeError for a number that is negative or not finite.
  Schedule(double constant);  // NOLINT: a number is a schedule
  /// Throws ShapeError for an unknown schedule or option too.
  explicit Schedule(Json json);
  /// Return the learning rate of a step, counted from 0.
  double at(int64_t step) const;
  const Json& json() const { return json_; }
  static std::vector<const Schema*> schemas();

 private:
  Json json_ = 0.001;
  std::function<double(int64_t)> rate_;
};

class Optimizer;

/// Stochastic gradient descent, with momentum where it is not 0.
struct SGD {
  Json learning_rate = 0.01;  // a number or a schedule
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
  double clipvalue = 0;        // limit of each gradient element; 0: none
  double global_clipnorm = 0;  // limit of the norm of all gradients together; 0: none

  operator std::shared_ptr<Optimizer>() const;  // NOLINT: options become an optimizer
};

/// Adam (Kingma and Ba 2015).
struct Adam {
  Json learning_rate = 0.001;
  double beta_1 = 0.9, beta_2 = 0.999;
  double epsilon = 1e-7;
  double weight_decay = 0;
  double clipvalue = 0;
  double global_clipnorm = 0;

  operator std::shared_ptr<Optimizer>() const;  // NOLINT: options become an optimizer
};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
struct AdamW {
  Json learning_rate = 0.001;
  double beta_1 = 0.9, beta_2 = 0.999;
  double epsilon = 1e-7;
  double weight_decay = 0.004;
  double clipvalue = 0;
  double global_clipnorm = 0;

  operator std::shared_ptr<Optimizer>() const;  // NOLINT: options become an optimizer
};

/// A registered kind of optimizer.
struct OptimizerType {
  Schema schema;
  /// Names of the moments that it keeps per weight.
  std::function<std::vector<std::string>(const void* options)> moments;
  /// Apply the kernel operation to [step block, clip scale, w..., g..., moments...]; returns new
  /// weights, then new moments, moment by moment.
  std::function<std::vector<Value>(const void* options, std::vector<Value> inputs, int tensors,
                                   int index)>
      step;
};

/// An optimizer and its state: the moments of each weight.
class Optimizer {
 public:
  /// Make one from {"type": "Adam", ...} or a bare name. Throws ShapeError with the names there
  /// are.
  static std::shared_ptr<Optimizer> make(const Json& config);
  static std::shared_ptr<Optimizer> make(const SGD& options);
  static std::shared_ptr<Optimizer> make(const Adam& options);
  static std::shared_ptr<Optimizer> make(const AdamW& options);
  static std::vector<const Schema*> schemas();

  /// Emit the nodes that compute new weights and moments from gradients, and assign them.
  /// `index`: the place of this optimizer's learning rate in the StepBlock.
  void emit(const std::vector<Assignment>& gradients, int index, Lowering& lowering);

  double learning_rate(int64_t step) const { return schedule_.at(step); }
  void set_learning_rate(Schedule schedule) { schedule_ = std::move(schedule); }
  const Schedule& schedule() const { return schedule_; }
  /// Return the moments made so far, in order of creation, named `<weight path>/<moment>`.
  const std::vector<std::shared_ptr<Variable>>& state() const { return state_; }
  /// Set the moment `<weight path>/<name>` of one of `weights` (by path) from a file. Throws
  /// FileError when there is no such weight or the shapes differ.
  void restore(const std::string& path,
               const std::map<std::string, std::shared_ptr<Variable>>& weights,
               const Tensor& value);
  /// Return {"type": name, options that differ from the defaults}.
  Json config() const;

 private:
  static std::shared_ptr<Optimizer> make(const std::string& type, const Json& options);
  std::shared_ptr<Variable> moment(const Variable& weight, const std::string& name);

  const OptimizerType* type_ = nullptr;
  std::shared_ptr<void> options_;
  double clipvalue_ = 0, global_clipnorm_ = 0;
  Schedule schedule_;
  std::map<std::pair<const Variable*, std::string>, std::shared_ptr<Variable>> moments_;
  std::vector<std::shared_ptr<Variable>> state_;
};

}  // namespace striate
