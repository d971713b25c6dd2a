// The matrix product under all convolution kernels of our own.
//
//   C[m][n] (+)= sum over o < outer, i < inner of A[m][o, i] * B[o, i][n]
//
// One block of C, M rows by N vectors of columns, stays in registers while the sum runs. Each step
// loads N vectors of B and M numbers of A, each of which is spread over a vector and multiplied
// with all N: M + N loads for M * N multiply-adds. Where A's rows lie is what distinguishes
// the callers: a constant number of floats apart, or anywhere, with their offsets in `rows`; so
// may C's.
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
  const int64_t* rows = nullptr;    // offsets of A's rows where they lie anywhere
  const int64_t* c_rows = nullptr;  // of pixels: offsets of C's rows
  const int64_t* steps = nullptr;   // of windows: offsets of a row's numbers, `inner` of them
  const float* start = nullptr;     // of windows and pixels: [columns], what sums begin with
  bool relu = false;                // of windows and pixels: negative sums become zero
};

template <class V>
struct Gemm {
  using Reg = typename V::Reg;
  static constexpr int kLanes = V::kLanes;
  static constexpr int kRows = V::kRegisters == 32 ? 12 : 6;  // with up to 2 columns
  static constexpr int kColumns = 2;
  static constexpr int kWideRows = V::kRegisters == 32 ? 8 : 4;  // with up to 3 columns
  static constexpr int kWideColumns = 3;
  // kRow, the floats between A's rows, or one of these.
  static constexpr int kAnywhere = 0, kWindows = -1, kPixels = -2;

  /// Make `blocks` blocks of M rows, one below the other. Inner steps come `kSteps` at a time.
  template <int M, int N, int kRow, int kSteps>
  static void block(const Product& g, int64_t blocks) {
    constexpr bool kHasStart = kRow == kWindows || kRow == kPixels;
    for (int64_t block = 0; block < blocks; ++block) {
      const float* const first = g.a + (kRow > 0 ? block * M * kRow : 0);
      const float* row[M];
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m) row[m] = kRow > 0 ? first : first + g.rows[block * M + m];
      const auto c = [&](int m) {
        const int64_t r = block * M + m;
        return g.c + (kRow == kPixels ? g.c_rows[r] : r * g.c_row);
      };
      Reg sum[M][N];
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) {
        const Reg start = kRow == kWindows ? V::load(g.start + n * kLanes) : V::zero();
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m)
          sum[m][n] = g.accumulate && kRow != kPixels ? V::load(c(m) + n * g.c_column) : start;
      }
      // One step: a vector of each column times a number of each row, `at` floats on.
      const auto step = [&](const float* a, int64_t at, const float* b) {
        Reg right[N];
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n) {
          right[n] = V::load(b + n * g.b_column);
          V::pin(right[n]);
        }
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) {
          Reg left = V::broadcast(kRow > 0 ? a[m * kRow] : row[m][at]);
          if (N > 1) V::pin(left);
#pragma GCC unroll 4
          for (int n = 0; n < N; ++n) sum[m][n] = V::multiply_add(left, right[n], sum[m][n]);
        }
      };
      if constexpr (kRow == kWindows) {
        const float* b = g.b;
        for (int64_t i = 0; i < g.inner; ++i, b += kLanes) step(nullptr, g.steps[i], b);
      } else {
        for (int64_t o = 0; o < g.outer; ++o) {
          const float* a = first + o * g.a_outer;
          const float* b = g.b + o * g.b_outer;
          int64_t at = o * g.a_outer;
          for (int64_t i = 0; i < g.inner; i += kSteps) {
#pragma GCC unroll 4
            for (int j = 0; j < kSteps; ++j) {
              step(a, at, b);
              a += g.a_inner;
              at += g.a_inner;
              b += kLanes;
            }
          }
        }
      }
      if constexpr (kRow == kPixels) {
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n)
#pragma GCC unroll 16
          for (int m = 0; m < M; ++m)
            sum[m][n] = V::add(
                sum[m][n], V::load(g.accumulate ? c(m) + n * g.c_column : g.start + n * kLanes));
      }
      if (kHasStart && g.relu) {
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
          for (int n = 0; n < N; ++n) sum[m][n] = V::if_negative(sum[m][n], V::zero());
      }
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n) V::store(c(m) + n * g.c_column, sum[m][n]);
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
    if constexpr (kMaxColumns > 1) return pick<2, kRow, kSteps>(rows, counts);
    return nullptr;
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
      if (kRow == kWindows || kRow == kPixels) part.start += n0 * kLanes;
      pick<kRow, kSteps, kMaxRows, kMaxColumns>(height, n1 - n0)(part, tall);
      if (tall == row_blocks) continue;
      if (kRow > 0)
        part.a += tall * height * kRow;
      else
        part.rows += tall * height;
      if (kRow == kPixels)
        part.c_rows += tall * height;
      else
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
  /// A's rows lie at `product.rows`, summed over pixels.
  static void rows_anywhere(const Product& product, int64_t rows, int64_t columns) {
    run<kAnywhere, 1, kRows, kColumns>(product, rows, columns);
  }
  /// A's rows lie at `product.rows` and C's at `product.c_rows`: pixels of several images, summed
  /// over channels and added to C or `product.start`.
  static void pixels(const Product& product, int64_t rows, int64_t columns) {
    run<kPixels, 4, kRows, kColumns>(product, rows, columns);
  }
  /// A's rows are windows at `product.rows` with their numbers at `product.steps`; sums begin with
  /// `product.start`.
  static void windows(const Product& product, int64_t rows, int64_t columns) {
    if (columns == 1)
      run<kWindows, 1, 12, 1>(product, rows, columns);  // 6 sums would wait for one another
    else
      run<kWindows, 1, kRows, kColumns>(product, rows, columns);
  }
};

}  // namespace striate::kernels::simd
