// One step of an optimizer on a dense layer's weights, where their gradient is made: it is never
// written to memory as a whole.
//
//   g[m,n] = sum over k of x[k,m] * dy[k,n]         the product x^T dy, x [K,M], dy [K,N]
//   dense_sgd   step_block, x, dy, w[M,N], [v]  -> w, [v]
//   dense_adam  step_block, x, dy, w[M,N], m, v -> w, m, v
//
// The steps and the options are those of sgd and adam with one weight, see optimizer.h. Outputs lie
// in the memory of their inputs. Of M * N weights a step reads and writes the weights and their
// state; as two operations it would also write and read the gradient.
#pragma once

#include <striate/core/step.h>
#include <striate/kernels/optimizer.h>
#include <striate/kernels/optimizer_functions.h>

namespace striate::kernels {

/// The sizes of one step.
struct DenseUpdateShape {
  int64_t M, N, K;
};

/// Return the sizes of a dense_sgd or dense_adam problem.
DenseUpdateShape dense_update_shape(const Problem& problem);

/// Return the numbers of a step of sgd or adam; `scale` multiplies the gradients.
SgdStep sgd_step_of(const SgdOptions& options, const StepBlock& block, float scale);
AdamStep adam_step_of(const AdamOptions& options, const StepBlock& block, float scale);

}  // namespace striate::kernels
