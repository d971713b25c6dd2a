#include <striate/kernels/unary.h>
#include <striate/layers/activation.h>

namespace striate {
namespace {

const std::vector<std::string> kNames = {"linear",  "relu", "relu6",  "leaky_relu",
                                         "sigmoid", "tanh", "softmax"};

const RegisterLayer<ActivationLayer> activation_layer(
    Describe<ActivationLayer>("Activation", "Apply an activation.")
        .required("activation", &ActivationLayer::activation, "Its name.", is_activation()));

const RegisterLayer<ReLU> relu_layer(
    Describe<ReLU>("ReLU", "max(x, 0), with an upper limit or a slope below 0.")
        .field("max_value", &ReLU::max_value, "0: no limit; 6: relu6.", not_negative())
        .field("negative_slope", &ReLU::negative_slope, "Slope below 0 (leaky relu).",
               is_finite()));

const RegisterLayer<Softmax> softmax_layer(
    Describe<Softmax>("Softmax", "exp(x) / sum of exp(x), over the last axis."));

}  // namespace

Check<std::string> is_activation() { return one_of(kNames); }

Value activate(const std::string& activation, const Value& x) {
  const std::string broken = is_activation()(activation);
  if (!broken.empty()) throw ShapeError("activation must be " + broken, "'" + activation + "'");
  if (activation == "linear") return x;
  if (activation == "softmax") return apply("softmax", {x});
  const double slope = activation == "leaky_relu" ? 0.2 : 1;  // Keras' default slope
  return apply(activation, {x}, UnaryOptions{slope});
}

Value ActivationLayer::call(Weights&, const Value& x) const { return activate(activation, x); }

Value ReLU::call(Weights&, const Value& x) const {
  if (negative_slope != 0 && max_value == 0)
    return apply("leaky_relu", {x}, UnaryOptions{negative_slope});
  if (negative_slope == 0 && max_value == 6) return apply("relu6", {x}, UnaryOptions{});
  if (negative_slope == 0 && max_value == 0) return apply("relu", {x}, UnaryOptions{});
  throw ShapeError(
      "ReLU takes max_value 0 or 6, or a negative_slope with max_value 0",
      "max_value " + Json(max_value).dump() + " and negative_slope " + Json(negative_slope).dump());
}

Value Softmax::call(Weights&, const Value& x) const { return apply("softmax", {x}); }

}  // namespace striate
