// Convolution as a product of matrices that are never written down, on CUDA cores.
//
//   y[m, k] = act(b[k] + residual[m, k] + sum over d of x_under(m, d) * w[k, d])
//
// m counts the positions (n, p, q), d the taps and channels (r, s, c). A block makes a tile of
// positions and filters of one group (gemm_tile.cuh), gathering the pixels on their way to shared
// memory (conv2d_gather.cuh). It takes every stride, padding, dilation, number of groups and of
// channels; where both numbers of channels are multiples of 4 it moves four elements at once. Small
// layers cut the depth into slices, so that all multiprocessors have work.
//
// Method: implicit GEMM (Chetlur et al. 2014, "cuDNN: Efficient Primitives for Deep Learning").
#include <striate/kernels/conv2d_sizes.h>

#include <striate/kernels/conv2d_gather_host.cuh>
#include <striate/kernels/gemm_launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

template <class T>
struct Forward {
  const T *x, *w;
  Destination<T> to;
  Gather gather;
  Digits digits;
  Positions window;
  int64_t positions, filters;  // filters: of all groups
  int column_tiles, row_tiles, depth, slice_depth, group_filters, group_channels;
};

template <class T, class Tile, bool vectors>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    conv2d_implicit_gemm_kernel(const __grid_constant__ Forward<T> p) {
  __shared__ __align__(16) float shared[Tile::kSharedFloats];
  __shared__ int64_t offsets[Tile::kRows];
  const int tile = static_cast<int>(blockIdx.x) / p.column_tiles;
  const int column = static_cast<int>(blockIdx.x) % p.column_tiles * Tile::kColumns;
  const int group = tile / p.row_tiles;
  const int64_t first = int64_t{tile % p.row_tiles} * Tile::kRows;
  const int filter = group * p.group_filters + column;  // the tile's first
  place_rows<Tile>(offsets, [&](int row) {
    return first + row < p.positions ? (first + row) * p.filters + filter : -1;
  });

  const int begin = static_cast<int>(blockIdx.y) * p.slice_depth;
  const int end = min(begin + p.slice_depth, p.depth);
  GatherRows<T, Tile, vectors> left(p.gather, p.digits, p.window, p.x + group * p.group_channels,
                                    first, p.positions, begin, end);
  PlainRows<T, Tile, Tile::kColumns, vectors> right(p.w + int64_t{filter} * p.depth + begin,
                                                    p.depth, p.group_filters - column, end - begin);
  const Sums<Tile> sums =
      multiply<Tile>(left, right, (end - begin + Tile::kDepth - 1) / Tile::kDepth, shared);
  const Destination<T> to = p.to.without_gate();
  store<vectors>(sums, to, p.to.bias ? p.to.bias + filter : nullptr, static_cast<int>(blockIdx.y),
                 offsets, p.group_filters - column, shared);
  finish_tile<vectors, Tile>(to, p.to.bias ? p.to.bias + filter : nullptr,
                             static_cast<int>(blockIdx.x), offsets, p.group_filters - column);
}

template <class T>
void run(const Conv2dShape& s, const Conv2dOptions& options, const GemmPlans& plans,
         const Arguments& a) {
  Forward<T> p = {};
  p.x = static_cast<const T*>(a.inputs[0]), p.w = static_cast<const T*>(a.inputs[1]);
  p.to.y = static_cast<T*>(a.outputs[0]);
  p.to.bias = static_cast<const T*>(a.inputs[2]);
  p.to.residual = static_cast<const T*>(a.inputs[3]);
  p.to.activation = {options.activation, options.negative_slope};
  const bool vectors =
      plans.may_use_vectors && all_aligned(p.x, p.w, p.to.y, p.to.bias, p.to.residual);
  const GemmPlan& plan = vectors ? plans.vectors : plans.scalars;
  p.gather = gather_of(s), p.window = positions_of(s);
  p.group_channels = static_cast<int>(s.C / s.groups);
  p.digits = {8, static_cast<int>(s.S), p.group_channels};
  p.positions = s.N * s.P * s.Q, p.filters = s.K;
  p.group_filters = static_cast<int>(s.K / s.groups);
  p.column_tiles = static_cast<int>(plan.column_tiles);
  p.row_tiles = static_cast<int>(plan.row_tiles);
  p.depth = static_cast<int>(s.R * s.S * (s.C / s.groups));
  p.slice_depth = static_cast<int>(plan.slice_depth);
  set_slices(p.to, plan, p.positions * s.K, a.workspace);
  with_tile<T, 8>(plan.tile, vectors, [&](auto tile, auto by_fours) {
    using Tile = decltype(tile);
    launch("conv2d implicit_gemm", conv2d_implicit_gemm_kernel<T, Tile, decltype(by_fours)::value>,
           grid_of<Tile>(plan), a.stream, p);
  });
  if (plan.has_second_pass())
    sum_slices("conv2d implicit_gemm, sum of slices", p.to,
               {plan.slices, s.K, options.activation, options.negative_slope}, a.stream);
}

Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  check_sizes(s);
  const auto options = problem.get<Conv2dOptions>();
  GemmSize size;
  size.rows = s.N * s.P * s.Q, size.columns = s.K / s.groups;
  size.depth = s.R * s.S * (s.C / s.groups), size.batch = s.groups;
  size.outputs = size.rows * s.K;
  const DType dtype = problem.inputs[0].dtype;
  const bool fours = s.C / s.groups % 4 == 0 && s.K / s.groups % 4 == 0;
  const GemmPlans plans(size, dtype, fours,
                        {!is_straight(options.activation), s.C / s.groups % 8 == 0});
  const bool has_bias = problem.has_input(2), has_residual = problem.has_input(3);
  Prepared made = prepared(
      [=](const Arguments& a) {
        const void* inputs[] = {a.inputs[0], a.inputs[1], has_bias ? a.inputs[2] : nullptr,
                                has_residual ? a.inputs[3] : nullptr};
        const Arguments all = {inputs, a.outputs, a.workspace, a.stream};
        with_type(dtype, [&](auto zero) { run<decltype(zero)>(s, options, plans, all); });
      },
      plans.workspace());
  made.detail = plans.detail();
  return made;
}

const bool added = [] {
  add_cuda_entry("conv2d", "implicit_gemm", prepare, {}, 0.45);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
