// The fully connected layer.
#pragma once

#include <striate/layers/layer.h>

#include <string>
#include <vector>

namespace striate {

/// Fully connected: x [N, ..., in] -> [N, ..., units].
struct Dense {
  int64_t units = 0;
  std::string activation = "linear";
  bool use_bias = true;
  Json kernel_initializer = "GlorotUniform";
  Json bias_initializer = "Zeros";
  Value call(Weights& weights, const Value& x) const;
};

}  // namespace striate
