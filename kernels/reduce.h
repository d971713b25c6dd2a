// Sums, means and maxima over axes, and the sums that undo broadcasting.
//
//   reduce_sum reduce_mean reduce_max   x -> y          over ReduceOptions::axes
//   argmax                              x -> y (int64)  over one axis: the first of equals, the
//   first NaN reduce_max_backward                 dy, x, y -> dx  the first element equal to y
//   takes all of dy sum_to                              x, like y -> y  sums the axes along which y
//   was repeated broadcast_to                        x, like y -> y
// A NaN makes its sum, mean and maximum NaN. Nothing sums to 0, has mean NaN and maximum -infinity.
#pragma once

#include <striate/kernels/impl.h>

#include <vector>

namespace striate {

struct ReduceOptions {
  std::vector<int> axes;  // negative ones count from the end; empty: all
  bool keepdims = false;  // keep reduced axes as size 1
};

namespace kernels {

/// Return which axes of a shape of this rank the options reduce.
std::vector<bool> reduced_axes(const ReduceOptions& options, int rank);

/// Return which axes of `to` broadcasting makes by repeating a value of shape `from`.
std::vector<bool> repeated_axes(const Shape& from, const Shape& to);

/// A dense value seen as [outer, reduced, inner], when its reduced axes are neighbours.
struct ReduceShape {
  int64_t outer = 1, reduced = 1, inner = 1;
  bool one_run = true;  // false: the reduced axes are apart, the sizes mean nothing
};
ReduceShape reduce_shape(const Shape& shape, const std::vector<bool>& reduced);

}  // namespace kernels
}  // namespace striate
