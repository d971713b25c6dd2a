// The parameters of gathered operands, from the sizes of a convolution.
#pragma once

#include <striate/kernels/conv2d.h>

#include <striate/kernels/conv2d_gather.cuh>
#include <string>

namespace striate::cuda {

/// Return how the pictures of a convolution are seen through its window.
inline Gather gather_of(const kernels::Conv2dShape& s) {
  Gather g;
  g.height = static_cast<int>(s.H), g.width = static_cast<int>(s.W);
  g.column_pitch = static_cast<int>(s.C), g.row_pitch = static_cast<int>(s.W * s.C);
  g.image_pitch = s.H * s.W * s.C;
  g.mul_h = static_cast<int>(s.stride_h), g.mul_w = static_cast<int>(s.stride_w);
  g.step_h = static_cast<int>(s.dilation_h), g.step_w = static_cast<int>(s.dilation_w);
  return g;
}

inline Positions positions_of(const kernels::Conv2dShape& s) {
  return {static_cast<int>(s.P), static_cast<int>(s.Q), -static_cast<int>(s.top),
          -static_cast<int>(s.left)};
}

/// Return why chunks of eight channels do not cover a convolution; empty: they do.
inline std::string declines_channels(const kernels::Conv2dShape& s) {
  return s.C / s.groups % 8 == 0 && s.K / s.groups % 8 == 0
             ? ""
             : "takes channels and filters of a group in multiples of 8";
}

}  // namespace striate::cuda
