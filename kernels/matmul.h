// Products of matrices: the dense layer and its gradients.
//
//   matmul  a, b, [bias[N]] -> y = act(op(a) op(b) + bias)      y: [M, N]
// op(a) is [M, K]: a itself, or with transpose_a the transpose of a [K, M]; op(b) [K, N] likewise.
#pragma once

#include <striate/kernels/activation.h>
#include <striate/kernels/impl.h>

namespace striate {

struct MatmulOptions {
  bool transpose_a = false;
  bool transpose_b = false;
  Activation activation = Activation::kNone;
  double negative_slope = 0.01;  // of leaky_relu
};

}  // namespace striate
