// Layers that change shapes, or put values together.
#pragma once

#include <striate/layers/layer.h>

#include <string>
#include <vector>

namespace striate {

struct Flatten {
  Value call(Weights& weights, const Value& x) const;
};

/// Change the shape of each sample; one size may be -1.
struct Reshape {
  std::vector<int64_t> target_shape = {};
  Value call(Weights& weights, const Value& x) const;
};

/// y = x * scale + offset, for pixels of any number type.
struct Rescale {
  double scale = 1;
  double offset = 0;
  Value call(Weights& weights, const Value& x) const;
};

struct Add {
  Value call(Weights& weights, const std::vector<Value>& inputs) const;
};

struct Multiply {
  Value call(Weights& weights, const std::vector<Value>& inputs) const;
};

struct Concatenate {
  int64_t axis = -1;
  Value call(Weights& weights, const std::vector<Value>& inputs) const;
};

}  // namespace striate
