#include <striate/kernels/clones.h>
#include <striate/kernels/float_functions.h>
#include <striate/kernels/lanes.h>
#include <striate/kernels/softmax_rows.h>

namespace striate::kernels {

// Three passes, so that the exponentials of short rows are one long loop.
STRIATE_CLONES void exp_rows(const float* x, float* e, int64_t rows, int64_t C, float* max,
                             float* sum) {
  for (int64_t r = 0; r < rows; ++r) {
    const float m = max_of(x + r * C, C);
    max[r] = m;
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) e[r * C + c] = x[r * C + c] - m;
  }
#pragma omp simd
  for (int64_t i = 0; i < rows * C; ++i) e[i] = exp_of(e[i]);
  for (int64_t r = 0; r < rows; ++r)
    sum[r] = sum_in_lanes<float>(C, [row = e + r * C](int64_t c) { return row[c]; });
}

}  // namespace striate::kernels
