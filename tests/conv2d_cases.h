// Makes test cases of conv2d and its two gradients from a short description.
#pragma once

#include <striate/tests/kernel_table.h>

#include <string>
#include <vector>

namespace striate::testing {

/// One convolution: sizes, options, and which optional values are there.
struct Conv2dCase {
  int64_t N = 1, H = 1, W = 1, C = 1, K = 1;
  Size2 window = 1;
  Conv2dOptions options;
  bool bias = false, residual = false;
  std::string name;
};

/// One convolution as a line of a table.
struct Conv2dSizes {
  int64_t n, h, w, c, k;
  Size2 window = 3, strides = 1;
  Padding padding = 1;
  Size2 dilation = 1;
  Activation activation = Activation::kNone;
  bool bias = true, residual = false;
};
Conv2dCase dense_case(const Conv2dSizes& sizes);
/// The same with as many groups as channels; c and k are equal.
Conv2dCase depthwise_case(const Conv2dSizes& sizes);

/// Return y's shape. Throws ShapeError when the window does not fit.
Shape output_shape(const Conv2dCase& c);

Case conv2d_forward(const Conv2dCase& c);
Case conv2d_backward_input(const Conv2dCase& c);
Case conv2d_backward_weight(const Conv2dCase& c);
/// Return all three.
std::vector<Case> all_directions(const Conv2dCase& c);

/// Return the same problem for the same seed: any stride, dilation, padding, groups, activation.
Conv2dCase random_conv2d(uint64_t seed);

}  // namespace striate::testing
