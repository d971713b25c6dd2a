// The matrix product under all convolution kernels of our own.
//
//   C[m][n] (+)= sum over o < outer, i < inner of A[m][o, i] * B[o, i][n]
//
// One block of C, M rows by N vectors of columns, stays in registers while the sum runs. Each step
// loads N vectors of B and M numbers of A, each of which is spread over a vector and multiplied with
// all N: M + N loads for M * N multiply-adds. Where A's rows lie is what distinguishes the callers:
// `kRow` floats apart, or anywhere (kRow = 0, offsets in `rows`).
//
// A sum is never divided among threads and always runs in the same order, so results do not depend
// on the sizes of blocks. The scheme is that of Goto and van de Geijn, "Anatomy of
// high-performance matrix multiplication" (2008), without packing: layouts here are packed already.
#pragma once

#include <striate/kernels/simd/vector.h>

#include <utility>

namespace striate::kernels::simd {

/// Pointers and strides, in floats, of one product.
struct Product {
  const float* a = nullptr;
  int64_t a_inner = 1, a_outer = 0;
  const float* b = nullptr;  // the vectors of one inner step follow those of the step before
  int64_t b_outer = 0, b_column = 0;
  float* c = nullptr;
  int64_t c_row = 0, c_column = 0;
  int64_t inner = 0, outer = 1;
  bool accumulate = false;
  const int64_t* rows = nullptr;  // offsets of A's rows when kRow is 0
};

template <class V>
struct Gemm {
  using Reg = typename V::Reg;
  static constexpr int kLanes = V::kLanes;
  static constexpr int kRows = V::kRegisters == 32 ? 12 : 6;   // with up to 2 columns
  static constexpr int kColumns = 2;
  static constexpr int kWideRows = V::kRegisters == 32 ? 8 : 4;  // with up to 3 columns
  static constexpr int kWideColumns = 3;

  /// Make `blocks` blocks of M rows, one below the other. Inner steps come `kSteps` at a time.
  template <int M, int N, int kRow, int kSteps>
  static void block(const Product& g, int64_t blocks) {
    const int64_t step = g.a_inner, column = g.b_column;
    for (int64_t block = 0; block < blocks; ++block) {
      float* const c = g.c + block * M * g.c_row;
      const float* const first = g.a + (kRow == 0 ? 0 : block * M * kRow);
      Reg sum[M][N];
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n)
          sum[m][n] = g.accumulate ? V::load(c + m * g.c_row + n * g.c_column) : V::zero();
      const float* row[M];
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m) row[m] = kRow == 0 ? first + g.rows[block * M + m] : first;
      for (int64_t o = 0; o < g.outer; ++o) {
        const float* a = first + o * g.a_outer;
        const float* b = g.b + o * g.b_outer;
        int64_t at = o * g.a_outer;
        for (int64_t i = 0; i < g.inner; i += kSteps) {
#pragma GCC unroll 4
          for (int j = 0; j < kSteps; ++j) {
            Reg right[N];
#pragma GCC unroll 4
            for (int n = 0; n < N; ++n) {
              right[n] = V::load(b + n * column);
              V::pin(right[n]);
            }
#pragma GCC unroll 16
            for (int m = 0; m < M; ++m) {
              Reg left = V::broadcast(kRow == 0 ? row[m][at] : a[m * kRow]);
              if (N > 1) V::pin(left);
#pragma GCC unroll 4
              for (int n = 0; n < N; ++n) sum[m][n] = V::multiply_add(left, right[n], sum[m][n]);
            }
            a += step;
            at += step;
            b += kLanes;
          }
        }
      }
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n) V::store(c + m * g.c_row + n * g.c_column, sum[m][n]);
    }
  }

  using Block = void (*)(const Product&, int64_t);

  template <int N, int kRow, int kSteps, int... M>
  static Block pick(int64_t rows, std::integer_sequence<int, M...>) {
    static constexpr Block kBlocks[] = {block<M + 1, N, kRow, kSteps>...};
    return kBlocks[rows - 1];
  }
  /// Return the code for blocks of at most kMaxRows rows and kMaxColumns vectors of columns.
  template <int kRow, int kSteps, int kMaxRows, int kMaxColumns>
  static Block pick(int64_t rows, int64_t columns) {
    constexpr std::make_integer_sequence<int, kMaxRows> counts{};
    if (columns == 1) return pick<1, kRow, kSteps>(rows, counts);
    if constexpr (kMaxColumns > 2)
      if (columns == 3) return pick<3, kRow, kSteps>(rows, counts);
    return pick<2, kRow, kSteps>(rows, counts);
  }

  /// Make the `rows` x `columns` (in vectors) product in even blocks.
  template <int kRow, int kSteps, int kMaxRows, int kMaxColumns>
  static void run(const Product& whole, int64_t rows, int64_t columns) {
    const int64_t row_blocks = (rows + kMaxRows - 1) / kMaxRows;
    const int64_t column_blocks = (columns + kMaxColumns - 1) / kMaxColumns;
    // `tall` blocks of `height` rows, then blocks of one row less.
    const int64_t height = (rows + row_blocks - 1) / row_blocks;
    const int64_t tall = rows - (height - 1) * row_blocks;
    for (int64_t j = 0; j < column_blocks; ++j) {
      const int64_t n0 = columns * j / column_blocks, n1 = columns * (j + 1) / column_blocks;
      Product part = whole;
      part.b += n0 * whole.b_column;
      part.c += n0 * whole.c_column;
      pick<kRow, kSteps, kMaxRows, kMaxColumns>(height, n1 - n0)(part, tall);
      if (tall == row_blocks) continue;
      if (kRow == 0)
        part.rows += tall * height;
      else
        part.a += tall * height * kRow;
      part.c += tall * height * whole.c_row;
      pick<kRow, kSteps, kMaxRows, kMaxColumns>(height - 1, n1 - n0)(part, row_blocks - tall);
    }
  }

  /// A's rows lie one vector apart: pixels or tiles of channel blocks, summed over channels.
  static void rows_apart(const Product& product, int64_t rows, int64_t columns) {
    run<kLanes, 4, kRows, kColumns>(product, rows, columns);
  }
  /// A's rows are neighbours: channels of one block, summed over pixels or tiles.
  static void rows_adjacent(const Product& product, int64_t rows, int64_t columns) {
    run<1, 1, kWideRows, kWideColumns>(product, rows, columns);
  }
  /// A's rows lie at `product.rows`.
  static void rows_anywhere(const Product& product, int64_t rows, int64_t columns) {
    run<0, 1, kRows, kColumns>(product, rows, columns);
  }
};

}  // namespace striate::kernels::simd
