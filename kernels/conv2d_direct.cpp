// Convolution by its definition on the CPU: entry `direct`.
//
// Images of at most 4 channels, such as a network's first, are dense [N, H, W, C]; conv2d makes
// blocks of 8 or 16 channels of them. Others lie in blocks from the first. Any window, stride and
// padding; dilation with blocks only; one group. Sums are in float, in an order that does not
// depend on the number of threads. The kernels: simd/direct_*.h.
//
// Few channels are multiplied with their padding: an infinite filter or gradient makes NaN there.
#include <striate/kernels/conv2d_simd_plan.h>
#include <striate/kernels/elementwise.h>
#include <striate/kernels/instruction_set.h>

#include <algorithm>
#include <utility>

namespace striate::kernels {
namespace {

using simd::BlocksPlan;
using simd::ConvKernels;
using simd::DirectKernels;
using simd::DirectPlan;
using simd::Finish;

constexpr int64_t kFewChannels = 4;

/// True where the image is dense: the gradient to it is had in blocks.
bool has_few_channels(const Problem& problem, const Conv2dShape& s) {
  return s.C <= kFewChannels && problem.operation != "conv2d_backward_input";
}

const ConvKernels* kernels_for(const Problem& problem, const Conv2dShape& s) {
  return simd::conv_kernels(has_few_channels(problem, s) ? s.K : s.C, s.K);
}

std::string declines(const Problem& problem) {
  const std::string refusal = takes_float32(problem, 0, problem.inputs.size());
  if (!refusal.empty()) return refusal;
  const Conv2dShape s = conv2d_shape(problem);
  if (s.groups != 1) return "takes one group";
  if (has_few_channels(problem, s) && (s.dilation_h != 1 || s.dilation_w != 1))
    return "takes no dilation of so few channels";
  if (!kernels_for(problem, s)) return "needs AVX2 with fused multiply-add, or AVX-512";
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

const float* input(const Arguments& a, int i) { return static_cast<const float*>(a.inputs[i]); }
float* output(const Arguments& a, int i) { return static_cast<float*>(a.outputs[i]); }
float* workspace(const Arguments& a) { return static_cast<float*>(a.workspace); }

/// What is added before the activation, in conv2d.
struct Ends {
  Finish finish;
  bool bias = false, residual = false;

  explicit Ends(const Problem& problem) {
    if (problem.operation != "conv2d") return;
    finish = finish_of(problem.get<Conv2dOptions>());
    bias = problem.has_input(2), residual = problem.has_input(3);
  }
  Finish at(const Arguments& a) const {
    Finish now = finish;
    if (bias) now.bias = input(a, 2);
    if (residual) now.residual = input(a, 3);
    return now;
  }
};

/// Forward and backward to the input on blocks of channels.
std::unique_ptr<Kernel> blocks(const Problem& problem, const Conv2dShape& s,
                               const simd::BlocksKernels& kernels, size_t& bytes) {
  BlocksPlan plan;
  plan.n = s.N;
  std::vector<BlocksPlan> plans = plans_of(plan, problem, s);
  for (BlocksPlan& p : plans) {
    kernels.plan(p);
    bytes = std::max(bytes, static_cast<size_t>(p.workspace));
  }
  return make_kernel([plans, kernels, ends = Ends(problem)](const Arguments& a) {
    for (const BlocksPlan& p : plans)
      kernels.run(p, input(a, 0), input(a, 1), ends.at(a), output(a, 0), workspace(a));
  });
}

Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const ConvKernels& table = *kernels_for(problem, s);
  const bool few = has_few_channels(problem, s);
  const DirectKernels kernels = few ? table.few_channels : table.direct;
  const Layouts layouts = layouts_of(table, few);
  DirectPlan plan = direct_plan(problem, s);
  Prepared prepared;
  prepared.detail = std::string(few ? "few channels " : "blocks ") + table.instruction_set;
  if (few) prepared.detail += ", spreads NaN at edges";
  prepared.inputs.resize(problem.inputs.size());
  prepared.outputs.resize(problem.outputs.size());
  const bool input_gradient = problem.operation == "conv2d_backward_input";
  prepared.inputs[0] = input_gradient ? layouts.y : layouts.x;
  if (problem.operation == "conv2d_backward_weight") {
    plan.bias = problem.get<Conv2dOptions>().bias;
    kernels.plan_backward_weight(plan);
    prepared.inputs[1] = layouts.y;
    prepared.outputs[0] = layouts.w;
    prepared.kernel = make_kernel([plan, kernels](const Arguments& a) {
      kernels.backward_weight(plan, input(a, 0), input(a, 1), output(a, 0),
                              plan.bias ? output(a, 1) : nullptr, workspace(a));
    });
    prepared.workspace = static_cast<size_t>(plan.workspace);
    return prepared;
  }
  prepared.inputs[1] = layouts.w;
  prepared.outputs[0] = input_gradient ? layouts.x : layouts.y;
  if (problem.has_input(3)) prepared.inputs[3] = layouts.y;
  if (few) {
    kernels.plan_forward(plan);
    prepared.workspace = static_cast<size_t>(plan.workspace);
    prepared.kernel = make_kernel([plan, kernels, ends = Ends(problem)](const Arguments& a) {
      kernels.forward(plan, input(a, 0), input(a, 1), ends.at(a), output(a, 0), workspace(a));
    });
  } else {
    prepared.kernel = blocks(problem, s, table.blocks, prepared.workspace);
  }
  return prepared;
}

/// The share of the roofline, as measured.
double efficiency(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const ConvKernels* table = kernels_for(problem, s);
  if (!table) return 0.01;
  const bool wide = instruction_set() == InstructionSet::kAvx512;
  const auto filled = [&](int64_t channels) {
    const int64_t blocks = (channels + table->lanes - 1) / table->lanes;
    return static_cast<double>(channels) / static_cast<double>(blocks * table->lanes);
  };
  if (has_few_channels(problem, s)) {
    const bool grey = wide && s.C == 1;
    if (problem.operation == "conv2d_backward_weight") return (grey ? 0.9 : 1.4) * filled(s.K);
    if (s.K <= 8) return (wide ? 0.4 : 0.8) * filled(s.K);  // one column: few sums side by side
    return (grey ? 0.95 : wide ? 1.07 : 0.84) * filled(s.K);
  }
  // At 2x2 and below others multiply padding or leave most of their registers empty.
  const bool tiny = s.P * s.Q <= 4 && s.R * s.S > 1;
  const double channels = filled(s.C) * filled(s.K);
  if (problem.operation == "conv2d_backward_weight") {
    if (tiny) {
      DirectPlan plan = direct_plan(problem, s);
      table->direct.plan_backward_weight(plan);
      // Too few images or channels to be packed together: the sums have four terms at most.
      if (plan.images == 0) return channels * (wide ? 0.45 : 0.3);
      return channels * (wide ? 1.7 : 1.05);
    }
    return channels * (s.R * s.S == 1 ? (wide ? 0.88 : 0.6) : wide ? 0.98 : 0.75);
  }
  const auto outputs = static_cast<double>(s.N * s.P * s.Q);
  const bool turns = problem.operation == "conv2d_backward_input";  // the filters, each time
  const double turning = turns ? (outputs + 1) / (outputs + 25) : 1;
  if (tiny) return channels * (wide ? 1.45 : 1.0) * turning;
  return channels * (wide ? 0.95 : 0.68) * turning;
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
  add("conv2d_backward_input");
  add("conv2d_backward_weight");
  return true;
}();

}  // namespace
}  // namespace striate::kernels
