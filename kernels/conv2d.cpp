#include <striate/kernels/conv2d.h>

namespace striate::kernels {

Conv2dShape conv2d_shape(const Problem& problem) {
  const auto& options = problem.get<Conv2dOptions>();
  const bool forward = problem.operation == "conv2d";
  const bool backward_input = problem.operation == "conv2d_backward_input";
  const Shape& x = backward_input ? problem.outputs[0].shape : problem.inputs[0].shape;
  const Shape& w = forward || backward_input ? problem.inputs[1].shape : problem.outputs[0].shape;
  const Window window =
      resolve_window(x, {w[1], w[2]}, options.strides, options.padding, options.dilation_rate);
  Conv2dShape s;
  s.N = x[0], s.H = x[1], s.W = x[2], s.C = x[3];
  s.K = w[0], s.R = w[1], s.S = w[2];
  s.P = window.out_height, s.Q = window.out_width;
  s.stride_h = options.strides.height, s.stride_w = options.strides.width;
  s.dilation_h = options.dilation_rate.height, s.dilation_w = options.dilation_rate.width;
  s.top = window.top, s.bottom = window.bottom, s.left = window.left, s.right = window.right;
  s.groups = options.groups;
  return s;
}

namespace {

Cost conv2d_cost(const Problem& problem) {
  Cost cost;
  cost.flops = 2.0 * static_cast<double>(conv2d_shape(problem).macs());
  for (const auto& v : problem.inputs)
    cost.bytes += static_cast<double>(v.shape.elements() * size_of(v.dtype));
  for (const auto& v : problem.outputs)
    cost.bytes += static_cast<double>(v.shape.elements() * size_of(v.dtype));
  return cost;
}
const RegisterCost forward_cost("conv2d", conv2d_cost);
const RegisterCost input_cost("conv2d_backward_input", conv2d_cost);
const RegisterCost weight_cost("conv2d_backward_weight", conv2d_cost);

}  // namespace
}  // namespace striate::kernels
