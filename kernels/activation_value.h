// The value and the gradient of an activation at one number, for reference kernels and the ends of
// rows.
#pragma once

#include <striate/kernels/activation.h>

#include <cmath>

namespace striate::kernels {

/// Return the activation of `v`; NaN stays NaN. `slope` is leaky_relu's.
inline double activate(Activation activation, double v, double slope) {
  switch (activation) {
    case Activation::kNone:
      return v;
    case Activation::kRelu:
      return v < 0 ? 0 : v;
    case Activation::kRelu6:
      return v < 0 ? 0 : v > 6 ? 6 : v;
    case Activation::kLeakyRelu:
      return v < 0 ? slope * v : v;
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-v));
    case Activation::kTanh:
      return std::tanh(v);
  }
  return v;
}

/// Return dy times the derivative of the activation where its output is `y`.
inline double through_activation(Activation activation, double dy, double y, double slope) {
  switch (activation) {
    case Activation::kNone:
      return dy;
    case Activation::kRelu:
      return y > 0 ? dy : 0;
    case Activation::kRelu6:
      return y > 0 && y < 6 ? dy : 0;
    case Activation::kLeakyRelu:
      return y < 0 ? dy * slope : dy;
    case Activation::kSigmoid:
      return dy * (y * (1 - y));
    case Activation::kTanh:
      return dy * (1 - y * y);
  }
  return dy;
}

}  // namespace striate::kernels
