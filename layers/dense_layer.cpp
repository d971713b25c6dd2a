#include <striate/kernels/matmul.h>
#include <striate/layers/activation.h>
#include <striate/layers/dense.h>
#include <striate/layers/initializer.h>
#include <striate/layers/shape_ops.h>

namespace striate {
namespace {

const RegisterLayer<Dense> dense_layer(
    Describe<Dense>("Dense",
                    "Fully connected: y = act(x W + b).\nx: [N, ..., in] -> y: [N, ..., units]")
        .required("units", &Dense::units, "Size of the last axis of the result.", at_least(1))
        .field("activation", &Dense::activation, "Applied to the result.", is_activation())
        .field("use_bias", &Dense::use_bias, "Add a trained number per unit.")
        .field("kernel_initializer", &Dense::kernel_initializer,
               "First values of the weights [in, units].", is_initializer())
        .field("bias_initializer", &Dense::bias_initializer, "First values of the bias.",
               is_initializer()));

}  // namespace

Value Dense::call(Weights& weights, const Value& x) const {
  const Shape& shape = x.shape();
  if (shape.rank() < 2 || shape[-1] == kUnknown)
    throw ShapeError("the input must be [N, ..., features] with known features", shape.to_string(),
                     "Put Flatten before it");
  const Value kernel = weights.weight("kernel", {shape[-1], units}, kernel_initializer);
  Value bias;
  if (use_bias) bias = weights.weight("bias", {units}, bias_initializer);
  Value rows = x;
  if (shape.rank() > 2) rows = apply("reshape", {x}, ReshapeOptions{{kUnknown, shape[-1]}});
  Value y = apply("matmul", {rows, kernel, bias}, MatmulOptions{});
  if (shape.rank() > 2) {
    Shape wanted = shape;
    wanted[-1] = units;
    y = apply("reshape", {y}, ReshapeOptions{wanted});
  }
  return activate(activation, y);
}

}  // namespace striate
