// The step of dense weights where their gradient is made.
//
//   g[m][n] = sum over k of x[k][m] * dy[k][n], then w[m][n] and its state step by g[m][n]
//
// A tile of the gradient, 2 or 4 rows by 4 vectors of columns, is summed in registers, passes
// through the first level cache and is used up. Products of so few cycles run while the weights of
// tiles around them arrive; with pieces of 8 whole rows first the memory waits, then the
// multipliers. Tiles follow each other along a band of rows, and each asks for its columns in the
// band below, since rows taken a few hundred bytes at a time are hardly read ahead otherwise.
#pragma once

#include <striate/kernels/simd/dense_update_kernels.h>
#include <striate/kernels/simd/vector.h>

#include <algorithm>

namespace striate::kernels::simd {

template <class V>
struct DenseUpdate {
  using Reg = typename V::Reg;
  static constexpr int kLanes = V::kLanes, kVectors = 4, kColumns = kVectors * kLanes;
  static constexpr int kRows = V::kRegisters == 32 ? 4 : 2;
  static constexpr int64_t kLine = 16;  // floats of a cache line

  static void product(const float* x, const float* dy, int64_t inner, float (&g)[kRows][kColumns]) {
    Reg sum[kRows][kVectors];
#pragma GCC unroll 4
    for (int m = 0; m < kRows; ++m)
#pragma GCC unroll 4
      for (int n = 0; n < kVectors; ++n) sum[m][n] = V::zero();
    for (int64_t k = 0; k < inner; ++k, x += kRows, dy += kColumns) {
      Reg right[kVectors];
#pragma GCC unroll 4
      for (int n = 0; n < kVectors; ++n) {
        right[n] = V::load(dy + n * kLanes);
        V::pin(right[n]);
      }
#pragma GCC unroll 4
      for (int m = 0; m < kRows; ++m) {
        Reg left = V::broadcast(x[m]);
        V::pin(left);
#pragma GCC unroll 4
        for (int n = 0; n < kVectors; ++n) sum[m][n] = V::multiply_add(left, right[n], sum[m][n]);
      }
    }
#pragma GCC unroll 4
    for (int m = 0; m < kRows; ++m)
#pragma GCC unroll 4
      for (int n = 0; n < kVectors; ++n) V::store(g[m] + n * kLanes, sum[m][n]);
  }

  /// Call `step(i, gradients, count)` for each row of each tile, i its first element; `kValues`
  /// tensors will be read.
  template <int kValues, class Step>
  static void tiles(const DensePlan& p, int64_t band, int64_t begin, int64_t end, Step step) {
    const int64_t row = band * kRows, rows = std::min<int64_t>(kRows, p.m - row);
    const int64_t below = std::min<int64_t>(kRows, p.m - row - kRows);
    alignas(64) float g[kRows][kColumns];
    for (int64_t column = begin; column < end; column += kColumns) {
      const int64_t columns = std::min<int64_t>(kColumns, end - column);
      for (int64_t m = 0; m < below; ++m)
        for (int64_t n = 0; n < columns; n += kLine)
#pragma GCC unroll 3
          for (int value = 0; value < kValues; ++value)  // into the second level: it has the room
            __builtin_prefetch(p.values[value] + (row + kRows + m) * p.n + column + n, 0, 2);
      product(p.x + row * p.inner, p.dy + column * p.inner, p.inner, g);
      for (int64_t m = 0; m < rows; ++m) step((row + m) * p.n + column, g[m], columns);
    }
  }

  static void sgd(const DensePlan& p, int64_t band, int64_t begin, int64_t end) {
    tiles<1>(p, band, begin, end, [s = p.sgd, &p](int64_t at, const float* g, int64_t count) {
      float* w = p.values[0] + at;
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) sgd_step(w[i], g[i], s);
    });
  }

  static void momentum(const DensePlan& p, int64_t band, int64_t begin, int64_t end) {
    tiles<2>(p, band, begin, end, [s = p.sgd, &p](int64_t at, const float* g, int64_t count) {
      float *w = p.values[0] + at, *v = p.values[1] + at;
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) momentum_step(w[i], g[i], v[i], s);
    });
  }

  static void nesterov(const DensePlan& p, int64_t band, int64_t begin, int64_t end) {
    tiles<2>(p, band, begin, end, [s = p.sgd, &p](int64_t at, const float* g, int64_t count) {
      float *w = p.values[0] + at, *v = p.values[1] + at;
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) nesterov_step(w[i], g[i], v[i], s);
    });
  }

  static void adam(const DensePlan& p, int64_t band, int64_t begin, int64_t end) {
    tiles<3>(p, band, begin, end, [s = p.adam, &p](int64_t at, const float* g, int64_t count) {
      float *w = p.values[0] + at, *m = p.values[1] + at, *v = p.values[2] + at;
#pragma omp simd
      for (int64_t i = 0; i < count; ++i) adam_step(w[i], g[i], m[i], v[i], s);
    });
  }
};

template <class V>
constexpr DenseUpdateKernels make_dense_update_kernels(const char* instruction_set) {
  using D = DenseUpdate<V>;
  return {D::kRows, D::kColumns, instruction_set, D::sgd, D::momentum, D::nesterov, D::adam};
}

}  // namespace striate::kernels::simd
