// Conversion between element types, and of pixels to float32 numbers.
//
//   cast     x -> y   any type to any: floating to integer truncates and saturates, NaN becomes 0;
//                     integer to integer keeps the low bits; to bool is != 0
//   rescale  x -> y   y = x * scale + offset; x is uint8 or float32, y is float32
#pragma once

#include <striate/kernels/impl.h>

namespace striate {

struct CastOptions {
  DType to = DType::kF32;
};

struct RescaleOptions {
  double scale = 1;
  double offset = 0;
};

}  // namespace striate
