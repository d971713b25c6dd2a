// Products of float16, bfloat16 and, as TF32, float32 matrices on tensor cores.
//
//   y[m,n] = act(bias[n] + sum over k of A[m,k] * B[k,n])     A = a or a^T, B = b or b^T
//
// The tiles and the main loop are those of the convolutions (tensor_tile.cuh); each operand lies
// with the depth inside (a, b^T) or outside (a^T, b), in rows of a multiple of 8 elements.
#include <striate/kernels/matmul.h>

#include <striate/kernels/tensor_launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

template <class T>
struct TensorProduct {
  const T *a, *b;
  TensorDestination<T> to;
  int64_t M, N;
  int K, slice_depth, column_tiles;
};

template <class T, class Tile, bool transpose_a, bool transpose_b>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    matmul_tensor_core_kernel(const __grid_constant__ TensorProduct<T> p) {
  extern __shared__ __align__(1024) char memory[];
  auto* offsets = reinterpret_cast<int64_t*>(memory + Tile::kTileBytes);
  const int64_t row = int64_t{static_cast<int>(blockIdx.x) / p.column_tiles} * Tile::kRows;
  const int64_t column = int64_t{static_cast<int>(blockIdx.x) % p.column_tiles} * Tile::kColumns;
  place_rows<Tile>(offsets, [&](int i) { return row + i < p.M ? (row + i) * p.N + column : -1; });
  const int begin = static_cast<int>(blockIdx.y) * p.slice_depth;
  const int depth = min(p.slice_depth, p.K - begin);
  using Left = std::conditional_t<transpose_a, TensorColumns<T, Tile, Tile::kRows>,
                                  TensorRows<T, Tile, Tile::kRows>>;
  using Right = std::conditional_t<transpose_b, TensorRows<T, Tile, Tile::kColumns>,
                                   TensorColumns<T, Tile, Tile::kColumns>>;
  Left left(transpose_a ? p.a + begin * p.M + row : p.a + row * p.K + begin,
            transpose_a ? p.M : p.K, p.M - row, depth);
  Right right(transpose_b ? p.b + column * p.K + begin : p.b + begin * p.N + column,
              transpose_b ? p.K : p.N, p.N - column, depth);
  const auto sums =
      multiply_tensors<T, Tile>(left, right, (depth + Tile::kDepth - 1) / Tile::kDepth, memory);
  store_tensors<T, Tile>(sums, p.to.without_residual(), p.to.bias ? p.to.bias + column : nullptr,
                         static_cast<int>(blockIdx.y), offsets,
                         static_cast<int>(min(p.N - column, int64_t{Tile::kColumns})), memory);
}

struct Rules {
  MatmulOptions options;
  Gate gate;
  bool has_bias;
};

template <class T>
void run(const MatmulShape& shape, const Rules& rules, const GemmPlan& plan, const Arguments& a) {
  const MatmulOptions& options = rules.options;
  TensorProduct<T> p = {};
  p.a = static_cast<const T*>(a.inputs[0]), p.b = static_cast<const T*>(a.inputs[1]);
  p.to.y = static_cast<T*>(a.outputs[0]);
  if (rules.has_bias) p.to.bias = static_cast<const T*>(a.inputs[2]);
  if (rules.gate) p.to.gated = static_cast<const T*>(a.inputs[rules.gate.input]);
  p.to.any_gate = AnyGate(rules.gate);
  p.to.any_activation = {options.activation, options.negative_slope};
  p.M = shape.M, p.N = shape.N, p.K = static_cast<int>(shape.K);
  p.slice_depth = static_cast<int>(plan.slice_depth);
  p.column_tiles = static_cast<int>(plan.column_tiles);
  p.to.slice_pitch = shape.M * shape.N;
  if (plan.workspace > 0) p.to.slices = static_cast<float*>(a.workspace);
  const auto start = [&]<class Tile>(Tile) {
    const auto kernel = options.transpose_a   ? matmul_tensor_core_kernel<T, Tile, true, false>
                        : options.transpose_b ? matmul_tensor_core_kernel<T, Tile, false, true>
                                              : matmul_tensor_core_kernel<T, Tile, false, false>;
    launch("matmul tensor_core", kernel, tensor_grid<Tile>(plan), a.stream, p);
  };
  plan.tile == GemmTile::kTensorLarge ? start(LargeTensorTile<T>()) : start(SmallTensorTile<T>());
  if (plan.workspace > 0)
    sum_slices<T>("matmul tensor_core, sum of slices", p.to,
                  {plan.slices, shape.N, options.activation, options.negative_slope, rules.gate},
                  a.stream);
}

Prepared prepare(const Problem& problem) {
  const MatmulShape s = matmul_shape(problem);
  GemmSize size;
  size.rows = s.M, size.columns = s.N, size.depth = s.K, size.outputs = s.M * s.N;
  const GemmPlan plan = plan_tensors(size, false);
  const Rules rules = {problem.get<MatmulOptions>(), problem.gate, problem.has_input(2)};
  return prepared_with_other(
      problem, "tiled",
      [=, dtype = problem.inputs[0].dtype](const Arguments& a) {
        with_type(dtype, [&](auto zero) { run<decltype(zero)>(s, rules, plan, a); });
      },
      plan);
}

std::string declines(const Problem& problem) {
  const auto& options = problem.get<MatmulOptions>();
  const MatmulShape s = matmul_shape(problem);
  if (options.column_sums) return "makes no column sums";
  if (options.transpose_a && options.transpose_b) return "transposes one matrix at most";
  if (s.N % 8 != 0 || (options.transpose_a ? s.M : s.K) % 8 != 0 ||
      (options.transpose_b && s.K % 8 != 0))
    return "takes rows of a multiple of 8 elements";
  if (s.K >= int64_t{1} << 30) return "takes fewer than 2^30 products for a sum";
  return declines_tensors(problem);
}

const bool added = [] {
  add_cuda_entry("matmul", "tensor_core", prepare, declines, 0.9, true);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
