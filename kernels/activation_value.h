// The value of an activation at one number, for reference kernels and the ends of rows.
#pragma once

#include <striate/kernels/activation.h>

#include <cmath>

namespace striate::kernels {

/// Return the activation of `v`; NaN stays NaN. `slope` is leaky_relu's.
inline double activate(Activation activation, double v, double slope) {
  switch (activation) {
    case Activation::kNone: return v;
    case Activation::kRelu: return v < 0 ? 0 : v;
    case Activation::kRelu6: return v < 0 ? 0 : v > 6 ? 6 : v;
    case Activation::kLeakyRelu: return v < 0 ? slope * v : v;
    case Activation::kSigmoid: return 1 / (1 + std::exp(-v));
    case Activation::kTanh: return std::tanh(v);
  }
  return v;
}

}  // namespace striate::kernels
