// The gradients of a convolution's filters and bias on tensor cores, for float16, bfloat16 and, as
// TF32, float32.
//
//   dw[k, d] = sum over m of dy[m, k] * x_under(m, d)        db[k] = sum over m of dy[m, k]
//
// m counts the positions (n, p, q), d the taps and channels (r, s, c), as in
// conv2d_implicit_gemm_backward_weight.cu: the positions are cut into slices whose float32 sums a
// second pass adds in their order, and the bias is one more column, of ones. Both operands lie with
// the depth outside.
#include <striate/kernels/conv2d_sizes.h>

#include <striate/kernels/conv2d_gather_host.cuh>
#include <striate/kernels/conv2d_tensor_gather.cuh>
#include <striate/kernels/tensor_launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

template <class T>
struct TensorBackwardWeight {
  const T *x, *dy;
  TensorDestination<T> to;
  Gather gather;
  Digits digits;  // of the positions
  Positions window;
  int3 taps;                          // tap rows, tap columns, channels of a group
  int64_t positions, filters, pitch;  // pitch: of a filter's row in a slice
  int column_tiles, row_tiles, columns, group_filters, slice_depth;
};

template <class T, class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    conv2d_tensor_core_backward_weight_kernel(const __grid_constant__ TensorBackwardWeight<T> p) {
  extern __shared__ __align__(1024) char memory[];
  auto* offsets = reinterpret_cast<int64_t*>(memory + Tile::kTileBytes);
  const int tile = static_cast<int>(blockIdx.x) / p.column_tiles;
  const int column = static_cast<int>(blockIdx.x) % p.column_tiles * Tile::kColumns;
  const int group = tile / p.row_tiles, first = tile % p.row_tiles * Tile::kRows;
  const int filter = group * p.group_filters + first;  // the tile's first
  const int filters = p.group_filters - first;
  place_rows<Tile>(offsets,
                   [&](int row) { return row < filters ? (filter + row) * p.pitch + column : -1; });

  const int64_t begin = int64_t{blockIdx.y} * p.slice_depth;
  const int depth = static_cast<int>(min(int64_t{p.slice_depth}, p.positions - begin));
  TensorColumns<T, Tile, Tile::kRows> left(p.dy + begin * p.filters + filter, p.filters, filters,
                                           depth);
  TensorGatherColumns<T, Tile> right(p.gather, p.digits, p.window, p.x + group * p.taps.z, p.taps,
                                     column, begin, depth);
  right.store_ones(shared_address(memory) + Tile::kLeftBytes);
  const auto sums =
      multiply_tensors<T, Tile>(left, right, (depth + Tile::kDepth - 1) / Tile::kDepth, memory);
  store_tensors<T, Tile>(sums, p.to.of_sums(), static_cast<const T*>(nullptr),
                         static_cast<int>(blockIdx.y), offsets, p.columns - column, memory);
}

/// Columns of a slice: the filters', and a chunk for the bias.
int64_t columns_of(const Conv2dShape& s, bool has_bias) {
  return s.R * s.S * (s.C / s.groups) + (has_bias ? 8 : 0);
}

/// The same with the bias's chunk filled up, so that rows begin as sectors do in 16 bits too.
int64_t pitch_of(const Conv2dShape& s, bool has_bias) {
  return columns_of(s, has_bias) + (has_bias ? 8 : 0);
}

template <class T>
void run(const Conv2dShape& s, bool has_bias, const GemmPlan& plan, const Arguments& a) {
  TensorBackwardWeight<T> p = {};
  p.x = static_cast<const T*>(a.inputs[0]), p.dy = static_cast<const T*>(a.inputs[1]);
  p.to.y = static_cast<T*>(a.outputs[0]);
  p.gather = gather_of(s), p.window = positions_of(s);
  p.taps = {static_cast<int>(s.R), static_cast<int>(s.S), static_cast<int>(s.C / s.groups)};
  p.positions = s.N * s.P * s.Q, p.filters = s.K;
  p.group_filters = static_cast<int>(s.K / s.groups);
  p.columns = static_cast<int>(columns_of(s, has_bias));
  p.pitch = pitch_of(s, has_bias);
  p.column_tiles = static_cast<int>(plan.column_tiles);
  p.row_tiles = static_cast<int>(plan.row_tiles);
  p.slice_depth = static_cast<int>(plan.slice_depth);
  p.to.slice_pitch = s.K * p.pitch;
  if (plan.workspace > 0) p.to.slices = static_cast<float*>(a.workspace);
  const auto start = [&]<class Tile>(Tile) {
    p.digits = {DepthOutside<Tile, Tile::kColumns>::kPass, static_cast<int>(s.P),
                static_cast<int>(s.Q)};
    launch("conv2d_backward_weight tensor_core", conv2d_tensor_core_backward_weight_kernel<T, Tile>,
           tensor_grid<Tile>(plan), a.stream, p);
  };
  plan.tile == GemmTile::kTensorLarge ? start(LargeTensorTile<T>()) : start(SmallTensorTile<T>());
  if (plan.workspace > 0)
    sum_weight_slices<T>("conv2d_backward_weight tensor_core, sum of slices",
                         {p.to.slices, plan.slices, s.K, columns_of(s, false), p.pitch, p.to.y,
                          has_bias ? static_cast<T*>(a.outputs[1]) : nullptr},
                         a.stream);
}

Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  check_sizes(s);
  const bool has_bias = problem.get<Conv2dOptions>().bias;
  GemmSize size;
  size.rows = s.K / s.groups, size.columns = columns_of(s, has_bias);
  size.depth = s.N * s.P * s.Q, size.batch = s.groups;
  size.outputs = s.K * pitch_of(s, has_bias);
  const GemmPlan plan = plan_tensors(size, has_bias);
  return prepared_with_other(
      problem, "implicit_gemm",
      [=, dtype = problem.inputs[0].dtype](const Arguments& a) {
        with_type(dtype, [&](auto zero) { run<decltype(zero)>(s, has_bias, plan, a); });
      },
      plan);
}

std::string declines(const Problem& problem) {
  const std::string reason = declines_tensors(problem);
  if (!reason.empty()) return reason;
  return declines_channels(conv2d_shape(problem));
}

const bool added = [] {
  add_cuda_entry("conv2d_backward_weight", "tensor_core", prepare, declines, 0.8);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
