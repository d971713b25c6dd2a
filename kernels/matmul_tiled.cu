// The entry `tiled` of matmul on CUDA devices (matmul_tiled.cuh), and its float32 kernels.
#include <striate/kernels/matmul_tiled.cuh>

namespace striate::kernels {

extern template void run_matmul_tiled<__half>(const MatmulShape&, const ProductRules&,
                                              const cuda::GemmPlans&, const Arguments&);
extern template void run_matmul_tiled<__nv_bfloat16>(const MatmulShape&, const ProductRules&,
                                                     const cuda::GemmPlans&, const Arguments&);

namespace {

using namespace striate::cuda;

Prepared prepare(const Problem& problem) {
  const MatmulShape s = matmul_shape(problem);
  if (s.K >= int64_t{1} << 30)
    throw KernelError("CUDA matmul takes fewer than 2^30 products for a sum", std::to_string(s.K));
  const ProductRules rules = {problem.get<MatmulOptions>(), problem.gate};
  const MatmulOptions& options = rules.options;
  const int64_t rows = s.M + (options.column_sums ? 1 : 0);
  GemmSize size;
  size.rows = rows, size.columns = s.N, size.depth = s.K, size.outputs = rows * s.N;
  const DType dtype = problem.inputs[0].dtype;
  const bool both = options.transpose_a && options.transpose_b;
  const bool fours = s.N % 4 == 0 && (options.transpose_a ? s.M : s.K) % 4 == 0 &&
                     (!options.transpose_b || s.K % 4 == 0) && !both;
  const GemmPlans plans(size, dtype, fours,
                        {.through_workspace = !is_straight(options.activation) ||
                                              !is_straight(problem.gate.activation),
                         .may_be_large = s.K % 8 == 0,
                         .scalars_are_small = true});
  const bool has_bias = problem.has_input(2);
  Prepared made = prepared(
      [=](const Arguments& a) {
        const void* inputs[] = {a.inputs[0], a.inputs[1], has_bias ? a.inputs[2] : nullptr,
                                rules.gate ? a.inputs[rules.gate.input] : nullptr};
        const Arguments all = {inputs, a.outputs, a.workspace, a.stream};
        const ProductRules mine = {rules.options, {rules.gate.activation, rules.gate.slope, 3}};
        with_type(dtype, [&](auto zero) { run_matmul_tiled<decltype(zero)>(s, mine, plans, all); });
      },
      plans.workspace());
  made.detail = plans.detail();
  return made;
}

std::string declines(const Problem& problem) {
  const auto& options = problem.get<MatmulOptions>();
  if (options.column_sums && (!options.transpose_a || options.transpose_b || problem.has_input(2)))
    return "makes column sums for a^T b without bias only";
  return takes_floats(problem, 0, problem.inputs.size());
}

const bool added = [] {
  add_cuda_entry("matmul", "tiled", prepare, declines, 0.45, true);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
