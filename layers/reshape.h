// Layers that change shapes, or put values together.
#pragma once

#include <striate/layers/layer.h>

#include <string>
#include <vector>

namespace striate {

/// Make one axis of all but the first: x [N, ...] -> [N, the product].
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

/// Add inputs of one shape, or of shapes that broadcast.
struct Add {
  Value call(Weights& weights, const std::vector<Value>& inputs) const;
};

/// Multiply inputs of one shape, or of shapes that broadcast.
struct Multiply {
  Value call(Weights& weights, const std::vector<Value>& inputs) const;
};

/// Put inputs one after another along an axis.
struct Concatenate {
  int64_t axis = -1;
  Value call(Weights& weights, const std::vector<Value>& inputs) const;
};

}  // namespace striate
