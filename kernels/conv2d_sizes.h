// The sizes that the CUDA convolutions can index.
#pragma once

#include <striate/core/error.h>
#include <striate/kernels/conv2d.h>

#include <string>

namespace striate::kernels {

/// Throw KernelError when an element's place inside one picture or inside the filters of a group
/// does not fit 31 bits; how many pictures there are does not matter.
inline void check_sizes(const Conv2dShape& s) {
  // An eighth, because windows reach beyond the picture's edges and tiles beyond its end.
  constexpr int64_t kLimit = int64_t{1} << 28;
  const int64_t rows = (s.H + s.top + s.bottom + s.R * s.dilation_h) / 8 + 1;
  const int64_t filters = (s.K / s.groups) * s.R * s.S;
  const int64_t sizes[] = {rows * (s.W + s.left + s.right + s.S * s.dilation_w) * s.C,
                           (s.P / 8 + 1) * s.Q * s.K,
                           s.P * s.stride_h,
                           s.Q * s.stride_w,
                           (filters / 8 + 1) * (s.C / s.groups),
                           s.R * s.S * (s.C / s.groups)};
  for (const int64_t size : sizes)
    if (size >= kLimit)
      throw KernelError("CUDA convolutions take pictures and filters of fewer than 2^31 elements",
                        "[" + std::to_string(s.H) + ", " + std::to_string(s.W) + ", " +
                            std::to_string(s.C) + "] and [" + std::to_string(s.K) + ", " +
                            std::to_string(s.R) + ", " + std::to_string(s.S) + ", " +
                            std::to_string(s.C / s.groups) + "]");
}

}  // namespace striate::kernels
