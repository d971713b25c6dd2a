// The entry `tiled` of matmul on CUDA devices (matmul_tiled.cuh), and its float32 kernels.
#include <striate/kernels/matmul_tiled.cuh>

namespace striate::kernels {

extern template void run_matmul_tiled<__half>(const MatmulShape&, const MatmulOptions&,
                                              const cuda::GemmPlans&, const Arguments&);
extern template void run_matmul_tiled<__nv_bfloat16>(const MatmulShape&, const MatmulOptions&,
                                                     const cuda::GemmPlans&, const Arguments&);

namespace {

using namespace striate::cuda;

Prepared prepare(const Problem& problem) {
  const MatmulShape s = matmul_shape(problem);
  if (s.K >= int64_t{1} << 30)
    throw KernelError("CUDA matmul takes fewer than 2^30 products for a sum", std::to_string(s.K));
  const auto options = problem.get<MatmulOptions>();
  GemmSize size;
  size.rows = s.M, size.columns = s.N, size.depth = s.K, size.outputs = s.M * s.N;
  const DType dtype = problem.inputs[0].dtype;
  const bool both = options.transpose_a && options.transpose_b;
  const bool fours = s.N % 4 == 0 && (options.transpose_a ? s.M : s.K) % 4 == 0 &&
                     (!options.transpose_b || s.K % 4 == 0) && !both;
  const GemmPlans plans(size, dtype, fours,
                        {.through_workspace = !is_straight(options.activation),
                         .may_be_large = s.K % 8 == 0,
                         .scalars_are_small = true});
  const bool has_bias = problem.has_input(2);
  Prepared made = prepared(
      [=](const Arguments& a) {
        const void* inputs[] = {a.inputs[0], a.inputs[1], has_bias ? a.inputs[2] : nullptr};
        const Arguments all = {inputs, a.outputs, a.workspace, a.stream};
        with_type(dtype,
                  [&](auto zero) { run_matmul_tiled<decltype(zero)>(s, options, plans, all); });
      },
      plans.workspace());
  made.detail = plans.detail();
  return made;
}

std::string declines(const Problem& problem) {
  if (problem.get<MatmulOptions>().column_sums) return "makes no column sums";
  return takes_floats(problem, 0, problem.inputs.size());
}

const bool added = [] {
  add_cuda_entry("matmul", "tiled", prepare, declines, 0.45);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
