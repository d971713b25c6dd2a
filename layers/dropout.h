// The dropout layer.
#pragma once

#include <striate/layers/layer.h>

#include <string>
#include <vector>

namespace striate {

/// Zero elements at random in training, and scale the others (Srivastava et al. 2014).
struct Dropout {
  double rate = 0.5;
  Value call(Weights& weights, const Value& x) const;
};

}  // namespace striate
