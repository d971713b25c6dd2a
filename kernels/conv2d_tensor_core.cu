// Convolution of float16, bfloat16 and, as TF32, float32 images as an implicit product on tensor
// cores.
//
//   y[m, k] = act(b[k] + residual[m, k] + sum over d of x_under(m, d) * w[k, d])
//
// m counts the positions (n, p, q), d the taps and channels (r, s, c), as in
// conv2d_implicit_gemm.cu; sums are float32. Channels and filters of a group are multiples of 8, so
// that 16 bytes are always under one tap. Where channels are a multiple of a step's depth, the
// whole step is, and its tap is worked out once for all threads (`whole`).
#include <striate/kernels/conv2d_sizes.h>

#include <striate/kernels/conv2d_gather_host.cuh>
#include <striate/kernels/conv2d_tensor_gather.cuh>
#include <striate/kernels/tensor_launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

template <class T>
struct TensorForward {
  const T *x, *w;
  TensorDestination<T> to;
  Gather gather;
  Digits digits;
  Positions window;
  int64_t positions, filters;  // filters: of all groups
  int column_tiles, row_tiles, depth, slice_depth, group_filters, group_channels;
};

template <class T, class Tile, bool whole>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    conv2d_tensor_core_kernel(const __grid_constant__ TensorForward<T> p) {
  extern __shared__ __align__(1024) char memory[];
  auto* offsets = reinterpret_cast<int64_t*>(memory + Tile::kTileBytes);
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
  TensorGatherRows<T, Tile, whole> left(
      p.gather, p.digits, p.window, p.x + group * p.group_channels, first, p.positions, begin, end);
  TensorRows<T, Tile, Tile::kColumns> right(p.w + int64_t{filter} * p.depth + begin, p.depth,
                                            p.group_filters - column, end - begin);
  const auto sums = multiply_tensors<T, Tile>(
      left, right, (end - begin + Tile::kDepth - 1) / Tile::kDepth, memory);
  store_tensors<T, Tile>(sums, p.to.without_gate(), p.to.bias ? p.to.bias + filter : nullptr,
                         static_cast<int>(blockIdx.y), offsets, p.group_filters - column, memory);
}

template <class T>
void run(const Conv2dShape& s, const Conv2dOptions& options, const GemmPlan& plan,
         const Arguments& a) {
  TensorForward<T> p = {};
  p.x = static_cast<const T*>(a.inputs[0]), p.w = static_cast<const T*>(a.inputs[1]);
  p.to.y = static_cast<T*>(a.outputs[0]);
  p.to.bias = static_cast<const T*>(a.inputs[2]);
  p.to.residual = static_cast<const T*>(a.inputs[3]);
  p.to.any_activation = {options.activation, options.negative_slope};
  p.gather = gather_of(s), p.window = positions_of(s);
  p.group_channels = static_cast<int>(s.C / s.groups);
  p.digits = {LargeTensorTile<T>::kDepth, static_cast<int>(s.S), p.group_channels};
  p.positions = s.N * s.P * s.Q, p.filters = s.K;
  p.group_filters = static_cast<int>(s.K / s.groups);
  p.column_tiles = static_cast<int>(plan.column_tiles);
  p.row_tiles = static_cast<int>(plan.row_tiles);
  p.depth = static_cast<int>(s.R * s.S * p.group_channels);
  p.slice_depth = static_cast<int>(plan.slice_depth);
  p.to.slice_pitch = p.positions * s.K;
  if (plan.workspace > 0) p.to.slices = static_cast<float*>(a.workspace);
  const char* name = "conv2d tensor_core";
  using Large = LargeTensorTile<T>;
  using Small = SmallTensorTile<T>;
  const bool whole = p.group_channels % Large::kDepth == 0;
  if (plan.tile == GemmTile::kTensorLarge)
    launch(name,
           whole ? conv2d_tensor_core_kernel<T, Large, true>
                 : conv2d_tensor_core_kernel<T, Large, false>,
           tensor_grid<Large>(plan), a.stream, p);
  else
    launch(name, conv2d_tensor_core_kernel<T, Small, false>, tensor_grid<Small>(plan), a.stream, p);
  if (plan.workspace > 0)
    sum_slices<T>("conv2d tensor_core, sum of slices", p.to,
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
  const GemmPlan plan = plan_tensors(size, false);
  const bool has_bias = problem.has_input(2), has_residual = problem.has_input(3);
  const DType dtype = problem.inputs[0].dtype;
  return prepared_with_other(
      problem, "implicit_gemm",
      [=](const Arguments& a) {
        const void* inputs[] = {a.inputs[0], a.inputs[1], has_bias ? a.inputs[2] : nullptr,
                                has_residual ? a.inputs[3] : nullptr};
        const Arguments all = {inputs, a.outputs, a.workspace, a.stream};
        with_type(dtype, [&](auto zero) { run<decltype(zero)>(s, options, plan, all); });
      },
      plan);
}

std::string declines(const Problem& problem) {
  const std::string reason = declines_tensors(problem);
  if (!reason.empty()) return reason;
  return declines_channels(conv2d_shape(problem));
}

const bool added = [] {
  add_cuda_entry("conv2d", "tensor_core", prepare, declines, 0.9);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
