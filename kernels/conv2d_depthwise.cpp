// Depthwise convolution on the CPU: entry `depthwise` of conv2d, conv2d_backward_input and
// conv2d_backward_weight.
//
// They take as many groups as input and output channels, and any window, stride, dilation and
// padding, on images in blocks of 8 or 16 channels. Sums are in float, in an order that does not
// depend on the number of threads. The kernels: simd/depthwise.h.
#include <striate/kernels/conv2d_simd_plan.h>
#include <striate/kernels/elementwise.h>
#include <striate/kernels/instruction_set.h>

#include <algorithm>

namespace striate::kernels {
namespace {

using simd::DepthwiseKernels;
using simd::DirectPlan;
using simd::Finish;

std::string declines(const Problem& problem) {
  const std::string refusal = takes_float32(problem, 0, problem.inputs.size());
  if (!refusal.empty()) return refusal;
  const Conv2dShape s = conv2d_shape(problem);
  if (!s.is_depthwise() || s.C == 1) return "takes one input and one output channel a group";
  if (!simd::depthwise_kernels(s.C)) return "needs AVX2 with fused multiply-add, or AVX-512";
  return "";
}

const float* input(const Arguments& a, int i) { return static_cast<const float*>(a.inputs[i]); }
float* output(const Arguments& a, int i) { return static_cast<float*>(a.outputs[i]); }
float* workspace(const Arguments& a) { return static_cast<float*>(a.workspace); }

std::unique_ptr<Kernel> forward(const Problem& problem, const DepthwiseKernels& kernels,
                                DirectPlan& plan) {
  const auto& options = problem.get<Conv2dOptions>();
  kernels.plan_forward(plan);
  const Finish finish = finish_of(options);
  const bool bias = problem.has_input(2), residual = problem.has_input(3);
  return make_kernel([plan, kernels, finish, bias, residual](const Arguments& a) {
    Finish now = finish;
    if (bias) now.bias = input(a, 2);
    if (residual) now.residual = input(a, 3);
    kernels.forward(plan, input(a, 0), input(a, 1), now, output(a, 0), workspace(a));
  });
}

std::unique_ptr<Kernel> backward_input(const DepthwiseKernels& kernels, DirectPlan& plan) {
  if (plan.stride_h != 1 || plan.stride_w != 1)
    return make_kernel([plan, kernels](const Arguments& a) {
      kernels.backward_input(plan, input(a, 0), input(a, 1), output(a, 0));
    });
  std::swap(plan.in_h, plan.out_h);
  std::swap(plan.in_w, plan.out_w);
  plan.top = (plan.window_h - 1) * plan.dilation_h - plan.top;
  plan.left = (plan.window_w - 1) * plan.dilation_w - plan.left;
  plan.flipped = true;
  kernels.plan_forward(plan);
  return make_kernel([plan, kernels](const Arguments& a) {
    kernels.forward(plan, input(a, 0), input(a, 1), Finish(), output(a, 0), workspace(a));
  });
}

Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const DepthwiseKernels& kernels = *simd::depthwise_kernels(s.C);
  const std::string lanes = std::to_string(kernels.lanes);
  const Layout images = Layout::parse(std::string("aDbc") + lanes + "d");
  const Layout filters = Layout::parse(std::string("Abcd") + lanes + "a");
  DirectPlan plan = direct_plan(problem, s);
  Prepared prepared;
  prepared.detail = kernels.instruction_set;
  prepared.inputs.resize(problem.inputs.size());
  prepared.outputs.resize(problem.outputs.size());
  prepared.inputs[0] = images;
  if (problem.operation == "conv2d_backward_weight") {
    plan.bias = problem.get<Conv2dOptions>().bias;
    kernels.plan_backward_weight(plan);
    prepared.inputs[1] = images;
    prepared.outputs[0] = filters;
    prepared.kernel = make_kernel([plan, kernels](const Arguments& a) {
      kernels.backward_weight(plan, input(a, 0), input(a, 1), output(a, 0),
                              plan.bias ? output(a, 1) : nullptr, workspace(a));
    });
  } else {
    prepared.inputs[1] = filters;
    prepared.outputs[0] = images;
    if (problem.operation == "conv2d") {
      prepared.kernel = forward(problem, kernels, plan);
      if (problem.has_input(3)) prepared.inputs[3] = images;
    } else {
      prepared.kernel = backward_input(kernels, plan);
    }
  }
  prepared.workspace = static_cast<size_t>(plan.workspace);
  return prepared;
}

/// The share that direct sums would reach, as measured beside a library's, whose gradient of large
/// filters is slow.
double efficiency(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const DepthwiseKernels* kernels = simd::depthwise_kernels(s.C);
  if (!kernels) return 0.01;
  const bool weight = problem.operation == "conv2d_backward_weight";
  const bool wide = instruction_set() == InstructionSet::kAvx512;
  const double best = weight && s.R * s.S > 9 ? 1.5 : wide ? 0.9 : weight ? 0.62 : 0.66;
  const int64_t blocks = (s.C + kernels->lanes - 1) / kernels->lanes;
  return best * static_cast<double>(s.C) / static_cast<double>(blocks * kernels->lanes);
}

const bool added = [] {
  for (const char* operation : {"conv2d", "conv2d_backward_input", "conv2d_backward_weight"})
    Register({operation, "depthwise", DeviceType::kCpu, declines, prepare, efficiency});
  return true;
}();

}  // namespace
}  // namespace striate::kernels
