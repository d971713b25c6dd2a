// Dense updates: how many operations they take, their shapes and the numbers of a step.
#include <striate/kernels/dense_update.h>

#include <cmath>

namespace striate::kernels {
namespace {

Cost cost(const Problem& problem) {
  const DenseUpdateShape s = dense_update_shape(problem);
  Cost cost;
  cost.flops = 2.0 * static_cast<double>(s.M) * static_cast<double>(s.N) * static_cast<double>(s.K);
  for (const auto* values : {&problem.inputs, &problem.outputs})
    for (const ValueDesc& v : *values)
      cost.bytes += static_cast<double>(v.shape.elements()) * static_cast<double>(size_of(v.dtype));
  return cost;
}

const RegisterCost sgd("dense_sgd", cost);
const RegisterCost adam("dense_adam", cost);

}  // namespace

DenseUpdateShape dense_update_shape(const Problem& problem) {
  const Shape &x = problem.inputs[1].shape, &dy = problem.inputs[2].shape;
  return {x[1], dy[1], x[0]};
}

SgdStep sgd_step_of(const SgdOptions& o, const StepBlock& block, float scale) {
  const float lr = block.learning_rate[o.index];
  return {lr, static_cast<float>(1 - lr * o.weight_decay), static_cast<float>(o.momentum), scale};
}

AdamStep adam_step_of(const AdamOptions& o, const StepBlock& block, float scale) {
  const double lr = block.learning_rate[o.index], t = static_cast<double>(block.step + 1);
  const double corrected = lr * std::sqrt(1 - std::pow(o.beta_2, t)) / (1 - std::pow(o.beta_1, t));
  return {static_cast<float>(corrected),    static_cast<float>(1 - lr * o.weight_decay),
          static_cast<float>(1 - o.beta_1), static_cast<float>(1 - o.beta_2),
          static_cast<float>(o.epsilon),    scale};
}

}  // namespace striate::kernels
