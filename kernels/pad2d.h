// Padding of images by a constant, by reflection, or by the edge, and its gradient.
//
//   y[n,p,q,c] = x[n, source(p - top), source(q - left), c]   or `value` outside x (constant)
//
// Operations and their values:
//   pad2d           x[N,H,W,C] -> y[N, top+H+bottom, left+W+right, C]
//   pad2d_backward  dy, like x -> dx        (adds where several places show the same pixel)
// `reflect` mirrors without repeating the edge pixel, so it needs padding < size.
#pragma once

#include <striate/kernels/impl.h>
#include <striate/kernels/window.h>

#include <string>
#include <vector>

namespace striate {

struct Pad2dOptions {
  Padding padding = {};
  std::string mode = "constant";  // constant, reflect or edge
  double value = 0;
};

namespace kernels {

/// Return, for each place of a padded axis, the place it shows; -1 for the constant.
/// Throws ShapeError for another mode, or when `reflect` needs more than the axis has.
std::vector<int64_t> pad_sources(const std::string& mode, int64_t size, int64_t before,
                                 int64_t after);

}  // namespace kernels
}  // namespace striate
