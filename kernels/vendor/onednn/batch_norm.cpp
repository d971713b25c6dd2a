// Batch normalisation in training by oneDNN, in the layout that the image has.
//
// oneDNN keeps the variance, our operations keep 1 / sqrt(variance + epsilon): the short loops over
// channels around its primitives convert, and move the moving statistics.
#include <striate/kernels/batch_norm.h>
#include <striate/kernels/vendor/onednn/onednn.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace striate::kernels {
namespace {

using dnnl::memory;
using dnnl::normalization_flags;
using dnnl::prop_kind;

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

memory::desc vector(int64_t channels) {
  return {{channels}, memory::data_type::f32, memory::format_tag::a};
}

/// The value as an image: the last axis is the channel, all before it are pictures' pixels.
struct Image {
  Shape shape;
  Layout layout;
  memory::desc descriptor;
};

Image image_of(const ValueDesc& value) {
  const Shape& s = value.shape;
  if (s.rank() == 4)
    if (auto d = onednn::descriptor(s, value.layout, onednn::Role::kImage))
      return {s, value.layout, *d};
  const Shape flat{s.product(0, s.rank() - 1), 1, 1, s[-1]};
  return {flat, Layout(), *onednn::descriptor(flat, Layout(), onednn::Role::kImage)};
}

/// A primitive between two loops over channels; the variance lies in the workspace.
class BatchNormKernel : public Kernel {
 public:
  std::unique_ptr<onednn::PrimitiveKernel> primitive;
  std::function<void(const Arguments&, float*variance)> before, after;
  size_t variance_at = 0;  // bytes into the workspace

  void run(const Arguments& arguments) override {
    auto* variance =
        reinterpret_cast<float*>(static_cast<char*>(arguments.workspace) + variance_at);
    if (before) before(arguments, variance);
    primitive->run(arguments);
    if (after) after(arguments, variance);
  }
};

Prepared prepare_training(const Problem& problem) {
  const auto options = problem.get<BatchNormOptions>();
  const Image x = image_of(problem.inputs[0]);
  const int64_t channels = x.shape[3];
  const bool relu = options.activation == Activation::kRelu;
  normalization_flags flags = normalization_flags::use_scale | normalization_flags::use_shift;
  if (relu) flags |= normalization_flags::fuse_norm_relu;
  const dnnl::batch_normalization_forward::primitive_desc d(
      onednn::engine(), prop_kind::forward_training, x.descriptor, x.descriptor,
      static_cast<float>(options.epsilon), flags, onednn::attributes());
  onednn::refuse_reference(d);

  auto kernel = std::make_unique<BatchNormKernel>();
  kernel->primitive = std::make_unique<onednn::PrimitiveKernel>(
      dnnl::batch_normalization_forward(d), problem.threads);
  // The workspace: the scratchpad, the variance, and the mask of relu, which nobody reads: our
  // backward takes dy from before the activation.
  kernel->variance_at = aligned(d.scratchpad_desc().get_size());
  const size_t mask_at =
      kernel->variance_at + aligned(static_cast<size_t>(channels) * sizeof(float));
  onednn::PrimitiveKernel& p = *kernel->primitive;
  p.input(DNNL_ARG_SRC, d.src_desc(), 0);
  p.input(DNNL_ARG_SCALE, vector(channels), 1);
  p.input(DNNL_ARG_SHIFT, vector(channels), 2);
  p.output(DNNL_ARG_DST, d.dst_desc(), 0);
  p.output(DNNL_ARG_MEAN, vector(channels), 1);
  p.workspace(DNNL_ARG_VARIANCE, vector(channels), kernel->variance_at);
  p.workspace(DNNL_ARG_SCRATCHPAD, d.scratchpad_desc(), 0);
  if (relu) p.workspace(DNNL_ARG_WORKSPACE, d.workspace_desc(), mask_at);
  kernel->after = [options, channels](const Arguments& a, float* variance) {
    const auto* mean = static_cast<const float*>(a.outputs[1]);
    const auto* moving_mean = static_cast<const float*>(a.inputs[3]);
    const auto* moving_variance = static_cast<const float*>(a.inputs[4]);
    auto* inv_std = static_cast<float*>(a.outputs[2]);
    auto* new_mean = static_cast<float*>(a.outputs[3]);
    auto* new_variance = static_cast<float*>(a.outputs[4]);
    const double old = options.momentum, batch = 1 - options.momentum;
    for (int64_t c = 0; c < channels; ++c) {
      inv_std[c] = static_cast<float>(1 / std::sqrt(variance[c] + options.epsilon));
      new_mean[c] = static_cast<float>(old * moving_mean[c] + batch * mean[c]);
      new_variance[c] = static_cast<float>(old * moving_variance[c] + batch * variance[c]);
    }
  };

  Prepared prepared;
  prepared.inputs.resize(problem.inputs.size());
  prepared.outputs.resize(problem.outputs.size());
  prepared.inputs[0] = prepared.outputs[0] = x.layout;
  prepared.workspace = mask_at + (relu ? d.workspace_desc().get_size() : 0);
  prepared.detail = d.impl_info_str();
  prepared.kernel = std::move(kernel);
  return prepared;
}

Prepared prepare_backward(const Problem& problem) {
  const auto options = problem.get<BatchNormOptions>();
  const Image x = image_of(problem.inputs[0]);
  const int64_t channels = x.shape[3];
  const auto epsilon = static_cast<float>(options.epsilon);
  const auto flags = normalization_flags::use_scale | normalization_flags::use_shift;
  const dnnl::batch_normalization_forward::primitive_desc forward(
      onednn::engine(), prop_kind::forward_training, x.descriptor, x.descriptor, epsilon, flags);
  const dnnl::batch_normalization_backward::primitive_desc d(
      onednn::engine(), prop_kind::backward, x.descriptor, x.descriptor, x.descriptor, epsilon,
      flags, forward, onednn::attributes());
  onednn::refuse_reference(d);

  auto kernel = std::make_unique<BatchNormKernel>();
  kernel->primitive = std::make_unique<onednn::PrimitiveKernel>(
      dnnl::batch_normalization_backward(d), problem.threads);
  kernel->variance_at = aligned(d.scratchpad_desc().get_size());
  onednn::PrimitiveKernel& p = *kernel->primitive;
  p.input(DNNL_ARG_SRC, d.src_desc(), 0);
  p.input(DNNL_ARG_SCALE, vector(channels), 1);
  p.input(DNNL_ARG_MEAN, vector(channels), 2);
  p.input(DNNL_ARG_DIFF_DST, d.diff_dst_desc(), 4);
  p.output(DNNL_ARG_DIFF_SRC, d.diff_src_desc(), 0);
  p.output(DNNL_ARG_DIFF_SCALE, vector(channels), 1);
  p.output(DNNL_ARG_DIFF_SHIFT, vector(channels), 2);
  p.workspace(DNNL_ARG_VARIANCE, vector(channels), kernel->variance_at);
  p.workspace(DNNL_ARG_SCRATCHPAD, d.scratchpad_desc(), 0);
  kernel->before = [epsilon, channels](const Arguments& a, float* variance) {
    const auto* inv_std = static_cast<const float*>(a.inputs[3]);
    for (int64_t c = 0; c < channels; ++c) {
      const double inverse = inv_std[c];
      variance[c] = static_cast<float>(std::max(1 / (inverse * inverse) - epsilon, 0.0));
    }
  };

  Prepared prepared;
  prepared.inputs.resize(problem.inputs.size());
  prepared.outputs.resize(problem.outputs.size());
  prepared.inputs[0] = prepared.inputs[4] = prepared.outputs[0] = x.layout;
  prepared.workspace = kernel->variance_at + aligned(static_cast<size_t>(channels) * sizeof(float));
  prepared.detail = d.impl_info_str();
  prepared.kernel = std::move(kernel);
  return prepared;
}

std::string declines_training(const Problem& problem) {
  return problem.has_input(5) ? "adds no residual" : onednn::declines_by_type(problem);
}

/// Below our own `direct`, which passes over the data less often.
double efficiency(const Problem&) { return 0.4; }

const Register training({"batch_norm_training", "onednn", DeviceType::kCpu, declines_training,
                         onednn::prepare<prepare_training>, efficiency});
const Register backward({"batch_norm_training_backward", "onednn", DeviceType::kCpu,
                         onednn::declines_by_type, onednn::prepare<prepare_backward>, efficiency});

}  // namespace
}  // namespace striate::kernels
