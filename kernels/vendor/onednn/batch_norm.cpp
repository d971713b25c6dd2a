// The gradient of batch normalisation by oneDNN, in the layout that the image has.
//
// oneDNN keeps the variance, our operations keep 1 / sqrt(variance + epsilon): a short loop over
// channels converts. Its forward pass is left out: it takes the variance as a difference of means
// in one pass and loses all digits where the mean is far above the deviation; ours is no slower.
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

/// A primitive after a loop over channels that makes the variance in the workspace.
class BatchNormKernel : public Kernel {
 public:
  std::unique_ptr<onednn::PrimitiveKernel> primitive;
  std::function<void(const Arguments&, float* variance)> before;
  size_t variance_at = 0;  // bytes into the workspace

  void run(const Arguments& arguments) override {
    before(arguments,
           reinterpret_cast<float*>(static_cast<char*>(arguments.workspace) + variance_at));
    primitive->run(arguments);
  }
};

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

/// Measured against our own `direct`.
double efficiency(const Problem&) { return 0.4; }

const Register backward({"batch_norm_training_backward", "onednn", DeviceType::kCpu,
                         onednn::declines_by_type, onednn::prepare<prepare_backward>, efficiency});

}  // namespace
}  // namespace striate::kernels
