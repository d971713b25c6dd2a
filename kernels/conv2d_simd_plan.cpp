#include <striate/kernels/activation_value.h>
#include <striate/kernels/conv2d_simd_plan.h>

#include <algorithm>
#include <numeric>

namespace striate::kernels {
namespace {

using simd::ConvAxis;

float sigmoid(float v) { return static_cast<float>(activate(Activation::kSigmoid, v, 0)); }
float tangent(float v) { return static_cast<float>(activate(Activation::kTanh, v, 0)); }

/// One direction of a convolution, by the names of Conv2dShape.
struct Direction {
  int64_t in, out, window, stride, dilation, before;
};

ConvAxis forward_axis(const Direction& d) {
  ConvAxis axis;
  axis.count = axis.out_size = d.out;
  axis.in_size = d.in;
  axis.in_step = d.stride;
  axis.offset = -d.before;
  axis.offset_step = d.dilation;
  axis.taps = axis.window = d.window;
  return axis;
}

/// The gradient at places phase, phase + stride, ...: place a + i * stride takes from window
/// i + (a + before - r * dilation) / stride those taps r for which the division leaves nothing.
ConvAxis backward_axis(const Direction& d, int64_t phase) {
  const int64_t common = std::gcd(d.stride, d.dilation), period = d.stride / common;
  ConvAxis axis;
  axis.first = phase;
  axis.step = d.stride;
  axis.out_size = d.in;
  axis.count = (d.in - phase + d.stride - 1) / d.stride;
  axis.in_size = d.out;
  axis.window = d.window;
  axis.offset_step = d.dilation / common;
  axis.index_step = -period;
  for (int64_t r = d.window - 1; r >= 0; --r) {  // the last tap reads the first window
    if ((phase + d.before - r * d.dilation) % d.stride != 0) continue;
    axis.index = r;
    axis.offset = (phase + d.before - r * d.dilation) / d.stride;
    axis.taps = r / period + 1;
    break;
  }
  return axis;
}

}  // namespace

std::vector<ConvAxes> axes_of(const Problem& problem, const Conv2dShape& s) {
  const Direction h{s.H, s.P, s.R, s.stride_h, s.dilation_h, s.top};
  const Direction w{s.W, s.Q, s.S, s.stride_w, s.dilation_w, s.left};
  if (problem.operation != "conv2d_backward_input") return {{forward_axis(h), forward_axis(w)}};
  std::vector<ConvAxes> phases;
  for (int64_t a = 0; a < std::min(s.stride_h, s.H); ++a)
    for (int64_t b = 0; b < std::min(s.stride_w, s.W); ++b)
      phases.push_back({backward_axis(h, a), backward_axis(w, b)});
  return phases;
}

simd::DirectPlan direct_plan(const Problem& problem, const Conv2dShape& s) {
  simd::DirectPlan plan;
  plan.n = s.N;
  plan.in_h = s.H, plan.in_w = s.W, plan.in_c = s.C;
  plan.out_h = s.P, plan.out_w = s.Q, plan.out_c = s.K;
  plan.window_h = s.R, plan.window_w = s.S;
  plan.stride_h = s.stride_h, plan.stride_w = s.stride_w;
  plan.dilation_h = s.dilation_h, plan.dilation_w = s.dilation_w;
  plan.top = s.top, plan.left = s.left;
  plan.workers = problem.threads;
  return plan;
}

simd::Finish finish_of(const Conv2dOptions& options) {
  simd::Finish finish;
  finish.activation = options.activation;
  finish.slope = static_cast<float>(options.negative_slope);
  if (options.activation == Activation::kSigmoid) finish.curve = sigmoid;
  if (options.activation == Activation::kTanh) finish.curve = tangent;
  return finish;
}

}  // namespace striate::kernels
