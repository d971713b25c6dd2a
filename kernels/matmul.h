// Products of matrices, for dense layers and their gradients.
//
//   y[m,n] = act(bias[n] + sum over k of A[m,k] * B[k,n])     A = a or a^T, B = b or b^T
//
// Operations and their values (optional ones in brackets):
//   matmul  a, b, [bias[N]] -> y[M,N], [sums[N]]
// `sums`, where MatmulOptions::column_sums asks for them, are those of B's columns: with B = dy the
// gradient of a dense layer's bias.
// All row-major, so that a dense layer's weights [in, out] serve its three passes as they lie:
// y = x w, dx = dy w^T, dw = x^T dy.
#pragma once

#include <striate/kernels/activation.h>
#include <striate/kernels/impl.h>

namespace striate {

struct MatmulOptions {
  bool transpose_a = false;
  bool transpose_b = false;
  Activation activation = Activation::kNone;
  double negative_slope = 0.01;  // of leaky_relu
  bool column_sums = false;
};

namespace kernels {

/// All sizes of one product: y is [M, N], K products are summed.
struct MatmulShape {
  int64_t M, N, K;
};

/// Return the sizes of a matmul problem.
MatmulShape matmul_shape(const Problem& problem);

}  // namespace kernels
}  // namespace striate
