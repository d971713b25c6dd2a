// Convolution and its gradients by oneDNN, in the layouts that its primitives pick.
//
// Images come and go in blocks of channels, also where oneDNN left alone would take a dense one
// (its kernels for strided gradients): the blocked kernels are as quick and a program needs no
// reorder.
#include <striate/kernels/conv2d.h>
#include <striate/kernels/vendor/onednn/onednn.h>

#include <utility>

namespace striate::kernels {
namespace {

using dnnl::algorithm;
using dnnl::memory;
using dnnl::prop_kind;
using onednn::Role;

using Forward = dnnl::convolution_forward::primitive_desc;
using BackwardInput = dnnl::convolution_backward_data::primitive_desc;
using BackwardWeight = dnnl::convolution_backward_weights::primitive_desc;

// The image, filters and output of a description, or their gradients.
memory::desc x_of(const Forward& d) { return d.src_desc(); }
memory::desc x_of(const BackwardInput& d) { return d.diff_src_desc(); }
memory::desc x_of(const BackwardWeight& d) { return d.src_desc(); }
memory::desc w_of(const Forward& d) { return d.weights_desc(); }
memory::desc w_of(const BackwardInput& d) { return d.weights_desc(); }
memory::desc w_of(const BackwardWeight& d) { return d.diff_weights_desc(); }
memory::desc y_of(const Forward& d) { return d.dst_desc(); }
memory::desc y_of(const BackwardInput& d) { return d.diff_dst_desc(); }
memory::desc y_of(const BackwardWeight& d) { return d.diff_dst_desc(); }

/// Return the layout of an image, filters or output. Throws KernelError when it has no tag.
Layout translated(const memory::desc& descriptor, const Shape& shape, Role role, int64_t groups) {
  const std::optional<Layout> layout = onednn::layout_of(descriptor, shape, role, groups);
  if (!layout) throw KernelError("oneDNN picks a layout that has no tag", shape.to_string());
  return *layout;
}

/// The descriptors that a primitive is asked for.
struct Wanted {
  memory::desc x, w, b, y;
};

/// The values of a problem as oneDNN sees them, layouts left open.
struct Values {
  Conv2dShape s;
  Shape x, w, y;
  memory::dims strides, dilation, before, after;
  Wanted open;

  explicit Values(const Problem& problem) : s(conv2d_shape(problem)) {
    x = {s.N, s.H, s.W, s.C}, w = {s.K, s.R, s.S, s.C / s.groups}, y = {s.N, s.P, s.Q, s.K};
    strides = {s.stride_h, s.stride_w}, dilation = {s.dilation_h - 1, s.dilation_w - 1};
    before = {s.top, s.left}, after = {s.bottom, s.right};
    open.x = onednn::any_layout(x, Role::kImage);
    open.w = onednn::any_layout(w, Role::kFilters, s.groups);
    open.y = onednn::any_layout(y, Role::kImage);
  }
  void add_bias() { open.b = {{s.K}, memory::data_type::f32, memory::format_tag::a}; }

  /// Describe by `make(wanted)`: with open layouts; then with images in blocks of channels where
  /// that gave dense ones; then with plain filters where theirs have no tag.
  template <class Make>
  auto describe(const Make& make) const {
    auto picked = make(open);
    onednn::refuse_reference(picked);
    Wanted blocked = open;
    const bool dense_x = block(blocked.x, x_of(picked), x);
    const bool dense_y = block(blocked.y, y_of(picked), y);
    if (dense_x || dense_y) {
      try {
        auto other = make(blocked);
        if (std::string(other.impl_info_str()).compare(0, 3, "jit") == 0) picked = other;
      } catch (const dnnl::error&) {  // there is no such kernel
      }
    }
    if (onednn::layout_of(w_of(picked), w, Role::kFilters, s.groups)) return picked;
    Wanted plain = {x_of(picked), *onednn::descriptor(w, Layout(), Role::kFilters, s.groups),
                    open.b, y_of(picked)};
    picked = make(plain);
    onednn::refuse_reference(picked);
    return picked;
  }

  Layout x_layout(const memory::desc& d) const { return translated(d, x, Role::kImage, 1); }
  Layout w_layout(const memory::desc& d) const {
    return translated(d, w, Role::kFilters, s.groups);
  }
  Layout y_layout(const memory::desc& d) const { return translated(d, y, Role::kImage, 1); }

 private:
  /// Ask for blocks of channels if `picked` is dense though it has a block of channels or more.
  static bool block(memory::desc& wanted, const memory::desc& picked, const Shape& shape) {
    const int64_t lanes = onednn::lanes();
    const std::optional<Layout> layout = onednn::layout_of(picked, shape, Role::kImage);
    if (shape[3] < lanes || !layout || layout->block_count() > 0) return false;
    const Layout blocks = Layout::parse("aDbc" + std::to_string(lanes) + "d");
    wanted = *onednn::descriptor(shape, blocks, Role::kImage);
    return true;
  }
};

/// The forward description that backward ones want as a hint.
Forward hint(const Values& v) {
  return {onednn::engine(),
          prop_kind::forward_training,
          algorithm::convolution_direct,
          v.open.x,
          v.open.w,
          v.open.y,
          v.strides,
          v.dilation,
          v.before,
          v.after};
}

Prepared prepare_forward(const Problem& problem) {
  const auto& options = problem.get<Conv2dOptions>();
  Values v(problem);
  if (problem.has_input(2)) v.add_bias();
  const bool residual = problem.has_input(3);
  dnnl::primitive_attr attributes = onednn::attributes();
  dnnl::post_ops post_ops;
  if (residual) post_ops.append_sum();
  onednn::append_activation(post_ops, options.activation, options.negative_slope);
  attributes.set_post_ops(post_ops);

  auto make = [&](const Wanted& m) {
    return Forward(
        onednn::engine(),
        problem.weights_change ? prop_kind::forward_training : prop_kind::forward_inference,
        algorithm::convolution_direct, m.x, m.w, m.b, m.y, v.strides, v.dilation, v.before, v.after,
        attributes);
  };
  const auto d = v.describe(make);

  auto kernel =
      std::make_unique<onednn::PrimitiveKernel>(dnnl::convolution_forward(d), problem.threads);
  kernel->input(DNNL_ARG_SRC, d.src_desc(), 0);
  kernel->input(DNNL_ARG_WEIGHTS, d.weights_desc(), 1);
  if (problem.has_input(2)) kernel->input(DNNL_ARG_BIAS, d.bias_desc(), 2);
  kernel->output(DNNL_ARG_DST, d.dst_desc(), 0);
  kernel->workspace(DNNL_ARG_SCRATCHPAD, d.scratchpad_desc(), 0);

  Prepared prepared;
  prepared.outputs = {v.y_layout(d.dst_desc())};
  prepared.inputs.resize(problem.inputs.size());
  prepared.inputs[0] = v.x_layout(d.src_desc());
  prepared.inputs[1] = v.w_layout(d.weights_desc());
  if (residual) {
    prepared.inputs[3] = prepared.outputs[0];
    prepared.in_place.push_back({0, 3, true});
  }
  prepared.workspace = d.scratchpad_desc().get_size();
  prepared.detail = d.impl_info_str();
  prepared.kernel = std::move(kernel);
  return prepared;
}

Prepared prepare_backward_input(const Problem& problem) {
  Values v(problem);
  auto make = [&](const Wanted& m) {
    return BackwardInput(onednn::engine(), algorithm::convolution_direct, m.x, m.w, m.y, v.strides,
                         v.dilation, v.before, v.after, hint(v), onednn::attributes());
  };
  const auto d = v.describe(make);

  auto kernel = std::make_unique<onednn::PrimitiveKernel>(dnnl::convolution_backward_data(d),
                                                          problem.threads);
  kernel->input(DNNL_ARG_DIFF_DST, d.diff_dst_desc(), 0);
  kernel->input(DNNL_ARG_WEIGHTS, d.weights_desc(), 1);
  kernel->output(DNNL_ARG_DIFF_SRC, d.diff_src_desc(), 0);
  kernel->workspace(DNNL_ARG_SCRATCHPAD, d.scratchpad_desc(), 0);

  Prepared prepared;
  prepared.inputs.resize(problem.inputs.size());
  prepared.inputs[0] = v.y_layout(d.diff_dst_desc());
  prepared.inputs[1] = v.w_layout(d.weights_desc());
  prepared.outputs = {v.x_layout(d.diff_src_desc())};
  prepared.workspace = d.scratchpad_desc().get_size();
  prepared.detail = d.impl_info_str();
  prepared.kernel = std::move(kernel);
  return prepared;
}

Prepared prepare_backward_weight(const Problem& problem) {
  Values v(problem);
  const bool bias = problem.get<Conv2dOptions>().bias;
  if (bias) v.add_bias();
  auto make = [&](const Wanted& m) {
    return BackwardWeight(onednn::engine(), algorithm::convolution_direct, m.x, m.w, m.b, m.y,
                          v.strides, v.dilation, v.before, v.after, hint(v), onednn::attributes());
  };
  const auto d = v.describe(make);

  auto kernel = std::make_unique<onednn::PrimitiveKernel>(dnnl::convolution_backward_weights(d),
                                                          problem.threads);
  kernel->input(DNNL_ARG_SRC, d.src_desc(), 0);
  kernel->input(DNNL_ARG_DIFF_DST, d.diff_dst_desc(), 1);
  kernel->output(DNNL_ARG_DIFF_WEIGHTS, d.diff_weights_desc(), 0);
  if (bias) kernel->output(DNNL_ARG_DIFF_BIAS, d.diff_bias_desc(), 1);
  kernel->workspace(DNNL_ARG_SCRATCHPAD, d.scratchpad_desc(), 0);

  Prepared prepared;
  prepared.inputs.resize(problem.inputs.size());
  prepared.inputs[0] = v.x_layout(d.src_desc());
  prepared.inputs[1] = v.y_layout(d.diff_dst_desc());
  prepared.outputs.resize(problem.outputs.size());
  prepared.outputs[0] = v.w_layout(d.diff_weights_desc());
  prepared.workspace = d.scratchpad_desc().get_size();
  prepared.detail = d.impl_info_str();
  prepared.kernel = std::move(kernel);
  return prepared;
}

std::string declines(const Problem& problem) {
  std::string reason = onednn::declines_activation(problem.get<Conv2dOptions>().activation);
  if (reason.empty()) reason = onednn::declines_by_type(problem);
  return reason.empty() && !conv2d_shape(problem).macs() ? "there is nothing to sum" : reason;
}

/// The share of the roofline, as measured on one core with AVX-512 and one with AVX2; blocks of
/// channels that are partly empty count as lost.
double efficiency(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const int64_t lanes = onednn::lanes();
  const auto filled = [lanes](int64_t channels) {
    return static_cast<double>(channels) /
           static_cast<double>((channels + lanes - 1) / lanes * lanes);
  };
  const bool weight = problem.operation == "conv2d_backward_weight";
  const double best = lanes == 16 ? (weight ? 0.95 : 1.05) : (weight ? 0.65 : 0.82);
  // Pictures of up to 4 channels have kernels of their own, but not in the gradient to the input.
  const bool picture = s.C <= 4 && problem.operation != "conv2d_backward_input";
  return best * filled(s.K) * (picture ? 1 : filled(s.C));
}

const Register conv2d({"conv2d", "onednn", DeviceType::kCpu, declines,
                       onednn::prepare<prepare_forward>, efficiency});
const Register conv2d_backward_input({"conv2d_backward_input", "onednn", DeviceType::kCpu, declines,
                                      onednn::prepare<prepare_backward_input>, efficiency});
const Register conv2d_backward_weight({"conv2d_backward_weight", "onednn", DeviceType::kCpu,
                                       declines, onednn::prepare<prepare_backward_weight>,
                                       efficiency});

}  // namespace
}  // namespace striate::kernels
