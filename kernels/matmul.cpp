#include <striate/kernels/matmul.h>

namespace striate::kernels {

MatmulShape matmul_shape(const Problem& problem) {
  const auto& options = problem.get<MatmulOptions>();
  const Shape &a = problem.inputs[0].shape, &y = problem.outputs[0].shape;
  return {y[0], y[1], options.transpose_a ? a[0] : a[1]};
}

namespace {

const RegisterCost cost("matmul", [](const Problem& problem) {
  const MatmulShape s = matmul_shape(problem);
  const auto size = static_cast<double>(size_of(problem.outputs[0].dtype));
  const auto m = static_cast<double>(s.M), n = static_cast<double>(s.N),
             k = static_cast<double>(s.K);
  return Cost{2 * m * n * k, (m * k + k * n + m * n) * size};
});

}  // namespace
}  // namespace striate::kernels
