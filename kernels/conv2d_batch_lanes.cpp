// Convolution with images in the lanes on the CPU: entry `batch_lanes` of conv2d,
// conv2d_backward_input and conv2d_backward_weight.
//
// Images lie in groups of 8 or 16, Abcd8a or Abcd16a, so that vectors are full whatever the number
// of channels: this is for networks whose channels are few. Any window, stride, padding and
// dilation; one group. Sums are in float, in an order that does not depend on the number of
// threads. The kernels: simd/batch_lanes*.h.
#include <striate/kernels/conv2d_simd_plan.h>
#include <striate/kernels/instruction_set.h>
#include <striate/kernels/simd/batch_lanes_kernels.h>

#include <algorithm>

namespace striate::kernels {
namespace {

using simd::BatchLanesKernels;
using simd::Finish;
using simd::LanesPlan;

std::string declines(const Problem& problem) {
  for (const auto& v : problem.inputs)
    if (v.dtype != DType::kF32) return std::string("takes float32, got ") + name_of(v.dtype);
  const Conv2dShape s = conv2d_shape(problem);
  if (s.groups != 1) return "takes one group";
  if (s.C == 0 || s.K == 0) return "takes at least one channel";
  if (!simd::batch_lanes_kernels(s.N)) return "needs AVX2 with fused multiply-add, or AVX-512";
  return "";
}

/// Return the plans with the images in groups of lanes.
std::vector<LanesPlan> plans_of(const Problem& problem, const Conv2dShape& s, int lanes) {
  LanesPlan plan;
  plan.groups = (s.N + lanes - 1) / lanes;
  plan.last = s.N - (plan.groups - 1) * lanes;
  return plans_of(plan, problem, s);
}

const float* input(const Arguments& a, int i) { return static_cast<const float*>(a.inputs[i]); }
float* output(const Arguments& a, int i) { return static_cast<float*>(a.outputs[i]); }
float* workspace(const Arguments& a) { return static_cast<float*>(a.workspace); }

Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const BatchLanesKernels& kernels = *simd::batch_lanes_kernels(s.N);
  const Layout images = Layout::parse("Abcd" + std::to_string(kernels.lanes) + "a");
  const auto& options = problem.get<Conv2dOptions>();
  std::vector<LanesPlan> plans = plans_of(problem, s, kernels.lanes);
  Prepared prepared;
  prepared.detail = kernels.instruction_set;
  prepared.inputs.resize(problem.inputs.size());
  prepared.outputs.resize(problem.outputs.size());
  prepared.inputs[0] = images;
  int64_t bytes = 0;
  if (problem.operation == "conv2d_backward_weight") {
    prepared.detail += ", spreads NaN at edges";
    prepared.inputs[1] = images;
    LanesPlan& plan = plans[0];
    plan.bias = options.bias;
    kernels.plan_backward_weight(plan);
    bytes = plan.workspace;
    prepared.kernel = make_kernel([plan, kernels](const Arguments& a) {
      kernels.backward_weight(plan, input(a, 0), input(a, 1), output(a, 0),
                              plan.bias ? output(a, 1) : nullptr, workspace(a));
    });
  } else {
    prepared.outputs[0] = images;
    for (LanesPlan& plan : plans) {
      kernels.plan_convolve(plan);
      bytes = std::max(bytes, plan.workspace);
    }
    const bool forward = problem.operation == "conv2d";
    const Finish finish = forward ? finish_of(options) : Finish();
    const bool bias = forward && problem.has_input(2), residual = forward && problem.has_input(3);
    if (residual) prepared.inputs[3] = images;
    prepared.kernel = make_kernel([plans, kernels, finish, bias, residual](const Arguments& a) {
      Finish now = finish;
      if (bias) now.bias = input(a, 2);
      if (residual) now.residual = input(a, 3);
      for (const LanesPlan& plan : plans)
        kernels.convolve(plan, input(a, 0), input(a, 1), now, output(a, 0), workspace(a));
    });
  }
  prepared.workspace = static_cast<size_t>(bytes);
  return prepared;
}

/// The share of the roofline, as measured. Where channels fill blocks as well, the layers around
/// this one do better in those, so less is claimed.
double efficiency(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const BatchLanesKernels* kernels = simd::batch_lanes_kernels(s.N);
  if (!kernels || s.N == 0) return 0.01;
  const int64_t groups = (s.N + kernels->lanes - 1) / kernels->lanes;
  const double filled = static_cast<double>(s.N) / static_cast<double>(groups * kernels->lanes);
  const bool forward = problem.operation == "conv2d";
  const bool weight = problem.operation == "conv2d_backward_weight";
  const bool many = s.K >= 24 && (forward || s.C >= 24);
  const double best = weight ? 0.8 : kernels->lanes == 16 ? 1.05 : 0.95;
  return best * filled * (many ? 0.7 : 1);
}

const bool added = [] {
  for (const char* operation : {"conv2d", "conv2d_backward_input", "conv2d_backward_weight"})
    Register({operation, "batch_lanes", DeviceType::kCpu, declines, prepare, efficiency});
  return true;
}();

}  // namespace
}  // namespace striate::kernels
