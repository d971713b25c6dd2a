// The gradients of a dense layer y = x w + b, all from dy.
//
//   dx[m,i] = sum over o of dy[m,o] * w[i,o]      [times an activation's derivative]
//   dw[i,o] = sum over m of x[m,i] * dy[m,o]      db[o] = sum over m of dy[m,o]
//
//   dense_backward  dy[M, out], x[M, in], w[in, out] -> dx, dw, [db]
// The graph makes it of the two products where a kernel of the device does both at once.
#pragma once

#include <striate/kernels/matmul.h>

namespace striate {

struct DenseBackwardOptions {
  bool bias = false;  // db is wanted
};

namespace kernels {

/// The two products, of which one launch makes the results.
struct DenseBackwardShape {
  MatmulShape dx, dw;
};

DenseBackwardShape dense_backward_shape(const Problem& problem);

}  // namespace kernels
}  // namespace striate
