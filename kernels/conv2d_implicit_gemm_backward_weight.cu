// The gradients of a convolution's filters and bias as a product of matrices, on CUDA cores.
//
//   dw[k, d] = sum over m of dy[m, k] * x_under(m, d)        db[k] = sum over m of dy[m, k]
//
// m counts the positions (n, p, q), d the taps and channels (r, s, c). Both operands lie with their
// channels side by side, as the tile's rows and columns do, so neither is transposed. The bias is
// one more column, of ones. There are few filters and many positions: the positions are cut into
// slices, summed by blocks of their own into the workspace, and the last block of a tile or a
// second pass adds the slices in their order.
#include <striate/kernels/conv2d_sizes.h>

#include <striate/kernels/conv2d_gather_host.cuh>
#include <striate/kernels/gemm_launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

template <class T>
struct BackwardWeight {
  const T *x, *dy;
  Destination<T> to;
  T* db;  // null: not wanted
  Gather gather;
  Digits digits;  // of the positions
  Walk walk;
  Positions window;
  int3 taps;  // tap rows, tap columns, channels of a group
  int64_t positions;
  int64_t pitch;  // from one filter to the next, in the output or the workspace
  int filters, column_tiles, row_tiles, stored_columns, group_filters;
  int slice_depth;
};

template <class T, class Tile, bool vectors>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    conv2d_implicit_gemm_backward_weight_kernel(const __grid_constant__ BackwardWeight<T> p) {
  __shared__ __align__(16) float shared[Tile::kSharedFloats];
  __shared__ int64_t offsets[Tile::kRows];
  const int tile = static_cast<int>(blockIdx.x) / p.column_tiles;
  const int column = static_cast<int>(blockIdx.x) % p.column_tiles * Tile::kColumns;
  const int group = tile / p.row_tiles, first = tile % p.row_tiles * Tile::kRows;
  const int filter = group * p.group_filters + first;  // the tile's first
  const int filters = p.group_filters - first;
  // A loop of one turn, not `place_rows`: with that the largest tile has 56 bytes of spills.
  for (int row = threadIdx.x; row < Tile::kRows; row += Tile::kThreads)
    offsets[row] = row < filters ? (filter + row) * p.pitch + column : -1;

  const int64_t begin = int64_t{blockIdx.y} * p.slice_depth;
  const int depth = static_cast<int>(min(int64_t{p.slice_depth}, p.positions - begin));
  PlainColumns<T, Tile, Tile::kRows, vectors> left(p.dy + begin * p.filters + filter, p.filters,
                                                   filters, depth);
  GatherColumns<T, Tile, vectors> right(p.gather, p.walk, p.digits, p.window,
                                        p.x + group * p.taps.z, p.taps, column, begin, depth);
  const Sums<Tile> sums =
      multiply<Tile>(left, right, (depth + Tile::kDepth - 1) / Tile::kDepth, shared);
  store<vectors>(sums, p.to.of_sums(), static_cast<const T*>(nullptr), static_cast<int>(blockIdx.y),
                 offsets, p.stored_columns - column, shared);
  constexpr int kWidth = vectors ? 4 : 1;
  const int taps = p.taps.x * p.taps.y * p.taps.z, ones = taps - column;
  const bool adds = add_slices<vectors, Tile>(
      p.to, static_cast<int>(blockIdx.x), offsets, p.stored_columns - column,
      [&](int row, int at, const Elements<float, kWidth>& whole) {
        if (at == ones) {
          shared[row] = whole.at[0];
          return;
        }
        Elements<T, kWidth> dw;
        for (int e = 0; e < kWidth; ++e) dw.at[e] = from_float<T>(whole.at[e]);
        T* to = p.to.y + (int64_t{filter} + row) * taps + column + at;
        *reinterpret_cast<Elements<T, kWidth>*>(to) = dw;
      });
  if (!p.db || ones < 0 || ones >= Tile::kColumns || (p.to.slices && !adds)) return;
  if (!p.to.slices) {
    __syncthreads();
#pragma unroll
    for (int j = 0; j < Tile::kThreadColumns; j += kWidth) {
      if (Tile::column() + j / 4 * 32 + j % 4 != ones) continue;
#pragma unroll
      for (int i = 0; i < Tile::kThreadRows; ++i)
        shared[Tile::row() + i / 4 * 16 + i % 4] = sums.at[i][j];
    }
  }
  __syncthreads();  // the column of ones is in shared memory: rows side by side are stored at once
  static_assert(Tile::kThreads * kWidth >= Tile::kRows);
  const int row = static_cast<int>(threadIdx.x) * kWidth;
  if (row >= min(filters, Tile::kRows)) return;
  Elements<T, kWidth> db;
  for (int e = 0; e < kWidth; ++e) db.at[e] = from_float<T>(shared[row + e]);
  *reinterpret_cast<Elements<T, kWidth>*>(p.db + filter + row) = db;
}

/// Elements of a filter's row in a slice: those of the filter and whole sectors with the bias.
int64_t pitch_of(const Conv2dShape& s, bool has_bias) {
  return s.R * s.S * (s.C / s.groups) + (has_bias ? 8 : 0);
}

template <class T>
void run(const Conv2dShape& s, bool has_bias, const GemmPlans& plans, const Arguments& a) {
  BackwardWeight<T> p = {};
  p.x = static_cast<const T*>(a.inputs[0]), p.dy = static_cast<const T*>(a.inputs[1]);
  p.to.y = static_cast<T*>(a.outputs[0]);
  p.db = has_bias ? static_cast<T*>(a.outputs[1]) : nullptr;
  const bool vectors = plans.may_use_vectors && all_aligned(p.x, p.dy, p.to.y, p.db);
  const GemmPlan& plan = vectors ? plans.vectors : plans.scalars;
  const int64_t columns = s.R * s.S * (s.C / s.groups);
  p.gather = gather_of(s), p.window = positions_of(s);
  p.taps = {static_cast<int>(s.R), static_cast<int>(s.S), static_cast<int>(s.C / s.groups)};
  p.positions = s.N * s.P * s.Q, p.filters = static_cast<int>(s.K);
  p.group_filters = static_cast<int>(s.K / s.groups);
  p.column_tiles = static_cast<int>(plan.column_tiles);
  p.row_tiles = static_cast<int>(plan.row_tiles);
  p.slice_depth = static_cast<int>(plan.slice_depth);
  const bool sliced = plan.workspace > 0;
  p.pitch = sliced ? pitch_of(s, has_bias) : columns;
  p.stored_columns = static_cast<int>(columns + (sliced && has_bias ? (vectors ? 4 : 1) : 0));
  set_slices(p.to, plan, s.K * p.pitch, a.workspace);
  with_tile<T, 16>(plan.tile, vectors, [&](auto tile, auto by_fours) {
    using Tile = decltype(tile);
    using Right = ColumnStage<T, Tile, Tile::kColumns, decltype(by_fours)::value>;
    p.digits = {Right::kStep, static_cast<int>(s.P), static_cast<int>(s.Q)};
    p.walk = Walk(p.gather, p.digits);
    launch("conv2d_backward_weight implicit_gemm",
           conv2d_implicit_gemm_backward_weight_kernel<T, Tile, decltype(by_fours)::value>,
           grid_of<Tile>(plan), a.stream, p);
  });
  if (plan.has_second_pass())
    sum_weight_slices<T>("conv2d_backward_weight implicit_gemm, sum of slices",
                         {p.to.slices, plan.slices, s.K, columns, p.pitch, p.to.y, p.db}, a.stream);
}

Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  check_sizes(s);
  const bool has_bias = problem.get<Conv2dOptions>().bias;
  const int64_t columns = s.R * s.S * (s.C / s.groups) + (has_bias ? 4 : 0);
  GemmSize size;
  size.rows = s.K / s.groups, size.columns = columns, size.depth = s.N * s.P * s.Q;
  size.batch = s.groups, size.outputs = s.K * pitch_of(s, has_bias);
  const DType dtype = problem.inputs[0].dtype;
  const bool fours = s.C / s.groups % 4 == 0 && s.K / s.groups % 4 == 0;
  const GemmPlans plans(size, dtype, fours, {.vector_depth = 16});
  Prepared made = prepared(
      [=](const Arguments& a) {
        with_type(dtype, [&](auto zero) { run<decltype(zero)>(s, has_bias, plans, a); });
      },
      plans.workspace());
  made.detail = plans.detail();
  return made;
}

const bool added = [] {
  add_cuda_entry("conv2d_backward_weight", "implicit_gemm", prepare, {}, 0.4);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
