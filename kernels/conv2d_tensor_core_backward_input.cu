// The gradient of a convolution's input on tensor cores, for float16, bfloat16 and, as TF32,
// float32.
//
//   dx[m, c] = sum over d of dy_under(m, d) * w[d, c]      [times an activation's derivative]
//
// m counts the pixels of a sub-grid (conv2d_sub_grid.cuh), d its taps and the filters (r, s, k), as
// in conv2d_implicit_gemm_backward_input.cu. Filters need no packing: their channels are read with
// the depth outside and transposed on the way to the registers.
#include <striate/kernels/conv2d_sizes.h>

#include <striate/kernels/conv2d_gather_host.cuh>
#include <striate/kernels/conv2d_sub_grid.cuh>
#include <striate/kernels/conv2d_tensor_gather.cuh>
#include <striate/kernels/tensor_launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

template <class T>
struct TensorBackwardInput {
  const T *dy, *w;
  TensorDestination<T> to;
  SubGridSizes grid;
  int column_tiles, row_tiles, slice_depth;
};

template <class T, class Tile, bool whole>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    conv2d_tensor_core_backward_input_kernel(const __grid_constant__ TensorBackwardInput<T> p) {
  extern __shared__ __align__(1024) char memory[];
  auto* offsets = reinterpret_cast<int64_t*>(memory + Tile::kTileBytes);
  const SubGridSizes& g = p.grid;
  int tile = static_cast<int>(blockIdx.x) / p.column_tiles;
  const int column = static_cast<int>(blockIdx.x) % p.column_tiles * Tile::kColumns;
  const int64_t first = int64_t{tile % p.row_tiles} * Tile::kRows;
  tile /= p.row_tiles;
  const int group = tile % g.groups;
  tile /= g.groups;
  const int first_h = tile / g.w.stride, first_w = tile % g.w.stride;
  const SubGrid rows(g.h, first_h), columns(g.w, first_w);
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
  using Columns = TensorFilterColumns<T, Tile, whole>;
  const int taps = max(columns.taps, 1);
  const Digits left_digits(Tile::kDepth, taps, g.group_filters);
  const Digits right_digits(Columns::kStep, taps, g.group_filters);
  const Positions seen = {rows.count, columns.count, rows.off, columns.off};
  TensorGatherRows<T, Tile, whole> left(g.gather, left_digits, seen, p.dy + group * g.group_filters,
                                        first, positions, begin, end);
  Columns right(g.pitch, right_digits, p.w + first_filter(g, rows, columns, group) + column,
                g.group_channels - column, begin, end);
  const auto sums = multiply_tensors<T, Tile>(
      left, right, (end - begin + Tile::kDepth - 1) / Tile::kDepth, memory);
  store_tensors<T, Tile>(sums, p.to.of_gates(), static_cast<const T*>(nullptr),
                         static_cast<int>(blockIdx.y), offsets, g.group_channels - column, memory);
}

template <class T>
void run(const Conv2dShape& s, const Gate& gate, const GemmPlan& plan, const Arguments& a) {
  TensorBackwardInput<T> p = {};
  p.dy = static_cast<const T*>(a.inputs[0]), p.w = static_cast<const T*>(a.inputs[1]);
  p.to.y = static_cast<T*>(a.outputs[0]);
  if (gate) p.to.gated = static_cast<const T*>(a.inputs[gate.input]);
  p.to.any_gate = AnyGate(gate);
  p.grid = sub_grids_of(s);
  p.column_tiles = static_cast<int>(plan.column_tiles);
  p.row_tiles = static_cast<int>(plan.row_tiles);
  p.slice_depth = static_cast<int>(plan.slice_depth);
  p.to.slice_pitch = s.N * s.H * s.W * s.C;
  if (plan.workspace > 0) p.to.slices = static_cast<float*>(a.workspace);
  const char* name = "conv2d_backward_input tensor_core";
  using Large = LargeTensorTile<T>;
  using Small = SmallTensorTile<T>;
  const bool whole = p.grid.group_filters % Large::kDepth == 0;
  if (plan.tile == GemmTile::kTensorLarge)
    launch(name,
           whole ? conv2d_tensor_core_backward_input_kernel<T, Large, true>
                 : conv2d_tensor_core_backward_input_kernel<T, Large, false>,
           tensor_grid<Large>(plan), a.stream, p);
  else
    launch(name, conv2d_tensor_core_backward_input_kernel<T, Small, false>,
           tensor_grid<Small>(plan), a.stream, p);
  if (plan.workspace > 0)
    sum_slices<T>("conv2d_backward_input tensor_core, sum of slices", p.to,
                  {.slices = plan.slices, .columns = s.C, .gate = gate}, a.stream);
}

Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  check_sizes(s);
  const GemmPlan plan = plan_tensors(sub_grid_product(s), false);
  return prepared_with_other(
      problem, "implicit_gemm",
      [=, gate = problem.gate, dtype = problem.inputs[0].dtype](const Arguments& a) {
        with_type(dtype, [&](auto zero) { run<decltype(zero)>(s, gate, plan, a); });
      },
      plan);
}

std::string declines(const Problem& problem) {
  const std::string reason = declines_tensors(problem);
  if (!reason.empty()) return reason;
  return declines_channels(conv2d_shape(problem));
}

const bool added = [] {
  add_cuda_entry("conv2d_backward_input", "tensor_core", prepare, declines, 0.85, true);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
