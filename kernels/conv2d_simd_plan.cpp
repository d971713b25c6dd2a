#include <striate/kernels/activation_value.h>
#include <striate/kernels/conv2d_simd_plan.h>

namespace striate::kernels {
namespace {

float sigmoid(float v) { return static_cast<float>(activate(Activation::kSigmoid, v, 0)); }
float tangent(float v) { return static_cast<float>(activate(Activation::kTanh, v, 0)); }

}  // namespace

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
