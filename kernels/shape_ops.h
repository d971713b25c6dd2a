// Operations that move elements and compute nothing; for every element type.
//
//   concat          x... -> y         along ConcatOptions::axis
//   slice           x -> y            the box of SliceOptions
//   slice_backward  dy, like x -> dx  dy in the box, zeros elsewhere
//   reshape         x -> y            the same elements in row-major order; y may be x
//   transpose       x -> y            dimension d of y is dimension order[d] of x
#pragma once

#include <striate/kernels/impl.h>

#include <cstdint>
#include <vector>

namespace striate {

struct ConcatOptions {
  int axis = -1;  // negative: from the end
};

struct SliceOptions {
  std::vector<int64_t> begin, size;  // one entry per dimension
};

struct TransposeOptions {
  std::vector<int> order;  // empty: all dimensions reversed
};

namespace kernels {

/// Return the order of a transpose problem, written out and not negative.
std::vector<int> transpose_order(const Problem& problem);

}  // namespace kernels
}  // namespace striate
