// Convolution and its gradients by oneDNN, in the layouts that its primitives pick.
//
// An input that lies in another layout than the pick is tried as it lies, and kept so when oneDNN
// then takes the same implementation: a reorder less.
#include <striate/kernels/conv2d.h>
#include <striate/kernels/vendor/onednn/onednn.h>

#include <utility>

namespace striate::kernels {
namespace {

using dnnl::algorithm;
using dnnl::memory;
using dnnl::prop_kind;
using onednn::Role;

struct Geometry {
  memory::dims strides, dilation, before, after;
};

Geometry geometry(const Conv2dShape& s) {
  return {{s.stride_h, s.stride_w},
          {s.dilation_h - 1, s.dilation_w - 1},
          {s.top, s.left},
          {s.bottom, s.right}};
}

/// The descriptors that a primitive is asked for.
struct Wanted {
  memory::desc x, w, b, y;
};

/// Describe by `make(wanted)` with free layouts; then with the images as they lie, where known.
template <class Make>
auto describe(const Make& make, const Wanted& free, const std::optional<memory::desc>& x,
              const std::optional<memory::desc>& y) {
  auto picked = make(free);
  onednn::refuse_reference(picked);
  for (const auto& [use_x, use_y] : {std::pair(true, true), {true, false}, {false, true}}) {
    if ((use_x && !x) || (use_y && !y) || (!use_x && !y)) continue;
    Wanted present = free;
    if (use_x) present.x = *x;
    if (use_y) present.y = *y;
    try {
      auto other = make(present);
      if (std::string(other.impl_info_str()) == picked.impl_info_str()) return other;
    } catch (const dnnl::error&) {  // not in that layout
    }
  }
  return picked;
}

Layout translated(const memory::desc& descriptor, const Shape& shape, Role role, int64_t groups) {
  const std::optional<Layout> layout = onednn::layout_of(descriptor, shape, role, groups);
  if (!layout) throw KernelError("oneDNN picks a layout that has no tag", shape.to_string());
  return *layout;
}

/// The values of a problem as oneDNN sees them.
struct Values {
  Conv2dShape s;
  Geometry g;
  Shape x, w, y;
  Wanted free;

  explicit Values(const Problem& problem) : s(conv2d_shape(problem)), g(geometry(s)) {
    x = {s.N, s.H, s.W, s.C}, w = {s.K, s.R, s.S, s.C / s.groups}, y = {s.N, s.P, s.Q, s.K};
    free.x = onednn::any_layout(x, Role::kImage);
    free.w = onednn::any_layout(w, Role::kFilters, s.groups);
    free.y = onednn::any_layout(y, Role::kImage);
  }
  memory::desc bias() const { return {{s.K}, memory::data_type::f32, memory::format_tag::a}; }
  std::optional<memory::desc> image(const ValueDesc& value) const {
    return onednn::descriptor(value.shape, value.layout, Role::kImage);
  }
  Layout image_layout(const memory::desc& d, const Shape& shape) const {
    return translated(d, shape, Role::kImage, 1);
  }
  Layout filter_layout(const memory::desc& d) const {
    return translated(d, w, Role::kFilters, s.groups);
  }
  /// Call `make` with free filters; if they come out in a layout without a tag, with plain ones.
  template <class Make, class Filters>
  auto with_filters(const Make& make, const Filters& filters) {
    auto description = make();
    if (onednn::layout_of(filters(description), w, Role::kFilters, s.groups)) return description;
    free.w = *onednn::descriptor(w, Layout(), Role::kFilters, s.groups);
    return make();
  }
};

/// The forward description that backward ones refer to as a hint.
dnnl::convolution_forward::primitive_desc hint(const Values& v) {
  return {onednn::engine(),
          prop_kind::forward_training,
          algorithm::convolution_direct,
          v.free.x,
          v.free.w,
          v.free.y,
          v.g.strides,
          v.g.dilation,
          v.g.before,
          v.g.after};
}

Prepared prepare_forward(const Problem& problem) {
  const auto& options = problem.get<Conv2dOptions>();
  Values v(problem);
  if (problem.has_input(2)) v.free.b = v.bias();
  const bool residual = problem.has_input(3);
  dnnl::primitive_attr attributes = onednn::attributes();
  dnnl::post_ops post_ops;
  if (residual) post_ops.append_sum();
  onednn::append_activation(post_ops, options.activation, options.negative_slope);
  attributes.set_post_ops(post_ops);

  auto make = [&](const Wanted& m) {
    return dnnl::convolution_forward::primitive_desc(
        onednn::engine(),
        problem.weights_change ? prop_kind::forward_training : prop_kind::forward_inference,
        algorithm::convolution_direct, m.x, m.w, m.b, m.y, v.g.strides, v.g.dilation, v.g.before,
        v.g.after, attributes);
  };
  const auto d = v.with_filters(
      [&] {
        return describe(make, v.free, v.image(problem.inputs[0]),
                        residual ? v.image(problem.inputs[3]) : std::nullopt);
      },
      [](const auto& made) { return made.weights_desc(); });

  auto kernel =
      std::make_unique<onednn::PrimitiveKernel>(dnnl::convolution_forward(d), problem.threads);
  kernel->input(DNNL_ARG_SRC, d.src_desc(), 0);
  kernel->input(DNNL_ARG_WEIGHTS, d.weights_desc(), 1);
  if (problem.has_input(2)) kernel->input(DNNL_ARG_BIAS, d.bias_desc(), 2);
  kernel->output(DNNL_ARG_DST, d.dst_desc(), 0);
  kernel->workspace(DNNL_ARG_SCRATCHPAD, d.scratchpad_desc(), 0);

  Prepared prepared;
  prepared.outputs = {v.image_layout(d.dst_desc(), v.y)};
  prepared.inputs.resize(problem.inputs.size());
  prepared.inputs[0] = v.image_layout(d.src_desc(), v.x);
  prepared.inputs[1] = v.filter_layout(d.weights_desc());
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
    return dnnl::convolution_backward_data::primitive_desc(
        onednn::engine(), algorithm::convolution_direct, m.x, m.w, m.y, v.g.strides, v.g.dilation,
        v.g.before, v.g.after, hint(v), onednn::attributes());
  };
  const auto d = v.with_filters(
      [&] { return describe(make, v.free, std::nullopt, v.image(problem.inputs[0])); },
      [](const auto& made) { return made.weights_desc(); });

  auto kernel = std::make_unique<onednn::PrimitiveKernel>(dnnl::convolution_backward_data(d),
                                                          problem.threads);
  kernel->input(DNNL_ARG_DIFF_DST, d.diff_dst_desc(), 0);
  kernel->input(DNNL_ARG_WEIGHTS, d.weights_desc(), 1);
  kernel->output(DNNL_ARG_DIFF_SRC, d.diff_src_desc(), 0);
  kernel->workspace(DNNL_ARG_SCRATCHPAD, d.scratchpad_desc(), 0);

  Prepared prepared;
  prepared.inputs.resize(problem.inputs.size());
  prepared.inputs[0] = v.image_layout(d.diff_dst_desc(), v.y);
  prepared.inputs[1] = v.filter_layout(d.weights_desc());
  prepared.outputs = {v.image_layout(d.diff_src_desc(), v.x)};
  prepared.workspace = d.scratchpad_desc().get_size();
  prepared.detail = d.impl_info_str();
  prepared.kernel = std::move(kernel);
  return prepared;
}

Prepared prepare_backward_weight(const Problem& problem) {
  Values v(problem);
  const bool bias = problem.get<Conv2dOptions>().bias;
  if (bias) v.free.b = v.bias();
  auto make = [&](const Wanted& m) {
    return dnnl::convolution_backward_weights::primitive_desc(
        onednn::engine(), algorithm::convolution_direct, m.x, m.w, m.b, m.y, v.g.strides,
        v.g.dilation, v.g.before, v.g.after, hint(v), onednn::attributes());
  };
  const auto d = v.with_filters(
      [&] {
        return describe(make, v.free, v.image(problem.inputs[0]), v.image(problem.inputs[1]));
      },
      [](const auto& made) { return made.diff_weights_desc(); });

  auto kernel = std::make_unique<onednn::PrimitiveKernel>(dnnl::convolution_backward_weights(d),
                                                          problem.threads);
  kernel->input(DNNL_ARG_SRC, d.src_desc(), 0);
  kernel->input(DNNL_ARG_DIFF_DST, d.diff_dst_desc(), 1);
  kernel->output(DNNL_ARG_DIFF_WEIGHTS, d.diff_weights_desc(), 0);
  if (bias) kernel->output(DNNL_ARG_DIFF_BIAS, d.diff_bias_desc(), 1);
  kernel->workspace(DNNL_ARG_SCRATCHPAD, d.scratchpad_desc(), 0);

  Prepared prepared;
  prepared.inputs.resize(problem.inputs.size());
  prepared.inputs[0] = v.image_layout(d.src_desc(), v.x);
  prepared.inputs[1] = v.image_layout(d.diff_dst_desc(), v.y);
  prepared.outputs.resize(problem.outputs.size());
  prepared.outputs[0] = v.filter_layout(d.diff_weights_desc());
  prepared.workspace = d.scratchpad_desc().get_size();
  prepared.detail = d.impl_info_str();
  prepared.kernel = std::move(kernel);
  return prepared;
}

std::string declines(const Problem& problem) {
  const std::string reason = onednn::declines_by_type(problem);
  return reason.empty() && !conv2d_shape(problem).macs() ? "there is nothing to sum" : reason;
}

double efficiency(const Problem&) { return 0.8; }

const Register conv2d({"conv2d", "onednn", DeviceType::kCpu, declines,
                       onednn::prepare<prepare_forward>, efficiency});
const Register conv2d_backward_input({"conv2d_backward_input", "onednn", DeviceType::kCpu, declines,
                                      onednn::prepare<prepare_backward_input>, efficiency});
const Register conv2d_backward_weight({"conv2d_backward_weight", "onednn", DeviceType::kCpu,
                                       declines, onednn::prepare<prepare_backward_weight>,
                                       efficiency});

}  // namespace
}  // namespace striate::kernels
