// Activations as layers, and by their names.
#pragma once

#include <striate/layers/layer.h>

#include <string>
#include <vector>

namespace striate {

/// Apply an activation by its Keras name: linear, relu, relu6, leaky_relu, sigmoid, tanh, softmax.
/// Throws ShapeError with the names that exist.
Value activate(const std::string& activation, const Value& x);
/// Check such a name, for options: returns the broken rule, or an empty string.
Check<std::string> is_activation();

/// An activation by its name, as a layer.
struct ActivationLayer {
  std::string activation = "linear";
  Value call(Weights& weights, const Value& x) const;
};

/// max(x, 0), with an upper limit or a slope below 0.
struct ReLU {
  double max_value = 0;  // 0: none; 6: relu6
  double negative_slope = 0;
  Value call(Weights& weights, const Value& x) const;
};

/// exp(x) / sum of exp(x), over the last axis.
struct Softmax {
  Value call(Weights& weights, const Value& x) const;
};

}  // namespace striate
