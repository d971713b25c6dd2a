// Convolution layers.
#pragma once

#include <striate/layers/layer.h>

#include <string>
#include <vector>

namespace striate {

/// Convolution of images: x [N, H, W, C] -> [N, P, Q, filters].
struct Conv2D {
  int64_t filters = 0;
  Size2 kernel_size = {};
  Size2 strides = 1;
  Padding padding = {};
  Size2 dilation_rate = 1;
  int64_t groups = 1;
  std::string activation = "linear";
  bool use_bias = true;
  Json kernel_initializer = "GlorotUniform";
  Json bias_initializer = "Zeros";
  Value call(Weights& weights, const Value& x) const;
};

/// One filter set per channel: x [N, H, W, C] -> [N, P, Q, C * depth_multiplier].
struct DepthwiseConv2D {
  Size2 kernel_size = {};
  Size2 strides = 1;
  Padding padding = {};
  int64_t depth_multiplier = 1;
  Size2 dilation_rate = 1;
  std::string activation = "linear";
  bool use_bias = true;
  Json kernel_initializer = "GlorotUniform";
  Json bias_initializer = "Zeros";
  Value call(Weights& weights, const Value& x) const;
};

}  // namespace striate
