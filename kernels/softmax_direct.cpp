// Softmax, its logarithm and their gradients on float32: blocks of rows that stay in the cache.
#include <striate/kernels/clones.h>
#include <striate/kernels/elementwise.h>
#include <striate/kernels/float_functions.h>
#include <striate/kernels/lanes.h>
#include <striate/kernels/softmax.h>
#include <striate/kernels/softmax_rows.h>

#include <cmath>

namespace striate::kernels {
namespace {

STRIATE_CLONES void softmax(const float* x, float* y, int64_t rows, int64_t C) {
  float max[kMaxRowBlock], sum[kMaxRowBlock];
  exp_rows(x, y, rows, C, max, sum);
  for (int64_t r = 0; r < rows; ++r) {
    const float scale = 1 / sum[r];
    for (int64_t c = 0; c < C; ++c) y[r * C + c] *= scale;
  }
}

STRIATE_CLONES void log_softmax(const float* x, float* y, int64_t rows, int64_t C) {
  constexpr int64_t kPiece = 512;
  float e[kPiece];
  for (int64_t r = 0; r < rows; ++r, x += C, y += C) {
    const float max = max_of(x, C);
    float sum = 0;
    for (int64_t first = 0; first < C; first += kPiece) {
      const int64_t count = std::min(kPiece, C - first);
#pragma omp simd
      for (int64_t c = 0; c < count; ++c) e[c] = exp_of(x[first + c] - max);
      sum += sum_in_lanes<float>(count, [&e](int64_t c) { return e[c]; });
    }
    const float log_sum = std::log(sum);
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) y[c] = x[c] - max - log_sum;
  }
}

STRIATE_CLONES void softmax_backward(const float* dy, const float* y, float* dx, int64_t rows,
                                     int64_t C) {
  for (int64_t r = 0; r < rows; ++r, dy += C, y += C, dx += C) {
    const float sum = sum_in_lanes<float>(C, [=](int64_t c) { return dy[c] * y[c]; });
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) dx[c] = y[c] * (dy[c] - sum);
  }
}

STRIATE_CLONES void log_softmax_backward(const float* dy, const float* y, float* dx, int64_t rows,
                                         int64_t C) {
  for (int64_t r = 0; r < rows; ++r, dy += C, y += C, dx += C) {
    const float sum = sum_in_lanes<float>(C, [=](int64_t c) { return dy[c]; });
#pragma omp simd
    for (int64_t c = 0; c < C; ++c) dx[c] = dy[c] - exp_of(y[c]) * sum;
  }
}

std::string declines(const Problem& problem) {
  return takes_float32(problem, 0, problem.inputs.size());
}

/// An entry that calls `run(arguments, first element, rows, C)` for blocks of rows.
template <class Run>
Entry by_rows(const char* operation, Run run) {
  return direct_entry(operation, declines, [run](const Problem& problem) {
    const int64_t C = problem.outputs[0].shape[-1];
    const int64_t rows = problem.outputs[0].shape.elements() / std::max<int64_t>(C, 1);
    return prepare_elementwise(problem, Layout(), make_kernel([=](const Arguments& arguments) {
                                 for_row_blocks(rows, C, [&](int64_t first, int64_t count) {
                                   run(arguments, first * C, count, C);
                                 });
                               }));
  });
}

const float* in(const Arguments& arguments, int i, int64_t at) {
  return static_cast<const float*>(arguments.inputs[i]) + at;
}
float* out(const Arguments& arguments, int64_t at) {
  return static_cast<float*>(arguments.outputs[0]) + at;
}

const Register forward(by_rows("softmax",
                               [](const Arguments& a, int64_t at, int64_t rows, int64_t C) {
                                 softmax(in(a, 0, at), out(a, at), rows, C);
                               }));
const Register log_forward(by_rows("log_softmax",
                                   [](const Arguments& a, int64_t at, int64_t rows, int64_t C) {
                                     log_softmax(in(a, 0, at), out(a, at), rows, C);
                                   }));
const Register backward(by_rows("softmax_backward",
                                [](const Arguments& a, int64_t at, int64_t rows, int64_t C) {
                                  softmax_backward(in(a, 0, at), in(a, 1, at), out(a, at), rows, C);
                                }));
const Register log_backward(by_rows("log_softmax_backward", [](const Arguments& a, int64_t at,
                                                               int64_t rows, int64_t C) {
  log_softmax_backward(in(a, 0, at), in(a, 1, at), out(a, at), rows, C);
}));

}  // namespace
}  // namespace striate::kernels
