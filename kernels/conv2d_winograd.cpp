// Convolution by Winograd's method on the CPU: entries `winograd`, F(4x4, 3x3), and `winograd_2x2`,
// F(2x2, 3x3), for conv2d, conv2d_backward_input and conv2d_backward_weight.
//
// They take windows of 3x3, stride 1, one group, any padding and any extent. Images lie in blocks
// of 8 or 16 channels, filters in squares of 8x8 or 16x16. F(4x4) multiplies 4 times less than the
// definition and its rms error is about twice that of direct sums; it declines exact problems.
// F(2x2) multiplies 2.25 times less and is as exact as direct sums.
//
// A tile spreads a NaN or infinity of its input over all its outputs: there may be NaN in outputs
// up to 3 pixels from those that direct sums would make non-finite. In backward_weight one
// non-finite value makes all 3x3 weights of its channel NaN. The kernels: simd/winograd_*.h.
#include <striate/kernels/conv2d_simd_plan.h>
#include <striate/kernels/elementwise.h>
#include <striate/kernels/instruction_set.h>

#include <algorithm>

namespace striate::kernels {
namespace {

using simd::ConvKernels;
using simd::Finish;
using simd::WinogradKernels;
using simd::WinogradPlan;

/// One of the two sizes of tiles.
struct Method {
  const char* name;
  WinogradKernels ConvKernels::*kernels;
  int64_t out;  // outputs of a tile in each direction
  bool exact;   // as exact as direct sums
};
constexpr Method kFour = {"winograd", &ConvKernels::winograd_4x4, 4, false};
constexpr Method kTwo = {"winograd_2x2", &ConvKernels::winograd_2x2, 2, true};

const ConvKernels* kernels_for(const Conv2dShape& s) { return simd::conv_kernels(s.C, s.K); }

Layout images(const ConvKernels& k) {
  return Layout::parse(std::string("aDbc") + std::to_string(k.lanes) + "d");
}
Layout filters(const ConvKernels& k) {
  const std::string lanes = std::to_string(k.lanes);
  return Layout::parse(std::string("ADbc") + lanes + "d" + lanes + "a");
}

std::string declines(const Problem& problem, const Method& method) {
  const std::string refusal = takes_float32(problem, 0, problem.inputs.size());
  if (!refusal.empty()) return refusal;
  const Conv2dShape s = conv2d_shape(problem);
  if (s.R != 3 || s.S != 3) return "takes windows of 3x3";
  if (s.stride_h != 1 || s.stride_w != 1) return "takes stride 1";
  if (s.dilation_h != 1 || s.dilation_w != 1) return "takes no dilation";
  if (s.groups != 1) return "takes one group";
  if (problem.exact && !method.exact)
    return "its rounding error is twice that of direct sums, and exact sums are wanted";
  if (!kernels_for(s)) return "needs AVX2 with fused multiply-add, or AVX-512";
  if (problem.gate && problem.operation != "conv2d_backward_input")
    return "applies an activation's gradient to gradients of the input only";
  if (problem.gate && problem.gate.activation != Activation::kRelu)
    return "applies relu's gradient only";
  return "";
}

WinogradPlan plan_of(const Problem& problem, const Conv2dShape& s) {
  WinogradPlan plan;
  plan.workers = problem.threads;
  plan.n = s.N;
  plan.in_h = s.H, plan.in_w = s.W, plan.in_c = s.C;
  plan.out_h = s.P, plan.out_w = s.Q, plan.out_c = s.K;
  plan.top = s.top, plan.left = s.left;
  if (problem.operation == "conv2d_backward_input") {
    std::swap(plan.in_h, plan.out_h);
    std::swap(plan.in_w, plan.out_w);
    std::swap(plan.in_c, plan.out_c);
    plan.top = 2 - s.top, plan.left = 2 - s.left;
    plan.flipped = true;
  }
  return plan;
}

std::string detail(const ConvKernels& k, const Method& method, bool packed) {
  const std::string out = std::to_string(method.out);
  return "F(" + out + "x" + out + ",3x3) " + k.instruction_set + ", spreads NaN over a tile" +
         (packed ? ", filters transformed beforehand" : "");
}

int64_t tiles_of(const Problem& problem, const Conv2dShape& s, const Method& method) {
  const bool input = problem.operation == "conv2d_backward_input";
  const auto tiles = [&](int64_t extent) { return (extent + method.out - 1) / method.out; };
  return s.N * tiles(input ? s.H : s.P) * tiles(input ? s.W : s.Q);
}

/// Return whether the filters come transformed. In inference that is done once for all, and worth
/// the memory, up to four times that of the filters, where it saves more than 2 % of the work: 1.0
/// to 1.7 times as quick. In training it is done once a step, where the transformed ones stay in a
/// core's cache: it spares the threads a wait in each run. Larger ones, written and read from
/// memory, were .99 (14x14 64>128, batch 32) to .77 (4x4 512>512) times as quick.
bool takes_packed(const Problem& problem, const Conv2dShape& s, const Method& method) {
  constexpr int64_t kMostTiles = 256, kCache = 640 * 1024 / 4;
  const int64_t in = method.out + 2;
  return problem.is_lasting(1) &&
         (problem.weights_change ? in * in * s.C * s.K <= kCache
                                 : tiles_of(problem, s, method) <= kMostTiles);
}

Prepared prepare(const Problem& problem, const Method& method) {
  const Conv2dShape s = conv2d_shape(problem);
  const ConvKernels& table = *kernels_for(s);
  const WinogradKernels kernels = table.*method.kernels;
  WinogradPlan plan = plan_of(problem, s);
  Prepared prepared;
  plan.packed = takes_packed(problem, s, method);
  prepared.detail = detail(table, method, plan.packed);
  prepared.inputs.resize(problem.inputs.size());
  prepared.outputs.resize(problem.outputs.size());
  prepared.inputs[0] = images(table);

  if (problem.operation == "conv2d_backward_weight") {
    plan.bias = problem.get<Conv2dOptions>().bias;
    kernels.plan_backward_weight(plan);
    prepared.inputs[1] = images(table);
    prepared.outputs[0] = filters(table);
    prepared.kernel = make_kernel([plan, kernels](const Arguments& a) {
      kernels.backward_weight(plan, static_cast<const float*>(a.inputs[0]),
                              static_cast<const float*>(a.inputs[1]),
                              static_cast<float*>(a.outputs[0]),
                              plan.bias ? static_cast<float*>(a.outputs[1]) : nullptr,
                              static_cast<float*>(a.workspace));
    });
  } else {
    kernels.plan_forward(plan);
    prepared.inputs[1] = filters(table);
    if (plan.packed) {
      prepared.packing.input = 1;
      prepared.packing.bytes = static_cast<size_t>(plan.filters);
      prepared.packing.kernel = make_kernel([plan, kernels](const Arguments& a) {
        kernels.pack(plan, static_cast<const float*>(a.inputs[0]),
                     static_cast<float*>(a.outputs[0]));
      });
    }
    prepared.outputs[0] = images(table);
    Finish finish;
    const bool forward = problem.operation == "conv2d";
    const bool bias = forward && problem.has_input(2), residual = forward && problem.has_input(3);
    if (forward) {
      finish = finish_of(problem.get<Conv2dOptions>());
    }
    if (residual) {
      prepared.inputs[3] = images(table);
      prepared.in_place.push_back({0, 3, false});
    }
    const Gate gate = problem.gate;
    if (gate) prepared.inputs[static_cast<size_t>(gate.input)] = images(table);
    prepared.kernel =
        make_kernel([plan, kernels, finish, bias, residual, gate](const Arguments& a) {
          Finish now = finish;
          if (gate)
            now.gated = static_cast<const float*>(a.inputs[static_cast<size_t>(gate.input)]);
          if (bias) now.bias = static_cast<const float*>(a.inputs[2]);
          if (residual) now.residual = static_cast<const float*>(a.inputs[3]);
          kernels.forward(plan, static_cast<const float*>(a.inputs[0]),
                          static_cast<const float*>(a.inputs[1]), now,
                          static_cast<float*>(a.outputs[0]), static_cast<float*>(a.workspace));
        });
  }
  prepared.workspace = static_cast<size_t>(plan.workspace);
  return prepared;
}

/// The share of the roofline: 4 or 2.25 times fewer multiplications, less what partly empty tiles
/// and blocks and the transforms take. Taps on padding are taken off too, except for the weights:
/// it is compared with direct sums at their usual speed, which skip them. Fitted to measurements.
double efficiency(const Problem& problem, const Method& method) {
  const Conv2dShape s = conv2d_shape(problem);
  const ConvKernels* table = kernels_for(s);
  if (!table) return 0.01;
  const bool input = problem.operation == "conv2d_backward_input";
  const bool weight = problem.operation == "conv2d_backward_weight";
  const int64_t height = input ? s.H : s.P, width = input ? s.W : s.Q;
  const auto filled = [&](int64_t size, int64_t block) {
    return static_cast<double>(size) / static_cast<double>((size + block - 1) / block * block);
  };
  const auto inside = [](int64_t from, int64_t to) {  // of 3 taps at each of `to` places
    return from >= to + 2 ? 1.0 : static_cast<double>(3 * to - 2) / static_cast<double>(3 * to);
  };
  const double used =
      filled(height, method.out) * filled(width, method.out) * filled(s.C, table->lanes) *
      filled(s.K, table->lanes) *
      (weight ? 1 : inside(input ? s.P : s.H, height) * inside(input ? s.Q : s.W, width));
  // In units of one multiply-add: all products of a tile, its transforms, and a filter's transform.
  const bool four = method.out == 4;
  const auto c = static_cast<double>(s.C), k = static_cast<double>(s.K);
  const double products = (four ? 36 : 16) * c * k, ends = (four ? 200 : 90) * (c + k);
  // The gradient adds its tiles to as many transformed filters as there are products, in memory.
  const double filters = (weight ? (four ? 720 : 320) : four ? 150 : 75) * c * k;
  const auto tiles = static_cast<double>(tiles_of(problem, s, method));
  // Filters transformed beforehand are read from memory, as long as 10 products of each take.
  const double work = takes_packed(problem, s, method)
                          ? std::max(tiles * (products + ends), 10 * products)
                          : tiles * (products + ends) + filters;
  const double share = tiles * products / work;
  const bool wide = instruction_set() == InstructionSet::kAvx512;
  const double best = weight ? (wide ? 2.6 : 1.6) : wide ? 3.1 : 2.2;
  return std::max(0.01, (four ? 1 : 0.66) * best * used * share);
}

void add(const char* operation, const Method& method) {
  Entry entry;
  entry.operation = operation;
  entry.name = method.name;
  entry.declines = [method](const Problem& p) { return declines(p, method); };
  entry.prepare = [method](const Problem& p) { return prepare(p, method); };
  entry.efficiency = [method](const Problem& p) { return efficiency(p, method); };
  entry.gates = true;
  Register(std::move(entry));
}

const bool added = [] {
  for (const Method& method : {kFour, kTwo}) {
    add("conv2d", method);
    add("conv2d_backward_input", method);
    add("conv2d_backward_weight", method);
  }
  return true;
}();

}  // namespace
}  // namespace striate::kernels
