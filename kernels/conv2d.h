// Convolution (cross-correlation) of images and its two gradients.
//
//   y[n,p,q,k] = act(b[k] + residual[n,p,q,k] + sum over (r,s,c) of
//     w[k,r,s,c] * x[n, p*stride - top + r*dilation, q*stride - left + s*dilation, g*C/G + c])
//
// Operations and their values (optional ones in brackets):
//   conv2d                  x, w, [b], [residual]  -> y
//   conv2d_backward_input   dy, w, like x          -> dx
//   conv2d_backward_weight  x, dy, like w          -> dw, [db]    (db when Conv2dOptions::bias)
// `like` inputs give only their shape. Backward takes dy before the activation (activation = none).
#pragma once

#include <striate/kernels/activation.h>
#include <striate/kernels/impl.h>
#include <striate/kernels/window.h>

namespace striate {

struct Conv2dOptions {
  Size2 strides = 1;
  Padding padding = {};
  Size2 dilation_rate = 1;
  int64_t groups = 1;
  Activation activation = Activation::kNone;
  double negative_slope = 0.01;  // of leaky_relu
  bool bias = false;             // conv2d_backward_weight: also sum dy over n, p, q
};

namespace kernels {

/// All sizes of one convolution: input [N, H, W, C], filters [K, R, S, C / groups], output
/// [N, P, Q, K].
struct Conv2dShape {
  int64_t N, H, W, C, K, R, S, P, Q;
  int64_t stride_h, stride_w, dilation_h, dilation_w;
  int64_t top, bottom, left, right;
  int64_t groups;

  int64_t macs() const { return N * P * Q * K * R * S * (C / groups); }
  bool is_depthwise() const { return groups == C && groups == K; }
};

/// Return the sizes of any of the three operations.
Conv2dShape conv2d_shape(const Problem& problem);

}  // namespace kernels
}  // namespace striate
