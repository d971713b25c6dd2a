// Products of matrices by oneDNN; a transposed factor is the same memory with its strides swapped.
#include <striate/kernels/matmul.h>
#include <striate/kernels/vendor/onednn/onednn.h>

namespace striate::kernels {
namespace {

using dnnl::memory;

memory::desc matrix(int64_t rows, int64_t columns, bool transposed) {
  return {{rows, columns},
          memory::data_type::f32,
          transposed ? memory::dims{1, rows} : memory::dims{columns, 1}};
}

Prepared prepare_matmul(const Problem& problem) {
  const auto& options = problem.get<MatmulOptions>();
  const MatmulShape s = matmul_shape(problem);
  dnnl::primitive_attr attributes = onednn::attributes();
  dnnl::post_ops post_ops;
  onednn::append_activation(post_ops, options.activation, options.negative_slope);
  attributes.set_post_ops(post_ops);
  const memory::desc a = matrix(s.M, s.K, options.transpose_a);
  const memory::desc b = matrix(s.K, s.N, options.transpose_b), y = matrix(s.M, s.N, false);
  const bool biased = problem.has_input(2);
  const memory::desc bias = biased ? matrix(1, s.N, false) : memory::desc();
  const dnnl::matmul::primitive_desc d(onednn::engine(), a, b, bias, y, attributes);
  onednn::refuse_reference(d);

  auto kernel = std::make_unique<onednn::PrimitiveKernel>(dnnl::matmul(d), problem.threads);
  kernel->input(DNNL_ARG_SRC, a, 0);
  kernel->input(DNNL_ARG_WEIGHTS, b, 1);
  if (biased) kernel->input(DNNL_ARG_BIAS, bias, 2);
  kernel->output(DNNL_ARG_DST, y, 0);
  kernel->workspace(DNNL_ARG_SCRATCHPAD, d.scratchpad_desc(), 0);

  Prepared prepared;
  prepared.workspace = d.scratchpad_desc().get_size();
  prepared.detail = d.impl_info_str();
  prepared.kernel = std::move(kernel);
  return prepared;
}

std::string declines(const Problem& problem) {
  if (problem.get<MatmulOptions>().column_sums) return "makes no column sums";
  const std::string reason = onednn::declines_activation(problem.get<MatmulOptions>().activation);
  return reason.empty() ? onednn::declines_by_type(problem) : reason;
}

const Register matmul({"matmul", "onednn", DeviceType::kCpu, declines,
                       onednn::prepare<prepare_matmul>, [](const Problem&) { return 0.8; }});

}  // namespace
}  // namespace striate::kernels
