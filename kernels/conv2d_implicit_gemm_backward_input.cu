// The gradient of a convolution's input as a product of matrices, on CUDA cores.
//
//   dx[m, c] = sum over d of dy_under(m, d) * w[d, c]      [times an activation's derivative]
//
// m counts the pixels of a sub-grid (conv2d_sub_grid.cuh): with strides, pixels of equal residue
// meet the same taps, so nothing is multiplied by zeros between. d counts its taps and the filters
// (r, s, k). All sub-grids and groups are blocks of one launch. Filters need no transposition: for
// each tap and filter, their channels lie side by side as the columns of the tile do.
#include <striate/kernels/conv2d_sizes.h>

#include <numeric>
#include <striate/kernels/conv2d_sub_grid.cuh>
#include <striate/kernels/gemm_launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

template <class T>
struct BackwardInput {
  const T *dy, *w;
  Destination<T> to;
  SubGridSizes grid;
  Digits unit_digits;  // of the depth where strides are 1
  int column_tiles, row_tiles, slice_depth;
};

/// The largest tile has no registers to spare for sub-grids: it does strides of 1 only.
template <class Tile>
constexpr bool kUnitStrides = Tile::kWholeSteps;

template <class T, class Tile, bool vectors>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    conv2d_implicit_gemm_backward_input_kernel(const __grid_constant__ BackwardInput<T> p) {
  __shared__ __align__(16) float shared[Tile::kSharedFloats];
  __shared__ int64_t offsets[Tile::kRows];
  constexpr bool unit = kUnitStrides<Tile>;
  const SubGridSizes& g = p.grid;
  int tile = static_cast<int>(blockIdx.x) / p.column_tiles;
  const int column = static_cast<int>(blockIdx.x) % p.column_tiles * Tile::kColumns;
  const int64_t first = int64_t{tile % p.row_tiles} * Tile::kRows;
  tile /= p.row_tiles;
  const int group = tile % g.groups;
  tile /= g.groups;
  const int first_h = unit ? 0 : tile / g.w.stride, first_w = unit ? 0 : tile % g.w.stride;
  const SubGrid rows = unit ? SubGrid(g.h) : SubGrid(g.h, first_h);
  const SubGrid columns = unit ? SubGrid(g.w) : SubGrid(g.w, first_w);
  const int64_t positions = g.images * rows.count * columns.count;
  if (first >= positions) return;  // other sub-grids may have one row more

  const int channel = group * g.group_channels + column;  // the tile's first
  place_rows<Tile>(offsets, [&](int row) {
    return first + row < positions
               ? pixel_of(g, rows, columns, first_h, first_w, first + row) * g.channels + channel
               : -1;
  });

  const int depth = rows.taps * columns.taps * g.group_filters;
  const int begin = min(static_cast<int>(blockIdx.y) * p.slice_depth, depth);
  const int end = min(begin + p.slice_depth, depth);
  const int taps = max(columns.taps, 1);
  const Digits digits(Tile::kDepth, taps, g.group_filters);
  const Positions seen = {rows.count, columns.count, rows.off, columns.off};
  GatherRows<T, Tile, vectors> left(g.gather, unit ? p.unit_digits : digits, seen,
                                    p.dy + group * g.group_filters, first, positions, begin, end);
  FilterColumns<T, Tile, vectors> right(g.pitch, left.tap,
                                        p.w + first_filter(g, rows, columns, group) + column,
                                        g.group_channels - column, end - begin);
  const Sums<Tile> sums =
      multiply<Tile>(left, right, (end - begin + Tile::kDepth - 1) / Tile::kDepth, shared);
  const Destination<T> to = p.to.of_gates();
  store<vectors>(sums, to, static_cast<const T*>(nullptr), static_cast<int>(blockIdx.y), offsets,
                 g.group_channels - column, shared);
  finish_tile<vectors, Tile>(to, static_cast<const T*>(nullptr), static_cast<int>(blockIdx.x),
                             offsets, g.group_channels - column);
}

template <class T>
void run(const Conv2dShape& s, const Gate& gate, const GemmPlans& plans, const Arguments& a) {
  BackwardInput<T> p = {};
  p.dy = static_cast<const T*>(a.inputs[0]), p.w = static_cast<const T*>(a.inputs[1]);
  p.to.y = static_cast<T*>(a.outputs[0]);
  if (gate) p.to.gated = static_cast<const T*>(a.inputs[gate.input]);
  p.to.gate = StraightGate(gate);
  const bool vectors = plans.may_use_vectors && all_aligned(p.dy, p.w, p.to.y, p.to.gated);
  const GemmPlan& plan = vectors ? plans.vectors : plans.scalars;
  p.grid = sub_grids_of(s);
  p.unit_digits = {8, static_cast<int>(s.S), static_cast<int>(s.K / s.groups)};
  p.column_tiles = static_cast<int>(plan.column_tiles);
  p.row_tiles = static_cast<int>(plan.row_tiles);
  p.slice_depth = static_cast<int>(plan.slice_depth);
  set_slices(p.to, plan, s.N * s.H * s.W * s.C, a.workspace);
  with_tile<T, 8>(plan.tile, vectors, [&](auto tile, auto by_fours) {
    using Tile = decltype(tile);
    launch("conv2d_backward_input implicit_gemm",
           conv2d_implicit_gemm_backward_input_kernel<T, Tile, decltype(by_fours)::value>,
           grid_of<Tile>(plan), a.stream, p);
  });
  if (plan.has_second_pass())
    sum_slices("conv2d_backward_input implicit_gemm, sum of slices", p.to,
               {.slices = plan.slices, .columns = s.C, .gate = gate}, a.stream);
}

Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  check_sizes(s);
  const DType dtype = problem.inputs[0].dtype;
  const bool fours = s.C / s.groups % 4 == 0 && s.K / s.groups % 4 == 0;
  const bool may_be_large = s.stride_h == 1 && s.stride_w == 1 && s.K / s.groups % 8 == 0;
  const Gate gate = problem.gate;
  const GemmPlans plans(sub_grid_product(s), dtype, fours,
                        {!is_straight(gate.activation), may_be_large});
  Prepared made = prepared(
      [=](const Arguments& a) {
        with_type(dtype, [&](auto zero) { run<decltype(zero)>(s, gate, plans, a); });
      },
      plans.workspace());
  made.detail = plans.detail();
  return made;
}

const bool added = [] {
  add_cuda_entry("conv2d_backward_input", "implicit_gemm", prepare, {}, 0.42, true);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
