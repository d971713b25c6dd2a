// Softmax over the last axis, its logarithm and their gradients, on CUDA devices.
//
//   y = exp(x - m) / sum(exp(x - m))      dx = y (dy - sum(dy y))
//
// A warp takes a row of up to 1024 elements, a block a longer one. It reads the row three times,
// for maximum, sum and result; the second and third reading come from the cache.
#include <striate/kernels/float_functions.h>
#include <striate/kernels/softmax.h>

#include <algorithm>
#include <striate/kernels/block_sum.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

constexpr int kThreads = 256, kWarp = 32;
constexpr int64_t kLongRow = 1024;

template <class T, bool logarithm, int kPerRow>
__global__ void softmax_kernel(const T* x, T* y, int64_t rows, int64_t C) {
  __shared__ float space[kThreads / kWarp];
  const int64_t row = thread_number() / kPerRow;
  if (row >= rows) return;  // whole warps, or no thread of the block
  x += row * C;
  y += row * C;
  const int first = static_cast<int>(threadIdx.x) % kPerRow;
  float largest = -INFINITY, sum = 0;
  for (int64_t c = first; c < C; c += kPerRow) largest = fmaxf(largest, to_float(x[c]));
  largest = over_row<kPerRow>(largest, -INFINITY, space, LargerNumber());
  for (int64_t c = first; c < C; c += kPerRow) sum += exp_of(to_float(x[c]) - largest);
  sum = over_row<kPerRow>(sum, 0, space, Add());
  const float log_sum = logarithm ? logf(sum) : 0;
  for (int64_t c = first; c < C; c += kPerRow) {
    const float shifted = to_float(x[c]) - largest;
    y[c] = from_float<T>(logarithm ? shifted - log_sum : exp_of(shifted) / sum);
  }
}

template <class T, bool logarithm, int kPerRow>
__global__ void softmax_backward_kernel(const T* dy, const T* y, T* dx, int64_t rows, int64_t C) {
  __shared__ float space[kThreads / kWarp];
  const int64_t row = thread_number() / kPerRow;
  if (row >= rows) return;  // whole warps, or no thread of the block
  dy += row * C;
  y += row * C;
  dx += row * C;
  const int first = static_cast<int>(threadIdx.x) % kPerRow;
  float sum = 0;
  for (int64_t c = first; c < C; c += kPerRow)
    sum += to_float(dy[c]) * (logarithm ? 1.0f : to_float(y[c]));
  sum = over_row<kPerRow>(sum, 0, space, Add());
  for (int64_t c = first; c < C; c += kPerRow) {
    const float d = to_float(dy[c]), v = to_float(y[c]);
    dx[c] = from_float<T>(logarithm ? d - exp_of(v) * sum : v * (d - sum));
  }
}

struct Rows {
  int64_t count, C;
  explicit Rows(const Shape& shape)
      : count(shape.elements() / std::max<int64_t>(shape[-1], 1)), C(shape[-1]) {}
  /// Call `run(threads of a row)`.
  template <class Run>
  void with_threads(Run run) const {
    if (C > kLongRow)
      run(std::integral_constant<int, kThreads>());
    else
      run(std::integral_constant<int, kWarp>());
  }
};

template <bool logarithm>
Prepared prepare_forward(const Problem& problem) {
  const Rows rows(problem.outputs[0].shape);
  const DType dtype = problem.inputs[0].dtype;
  return elementwise(problem, [=](const Arguments& a) {
    with_type(dtype, [&](auto zero) {
      using T = decltype(zero);
      rows.with_threads([&](auto threads) {
        launch(logarithm ? "log_softmax" : "softmax", softmax_kernel<T, logarithm, threads>,
               flat_grid(rows.count * threads), a.stream, static_cast<const T*>(a.inputs[0]),
               static_cast<T*>(a.outputs[0]), rows.count, rows.C);
      });
    });
  });
}

template <bool logarithm>
Prepared prepare_backward(const Problem& problem) {
  const Rows rows(problem.outputs[0].shape);
  const DType dtype = problem.inputs[0].dtype;
  return elementwise(problem, [=](const Arguments& a) {
    with_type(dtype, [&](auto zero) {
      using T = decltype(zero);
      rows.with_threads([&](auto threads) {
        launch(logarithm ? "log_softmax_backward" : "softmax_backward",
               softmax_backward_kernel<T, logarithm, threads>, flat_grid(rows.count * threads),
               a.stream, static_cast<const T*>(a.inputs[0]), static_cast<const T*>(a.inputs[1]),
               static_cast<T*>(a.outputs[0]), rows.count, rows.C);
      });
    });
  });
}

const bool added = [] {
  add_cuda_entry("softmax", "direct", prepare_forward<false>);
  add_cuda_entry("log_softmax", "direct", prepare_forward<true>);
  add_cuda_entry("softmax_backward", "direct", prepare_backward<false>);
  add_cuda_entry("log_softmax_backward", "direct", prepare_backward<true>);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
