// The gradients of a dense layer on CUDA devices: two products in one launch.
//
//   dx = dy w^T      [times an activation's derivative]
//   dw = x^T dy      db = sums of dy's columns
//
// The first blocks make the tiles of dx, the others those of dw, each as matmul_tiled.cuh does. The
// products of a small layer leave most multiprocessors idle, and a launch costs more than either.
#include <striate/kernels/dense_backward.h>

#include <algorithm>
#include <striate/kernels/matmul_tiled.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

using Small = Tile<64, 32, 8, 4, 8>;

/// A product and its part of the grid.
struct Part {
  Product<float> product;
  int tiles, blocks;  // blocks: of all slices
};

template <bool vectors>
__global__ void __launch_bounds__(Small::kThreads, 2)
    dense_backward_kernel(const __grid_constant__ Part dx, const __grid_constant__ Part dw) {
  __shared__ __align__(16) float shared[Small::kSharedFloats];
  __shared__ int64_t offsets[Small::kRows];
  int block = static_cast<int>(blockIdx.x);
  if (block < dx.blocks) {
    const int tile = block % dx.tiles;
    make_tile<float, Small, vectors, false, true>(dx.product, dx.product.to.of_gates(),
                                                  {tile, block / dx.tiles, tile}, shared, offsets);
  } else {
    block -= dx.blocks;
    const int tile = block % dw.tiles;
    make_tile<float, Small, vectors, true, false>(dw.product, dw.product.to.of_sums(),
                                                  {tile, block / dw.tiles, dx.tiles + tile}, shared,
                                                  offsets);
  }
}

/// The plans of both products.
struct Plans {
  GemmPlans dx, dw;

  explicit Plans(const Problem& problem)
      : dx(plans_of(dense_backward_shape(problem).dx, false, true)),
        dw(plans_of(dense_backward_shape(problem).dw, problem.get<DenseBackwardOptions>().bias,
                    false)) {}

  bool may_use_vectors() const { return dx.may_use_vectors && dw.may_use_vectors; }
  const GemmPlan& first(bool vectors) const { return vectors ? dx.vectors : dx.scalars; }
  const GemmPlan& second(bool vectors) const { return vectors ? dw.vectors : dw.scalars; }
  /// Where the second product's slices begin.
  size_t second_offset(bool vectors) const { return (first(vectors).workspace + 255) / 256 * 256; }
  size_t workspace(bool vectors) const {
    return second_offset(vectors) + second(vectors).workspace;
  }

 private:
  static GemmPlans plans_of(const MatmulShape& s, bool sums, bool transpose_b) {
    GemmSize size;
    size.rows = s.M + (sums ? 1 : 0), size.columns = s.N, size.depth = s.K;
    size.outputs = size.rows * s.N;
    const bool fours = s.N % 4 == 0 && (transpose_b ? s.K : s.M) % 4 == 0;
    return {size, DType::kF32, fours, {.scalars_are_small = true}};
  }
};

/// True for a plan that dense_backward_kernel can follow.
bool fits(const GemmPlan& plan) {
  return plan.tile == GemmTile::kSmall && !plan.has_second_pass() &&
         plan.blocks <= kMostSharedTiles / 2;
}

Part part_of(const Product<float>& product, const GemmPlan& plan) {
  return {product, static_cast<int>(plan.blocks), static_cast<int>(plan.blocks * plan.slices)};
}

void run(const Problem& problem, const Plans& plans, const Arguments& a) {
  const DenseBackwardShape shape = dense_backward_shape(problem);
  const Gate& gate = problem.gate;
  const auto *dy = static_cast<const float*>(a.inputs[0]),
             *x = static_cast<const float*>(a.inputs[1]);
  Product<float> dx = {}, dw = {};
  dx.a = dy, dx.b = static_cast<const float*>(a.inputs[2]);
  dx.to.y = static_cast<float*>(a.outputs[0]);
  if (gate) dx.to.gated = static_cast<const float*>(a.inputs[gate.input]);
  dx.to.gate = StraightGate(gate);
  dw.a = x, dw.b = dy;
  dw.to.y = static_cast<float*>(a.outputs[1]);
  if (problem.get<DenseBackwardOptions>().bias) dw.sums = static_cast<float*>(a.outputs[2]);
  const bool vectors =
      plans.may_use_vectors() && all_aligned(dy, x, dx.b, dx.to.y, dx.to.gated, dw.to.y, dw.sums);
  const GemmPlan &first = plans.first(vectors), &second = plans.second(vectors);
  set_plan(dx, shape.dx, first, a.workspace);
  set_plan(dw, shape.dw, second, static_cast<char*>(a.workspace) + plans.second_offset(vectors));
  const Part parts[] = {part_of(dx, first), part_of(dw, second)};
  launch(
      "dense_backward tiled", vectors ? dense_backward_kernel<true> : dense_backward_kernel<false>,
      {parts[0].blocks + parts[1].blocks, 1, 1, Small::kThreads, 0}, a.stream, parts[0], parts[1]);
}

Prepared prepare(const Problem& problem) {
  const Plans plans(problem);
  Prepared made = prepared(
      [=](const Arguments& a) { run(problem, plans, a); },
      std::max(plans.workspace(false), plans.may_use_vectors() ? plans.workspace(true) : 0));
  const bool vectors = plans.may_use_vectors();
  made.detail = "dx " + plans.first(vectors).to_string() + "; dw " +
                plans.second(vectors).to_string() + (vectors ? "; vectors" : "");
  return made;
}

std::string declines(const Problem& problem) {
  for (size_t i = 0; i < problem.inputs.size(); ++i)
    if (problem.inputs[i].dtype != DType::kF32)
      return std::string("takes float32, got ") + name_of(problem.inputs[i].dtype);
  if (!is_straight(problem.gate.activation)) return "applies no gradient of sigmoid and tanh";
  const DenseBackwardShape shape = dense_backward_shape(problem);
  if (std::max(shape.dx.K, shape.dw.K) >= int64_t{1} << 30)
    return "takes fewer than 2^30 products for a sum";
  const Plans plans(problem);
  const bool vectors = plans.may_use_vectors();
  for (const bool by_fours : {false, vectors})
    if (!fits(plans.first(by_fours)) || !fits(plans.second(by_fours)))
      return "takes products of small tiles: two launches do larger ones";
  if (!vectors && (plans.dx.may_use_vectors || plans.dw.may_use_vectors) &&
      shape.dx.M * shape.dx.N * shape.dx.K > int64_t{1} << 20)
    return "one of the products may use vectors, the other not";
  return "";
}

const bool added = [] {
  add_cuda_entry("dense_backward", "tiled", prepare, declines, 0.45, true);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
