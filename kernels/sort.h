// Sorting along the last axis.
//
//   sort   x[..., C] -> y[..., C]                 ascending, or descending
//   top_k  x[..., C] -> values, indices[..., k]   the k largest, the largest first; indices: i32
//
// Equal elements keep their order, NaN counts as larger than all numbers, and -0 equals 0.
#pragma once

#include <striate/kernels/impl.h>

#include <cstdint>

namespace striate {

struct SortOptions {
  bool descending = false;
};

struct LargestOptions {
  int64_t k = 1;
};

}  // namespace striate
