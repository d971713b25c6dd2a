// Convolution by its definition on the CPU: entry `direct`.
//
// conv2d takes images of at most 4 channels, such as a network's first, dense [N, H, W, C], and
// gives blocks of 8 or 16 channels. conv2d_backward_weight takes the same, and any number of
// channels in blocks. Any window, stride and padding; dilation with blocks only; one group. Sums
// are in float, in an order that does not depend on the number of threads. The kernels:
// simd/direct_*.h.
//
// Few channels are multiplied with their padding: an infinite filter or gradient makes NaN there.
#include <striate/kernels/conv2d_simd_plan.h>
#include <striate/kernels/elementwise.h>
#include <striate/kernels/instruction_set.h>

namespace striate::kernels {
namespace {

using simd::ConvKernels;
using simd::DirectKernels;
using simd::DirectPlan;
using simd::Finish;

constexpr int64_t kFewChannels = 4;

bool has_few_channels(const Conv2dShape& s) { return s.C <= kFewChannels; }

const ConvKernels* kernels_for(const Conv2dShape& s) {
  return simd::conv_kernels(has_few_channels(s) ? s.K : s.C, s.K);
}

std::string declines(const Problem& problem) {
  const std::string refusal = takes_float32(problem, 0, problem.inputs.size());
  if (!refusal.empty()) return refusal;
  const Conv2dShape s = conv2d_shape(problem);
  if (s.groups != 1) return "takes one group";
  if (has_few_channels(s)) {
    if (s.dilation_h != 1 || s.dilation_w != 1) return "takes no dilation of so few channels";
  } else if (problem.operation == "conv2d") {
    return "takes at most 4 input channels, got " + std::to_string(s.C);
  }
  if (!kernels_for(s)) return "needs AVX2 with fused multiply-add, or AVX-512";
  return "";
}

struct Layouts {
  Layout x, w, y;
};

Layouts layouts_of(const ConvKernels& table, bool few_channels) {
  const std::string lanes = std::to_string(table.lanes);
  const Layout blocks = Layout::parse(std::string("aDbc") + lanes + "d");
  if (few_channels) return {Layout(), Layout::parse(std::string("Abcd") + lanes + "a"), blocks};
  return {blocks, Layout::parse(std::string("ADbc") + lanes + "d" + lanes + "a"), blocks};
}

Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const ConvKernels& table = *kernels_for(s);
  const bool few = has_few_channels(s);
  const DirectKernels kernels = few ? table.few_channels : table.direct;
  const Layouts layouts = layouts_of(table, few);
  const auto& options = problem.get<Conv2dOptions>();
  DirectPlan plan = direct_plan(problem, s);
  Prepared prepared;
  prepared.detail = std::string(few ? "few channels " : "blocks ") + table.instruction_set;
  if (few) prepared.detail += ", spreads NaN at edges";
  prepared.inputs.resize(problem.inputs.size());
  prepared.outputs.resize(problem.outputs.size());
  prepared.inputs[0] = layouts.x;

  if (problem.operation == "conv2d") {
    kernels.plan_forward(plan);
    prepared.inputs[1] = layouts.w;
    prepared.outputs[0] = layouts.y;
    const Finish finish = finish_of(options);
    const bool bias = problem.has_input(2), residual = problem.has_input(3);
    if (residual) prepared.inputs[3] = layouts.y;
    prepared.kernel = make_kernel([plan, kernels, finish, bias, residual](const Arguments& a) {
      Finish now = finish;
      if (bias) now.bias = static_cast<const float*>(a.inputs[2]);
      if (residual) now.residual = static_cast<const float*>(a.inputs[3]);
      kernels.forward(plan, static_cast<const float*>(a.inputs[0]),
                      static_cast<const float*>(a.inputs[1]), now,
                      static_cast<float*>(a.outputs[0]), static_cast<float*>(a.workspace));
    });
  } else {
    plan.bias = options.bias;
    kernels.plan_backward_weight(plan);
    prepared.inputs[1] = layouts.y;
    prepared.outputs[0] = layouts.w;
    prepared.kernel = make_kernel([plan, kernels](const Arguments& a) {
      kernels.backward_weight(plan, static_cast<const float*>(a.inputs[0]),
                              static_cast<const float*>(a.inputs[1]),
                              static_cast<float*>(a.outputs[0]),
                              plan.bias ? static_cast<float*>(a.outputs[1]) : nullptr,
                              static_cast<float*>(a.workspace));
    });
  }
  prepared.workspace = static_cast<size_t>(plan.workspace);
  return prepared;
}

/// The share of the roofline, as measured.
double efficiency(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const ConvKernels* table = kernels_for(s);
  if (!table) return 0.01;
  const bool wide = instruction_set() == InstructionSet::kAvx512;
  const auto filled = [&](int64_t channels) {
    const int64_t blocks = (channels + table->lanes - 1) / table->lanes;
    return static_cast<double>(channels) / static_cast<double>(blocks * table->lanes);
  };
  if (has_few_channels(s)) {
    const bool grey = wide && s.C == 1;
    if (problem.operation == "conv2d_backward_weight") return (grey ? 0.9 : 1.4) * filled(s.K);
    if (s.K <= 8) return (wide ? 0.4 : 0.8) * filled(s.K);  // one column: few sums side by side
    return (grey ? 0.95 : wide ? 1.07 : 0.84) * filled(s.K);
  }
  const double best = s.R * s.S == 1 ? (wide ? 0.88 : 0.6) : wide ? 0.98 : 0.75;
  return best * filled(s.C) * filled(s.K);
}

void add(const char* operation) {
  Entry entry;
  entry.operation = operation;
  entry.name = "direct";
  entry.declines = declines;
  entry.prepare = prepare;
  entry.efficiency = efficiency;
  Register(std::move(entry));
}

const bool added = [] {
  add("conv2d");
  add("conv2d_backward_weight");
  return true;
}();

}  // namespace
}  // namespace striate::kernels
