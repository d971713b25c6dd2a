// Pooling layers.
#pragma once

#include <striate/layers/layer.h>

#include <optional>
#include <string>
#include <vector>

namespace striate {

/// The maximum of each window and channel: x [N, H, W, C] -> [N, P, Q, C].
struct MaxPool2D {
  Size2 pool_size = 2;
  std::optional<Size2> strides = {};  // none: the pool size
  Padding padding = {};
  Value call(Weights& weights, const Value& x) const;
};

/// The mean of each window and channel: x [N, H, W, C] -> [N, P, Q, C].
struct AveragePool2D {
  Size2 pool_size = 2;
  std::optional<Size2> strides = {};  // none: the pool size
  Padding padding = {};
  bool count_padding = false;
  Value call(Weights& weights, const Value& x) const;
};

/// The mean of each channel: x [N, H, W, C] -> [N, C].
struct GlobalAveragePool2D {
  bool keepdims = false;
  Value call(Weights& weights, const Value& x) const;
};

}  // namespace striate
