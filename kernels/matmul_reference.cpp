// Products of matrices in plain loops, summed in double.
#include <striate/core/parallel.h>
#include <striate/kernels/activation_value.h>
#include <striate/kernels/matmul.h>
#include <striate/kernels/reference_types.h>

#include <algorithm>

namespace striate::kernels {
namespace {

constexpr int64_t kTile = 64;  // sums kept at a time

template <class T>
void run(const Problem& problem, const Arguments& arguments) {
  const MatmulShape d = matmul_shape(problem);
  const auto& options = problem.get<MatmulOptions>();
  const auto* a = static_cast<const T*>(arguments.inputs[0]);
  const auto* b = static_cast<const T*>(arguments.inputs[1]);
  const auto* bias = problem.has_input(2) ? static_cast<const T*>(arguments.inputs[2]) : nullptr;
  auto* y = static_cast<T*>(arguments.outputs[0]);
  const int64_t a_m = options.transpose_a ? 1 : d.K, a_k = options.transpose_a ? d.M : 1;
  const int64_t b_k = options.transpose_b ? 1 : d.N, b_n = options.transpose_b ? d.K : 1;

  parallel_for(d.M, [&](int64_t m) {
    for (int64_t n0 = 0; n0 < d.N; n0 += kTile) {
      const int64_t tile = std::min(kTile, d.N - n0);
      double sum[kTile] = {};
      for (int64_t k = 0; k < d.K; ++k) {
        const auto value = static_cast<double>(a[m * a_m + k * a_k]);
        const T* row = b + k * b_k + n0 * b_n;
        for (int64_t n = 0; n < tile; ++n) sum[n] += value * static_cast<double>(row[n * b_n]);
      }
      for (int64_t n = 0; n < tile; ++n) {
        if (bias) sum[n] += static_cast<double>(bias[n0 + n]);
        y[m * d.N + n0 + n] =
            static_cast<T>(activate(options.activation, sum[n], options.negative_slope));
      }
    }
  });
}

template <class T>
void sum_columns(const Problem& problem, const Arguments& arguments) {
  const MatmulShape d = matmul_shape(problem);
  const bool transposed = problem.get<MatmulOptions>().transpose_b;
  const auto* b = static_cast<const T*>(arguments.inputs[1]);
  auto* sums = static_cast<T*>(arguments.outputs[1]);
  for (int64_t n = 0; n < d.N; ++n) {
    double sum = 0;
    for (int64_t k = 0; k < d.K; ++k)
      sum += static_cast<double>(b[transposed ? n * d.K + k : k * d.N + n]);
    sums[n] = static_cast<T>(sum);
  }
}

void run_any(const Problem& problem, const Arguments& a) {
  const bool is_double = problem.outputs[0].dtype == DType::kF64;
  (is_double ? run<double> : run<float>)(problem, a);
  if (problem.get<MatmulOptions>().column_sums)
    (is_double ? sum_columns<double> : sum_columns<float>)(problem, a);
}

const Register matmul(for_wide_floats(reference_entry("matmul", run_any)));

}  // namespace
}  // namespace striate::kernels
