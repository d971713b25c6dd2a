// Max and average pooling of images, and their gradients.
//
//   y[n,p,q,c] = max or mean over (r,s) of x[n, p*stride - top + r, q*stride - left + s, c]
//
// Operations and their values:
//   max_pool2d                  x -> y, winner         winner: place r*S + s in the window
//   max_pool2d_backward         dy, winner, like x -> dx
//   max_pool2d_gather           like x's values, winner -> y    (y = x at the winner)
//   avg_pool2d                  x -> y
//   avg_pool2d_backward         dy, like x -> dx
//   global_avg_pool2d           x[N,H,W,C] -> y[N,C]
//   global_avg_pool2d_backward  dy[N,C], like x -> dx
// Of equal values the first in (r,s) order wins; NaN wins over all numbers. A window wholly in the
// padding gives 0 and winner 0, and no gradient. `winner` is u8 where R*S <= 255, else i32; one
// outside [0, R*S) is none: no place gets the gradient, and gather gives 0.
#pragma once

#include <striate/kernels/impl.h>
#include <striate/kernels/window.h>

#include <optional>

namespace striate {

struct Pool2dOptions {
  Size2 pool_size = 2;
  std::optional<Size2> strides = {};  // none: the pool size
  Padding padding = {};
  bool count_padding = false;  // avg: divide by R*S also where the window reaches into the padding
  /// max: where y is not above 0 the winner is R*S, none. The gradient is then that of relu, too.
  bool rectified = false;
};

/// Return the window of a pooling on an image, without `strides` they are the pool size.
Window pool2d_window(const Pool2dOptions& options, const Shape& image);
/// Return the type of max_pool2d's `winner`.
DType pool2d_winner_dtype(const Pool2dOptions& options);

namespace kernels {

/// One axis of a pooling: `size` input places, `out` windows of `window` places at every `stride`.
struct PoolAxis {
  int64_t size, out, window, stride, before;

  /// Return the first place of window `o`; negative inside the padding.
  int64_t start(int64_t o) const { return o * stride - before; }
  /// Return the range of places in window `o` that lie on the image; empty ones have first >= last.
  int64_t first(int64_t o) const { return start(o) < 0 ? -start(o) : 0; }
  int64_t last(int64_t o) const { return start(o) + window > size ? size - start(o) : window; }
  /// Return the range [first, last) of windows that hold input place `i`.
  int64_t first_window(int64_t i) const {
    const int64_t reach = i + before - window + 1;
    return reach <= 0 ? 0 : (reach + stride - 1) / stride;
  }
  int64_t last_window(int64_t i) const {
    const int64_t last = (i + before) / stride + 1;
    return last < out ? last : out;
  }
};

/// The sizes of one pooling: input [N, H, W, C], output [N, P, Q, C].
struct Pool2dShape {
  int64_t N, C;
  PoolAxis h, w;
  bool count_padding, rectified;

  /// Return the winner of a window that has none.
  int64_t none() const { return h.window * w.window; }
  /// Return 1 / the places that the mean of window (p, q) counts; 0 for none.
  double share(int64_t p, int64_t q) const {
    if (count_padding) return 1.0 / static_cast<double>(h.window * w.window);
    const int64_t rows = h.last(p) - h.first(p), columns = w.last(q) - w.first(q);
    return rows <= 0 || columns <= 0 ? 0.0 : 1.0 / static_cast<double>(rows * columns);
  }
};

/// Return the sizes for an image of shape [N, H, W, C].
Pool2dShape pool2d_shape(const Pool2dOptions& options, const Shape& image);

}  // namespace kernels
}  // namespace striate
