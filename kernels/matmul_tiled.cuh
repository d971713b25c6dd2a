// Products of matrices by tiles on CUDA cores, for one element type.
//
//   y[m,n] = act(bias[n] + sum over k of A[m,k] * B[k,n])     A = a or a^T, B = b or b^T
//
// The main loop and the choice of tiles and slices are those of the convolutions (gemm_tile.cuh),
// with operands that lie as they are: along the depth (a, b^T) or across it (a^T, b). The sums of
// B's columns, which a^T b may ask for, are the products with one more row of A, of ones.
#pragma once

#include <striate/kernels/matmul.h>

#include <striate/kernels/gemm_launch.cuh>

namespace striate::kernels {

template <class T>
struct Product {
  const T *a, *b;
  cuda::Destination<T> to;
  T* sums;       // of B's columns; null: not wanted
  int64_t M, N;  // without that row
  int K, slice_depth, column_tiles;
};

/// A block's place in a product. `counter` tells the tiles of all products of a launch apart.
struct ProductPlace {
  int tile, slice, counter;
};

/// Make one tile of one slice of a product; all threads of a block call it. `to`: p.to, less what
/// the kernel's products never end in.
template <class T, class Tile, bool vectors, bool transpose_a, bool transpose_b>
__device__ void make_tile(const Product<T>& p, const cuda::Destination<T>& to,
                          const ProductPlace& place, float* shared, int64_t* offsets) {
  using namespace striate::cuda;
  constexpr bool may_sum = transpose_a && !transpose_b;
  const int64_t row = int64_t{place.tile / p.column_tiles} * Tile::kRows;
  const int64_t column = int64_t{place.tile % p.column_tiles} * Tile::kColumns;
  place_rows<Tile>(offsets, [&](int i) {
    return row + i < p.M + (may_sum && p.sums && to.slices) ? (row + i) * p.N + column : -1;
  });
  const int begin = place.slice * p.slice_depth;
  const int depth = min(p.slice_depth, p.K - begin);
  const auto left = [&] {
    if constexpr (may_sum)
      return PlainColumnsAndOnes<T, Tile, Tile::kRows, vectors>(
          p.a + begin * p.M + row, p.M, p.M - row, depth, p.sums ? p.M - row : -1);
    else if constexpr (transpose_a)
      return PlainColumns<T, Tile, Tile::kRows, vectors>(p.a + begin * p.M + row, p.M, p.M - row,
                                                         depth);
    else
      return PlainRows<T, Tile, Tile::kRows, vectors>(p.a + row * p.K + begin, p.K, p.M - row,
                                                      depth);
  };
  const auto right = [&] {
    if constexpr (transpose_b)
      return PlainRows<T, Tile, Tile::kColumns, vectors>(p.b + column * p.K + begin, p.K,
                                                         p.N - column, depth);
    else
      return PlainColumns<T, Tile, Tile::kColumns, vectors>(p.b + begin * p.N + column, p.N,
                                                            p.N - column, depth);
  };
  auto a = left();
  auto b = right();
  const Sums<Tile> sums = multiply<Tile>(a, b, (depth + Tile::kDepth - 1) / Tile::kDepth, shared);
  const int columns = static_cast<int>(min(p.N - column, int64_t{Tile::kColumns}));
  const T* bias = to.bias ? to.bias + column : nullptr;
  store<vectors>(sums, to, bias, place.slice, offsets, columns, shared);
  finish_tile<vectors, Tile, may_sum>(to, bias, place.counter, offsets, columns);
  if constexpr (may_sum) {
    if (!p.sums || to.slices) return;
    constexpr int kWidth = vectors ? 4 : 1;  // of M, too: the row of ones comes first of four
#pragma unroll
    for (int i = 0; i < Tile::kThreadRows; i += kWidth) {
      if (row + Tile::row() + i / 4 * 16 + i % 4 != p.M) continue;
#pragma unroll
      for (int j = 0; j < Tile::kThreadColumns; j += kWidth) {
        const int at = Tile::column() + j / 4 * 32 + j % 4;
        if (at >= columns) continue;
        Elements<T, kWidth> sum;
#pragma unroll
        for (int e = 0; e < kWidth; ++e) sum.at[e] = from_float<T>(sums.at[i][j + e]);
        *reinterpret_cast<Elements<T, kWidth>*>(p.sums + column + at) = sum;
      }
    }
  }
}

/// Blocks of two warps need many beside them: by fours, ten fit a multiprocessor's registers.
template <class Tile, bool vectors>
constexpr int kLeastBlocks = vectors&& Tile::kThreads == 64 ? 10 : 2;

template <class T, class Tile, bool vectors, bool transpose_a, bool transpose_b>
__global__ void __launch_bounds__(Tile::kThreads, kLeastBlocks<Tile, vectors>)
    matmul_tiled_kernel(const __grid_constant__ Product<T> p) {
  __shared__ __align__(16) float shared[Tile::kSharedFloats];
  __shared__ int64_t offsets[Tile::kRows];
  const int tile = static_cast<int>(blockIdx.x);
  make_tile<T, Tile, vectors, transpose_a, transpose_b>(
      p, p.to.without_residual(), {tile, static_cast<int>(blockIdx.y), tile}, shared, offsets);
}

/// What a product does beside multiplying.
struct ProductRules {
  MatmulOptions options;
  Gate gate;
};

/// Run a prepared product: `matmul_tiled*.cu` has one for each element type.
template <class T>
void run_matmul_tiled(const MatmulShape& shape, const ProductRules& rules,
                      const cuda::GemmPlans& plans, const Arguments& arguments);

template <class T, bool transpose_a, bool transpose_b>
void launch_matmul_tiled(const GemmPlan& plan, bool vectors, const Product<T>& p, void* stream) {
  using namespace striate::cuda;
  const auto run = [&](auto tile, auto by_fours) {
    using Tile = decltype(tile);
    launch("matmul tiled",
           matmul_tiled_kernel<T, Tile, decltype(by_fours)::value, transpose_a, transpose_b>,
           grid_of<Tile>(plan), stream, p);
  };
  using Small = Tile<64, 32, 8, 4, 8>;
  // Dense layers never transpose both, and rows that no four elements divide are short.
  if constexpr (transpose_a && transpose_b) {
    run(Small(), std::false_type());
  } else if (!vectors) {
    run(Small(), std::false_type());
  } else if constexpr (std::is_same_v<T, float>) {
    with_vector_tile<8>(plan.tile, run);
  } else {
    run(Tile<128, 64, 8, 4, 8>(), std::true_type());
  }
}

/// Set a product's sizes and what its plan says; the pointers are set.
template <class T>
void set_plan(Product<T>& p, const MatmulShape& shape, const GemmPlan& plan, void* workspace) {
  p.M = shape.M, p.N = shape.N, p.K = static_cast<int>(shape.K);
  p.slice_depth = static_cast<int>(plan.slice_depth);
  p.column_tiles = static_cast<int>(plan.column_tiles);
  p.to.tail = p.sums, p.to.tail_begin = shape.M * shape.N;
  cuda::set_slices(p.to, plan, (shape.M + (p.sums ? 1 : 0)) * shape.N, workspace);
}

template <class T>
void run_matmul_tiled(const MatmulShape& shape, const ProductRules& rules,
                      const cuda::GemmPlans& plans, const Arguments& arguments) {
  using namespace striate::cuda;
  const MatmulOptions& options = rules.options;
  Product<T> p = {};
  p.a = static_cast<const T*>(arguments.inputs[0]);
  p.b = static_cast<const T*>(arguments.inputs[1]);
  p.to.y = static_cast<T*>(arguments.outputs[0]);
  p.to.bias = static_cast<const T*>(arguments.inputs[2]);
  p.to.activation = {options.activation, options.negative_slope};
  if (rules.gate) p.to.gated = static_cast<const T*>(arguments.inputs[rules.gate.input]);
  p.to.gate = StraightGate(rules.gate);
  if (options.column_sums) p.sums = static_cast<T*>(arguments.outputs[1]);
  const bool vectors =
      plans.may_use_vectors && all_aligned(p.a, p.b, p.to.y, p.to.bias, p.to.gated, p.sums);
  const GemmPlan& plan = vectors ? plans.vectors : plans.scalars;
  set_plan(p, shape, plan, arguments.workspace);
  void* stream = arguments.stream;
  if (options.transpose_a && options.transpose_b)
    launch_matmul_tiled<T, true, true>(plan, vectors, p, stream);
  else if (options.transpose_a)
    launch_matmul_tiled<T, true, false>(plan, vectors, p, stream);
  else if (options.transpose_b)
    launch_matmul_tiled<T, false, true>(plan, vectors, p, stream);
  else
    launch_matmul_tiled<T, false, false>(plan, vectors, p, stream);
  if (plan.has_second_pass())
    sum_slices("matmul tiled, sum of slices", p.to,
               {plan.slices, shape.N, options.activation, options.negative_slope, rules.gate},
               stream);
}

}  // namespace striate::kernels
