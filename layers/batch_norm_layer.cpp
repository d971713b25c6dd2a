#include <striate/kernels/batch_norm.h>
#include <striate/layers/batch_norm.h>
#include <striate/layers/initializer.h>

namespace striate {
namespace {

const RegisterLayer<BatchNormalization> batch_norm_layer(
    Describe<BatchNormalization>(
        "BatchNormalization",
        "Normalise each channel over the batch (Ioffe and Szegedy 2015).\n"
        "x: [N, ..., C] -> y of the same shape. freeze() stops its statistics too.")
        .field("momentum", &BatchNormalization::momentum,
               "Part of the moving statistics that a step keeps.", between(0, 1))
        .field("epsilon", &BatchNormalization::epsilon, "Added to the variance.", not_negative())
        .field("center", &BatchNormalization::center, "Add a trained offset beta.")
        .field("scale", &BatchNormalization::scale, "Multiply by a trained factor gamma.")
        .field("gamma_initializer", &BatchNormalization::gamma_initializer, "First gamma.",
               is_initializer())
        .field("beta_initializer", &BatchNormalization::beta_initializer, "First beta.",
               is_initializer()));

}  // namespace

Value BatchNormalization::call(Weights& weights, const Value& x) const {
  if (x.shape().rank() < 2)
    throw ShapeError("the input must be [N, ..., channels]", x.shape().to_string());
  const Shape shape = {x.shape()[-1]};
  const auto constant = [&](float value) {
    return constant_value(
        Tensor::from<float>(shape, std::vector<float>(static_cast<size_t>(shape[0]), value)));
  };
  const Value gamma = scale ? weights.weight("gamma", shape, gamma_initializer) : constant(1);
  const Value beta = center ? weights.weight("beta", shape, beta_initializer) : constant(0);
  const Value mean = weights.state("moving_mean", shape, "Zeros");
  const Value variance = weights.state("moving_variance", shape, "Ones");
  return apply("batch_norm", {x, gamma, beta, mean, variance},
               BatchNormOptions{epsilon, momentum, Activation::kNone});
}

}  // namespace striate
