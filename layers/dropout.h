// The dropout layer.
#pragma once

#include <striate/layers/layer.h>

#include <string>
#include <vector>

namespace striate {

struct Dropout {
  double rate = 0.5;
  Value call(Weights& weights, const Value& x) const;
};

}  // namespace striate
