// The batch normalisation layer.
#pragma once

#include <striate/layers/layer.h>

#include <string>
#include <vector>

namespace striate {

/// Normalise each channel over the batch (Ioffe and Szegedy 2015).
struct BatchNormalization {
  double momentum = 0.99;
  double epsilon = 1e-3;
  bool center = true;
  bool scale = true;
  Json gamma_initializer = "Ones";
  Json beta_initializer = "Zeros";
  Value call(Weights& weights, const Value& x) const;
};

}  // namespace striate
