// Winograd's method against the reference: every extent around a tile, paddings, channels beside
// full blocks, fused ends, both orders of work, and both vector widths where the processor has
// them.
#include <gtest/gtest.h>
#include <striate/kernels/conv2d.h>
#include <striate/kernels/instruction_set.h>
#include <striate/tests/kernel_trial.h>

#include <cmath>

namespace striate::testing {
namespace {

struct Sizes {
  int64_t n, h, w, c, k;
  Padding padding = 1;
  Activation activation = Activation::kNone;
  bool bias = false, residual = false;
};

Conv2dOptions options_of(const Sizes& s) {
  Conv2dOptions options;
  options.padding = s.padding;
  options.activation = s.activation;
  options.negative_slope = 0.1;
  return options;
}

Case forward_case(const Sizes& s) {
  const Conv2dOptions options = options_of(s);
  const Window window = resolve_window({s.n, s.h, s.w, s.c}, 3, 1, s.padding, 1);
  const Shape x{s.n, s.h, s.w, s.c}, w{s.k, 3, 3, s.c};
  const Shape y{s.n, window.out_height, window.out_width, s.k};
  return Case::of("conv2d", options,
                  {x, w, s.bias ? Input({s.k}) : Input::absent({s.k}),
                   s.residual ? Input(y) : Input::absent(y)},
                  {y});
}

std::vector<Case> backward_cases(const Sizes& s) {
  Case forward = forward_case(s);
  Conv2dOptions options = options_of(s);
  options.activation = Activation::kNone;
  options.bias = s.bias;
  const Shape x = forward.inputs[0].shape, w = forward.inputs[1].shape;
  const Shape y = forward.outputs[0].shape;
  std::vector<Output> gradients = {w};
  if (s.bias) gradients.push_back(Shape{s.k});
  std::vector<Case> cases = {
      Case::of("conv2d_backward_input", options, {y, w, Input::like(x)}, {x}),
      Case::of("conv2d_backward_weight", options, {x, y, Input::like(w)}, gradients)};
  if (s.activation == Activation::kRelu) {  // which lies before the convolution, too
    cases.push_back(cases[0]);
    cases.back().inputs.push_back({x, Input::Fill::kUniform, -4.0, 8.0});
    cases.back().gate = {Activation::kRelu, 0, 3};
  }
  return cases;
}

std::vector<Sizes> small_sizes() {
  std::vector<Sizes> all;
  for (int64_t extent = 1; extent <= 9; ++extent) all.push_back({2, extent, 10 - extent, 5, 20});
  for (int64_t channels : {1, 7, 8, 9, 15, 16, 17, 31, 33, 40})
    all.push_back({1, 6, 7, channels, 41 - channels});
  all.push_back({2, 3, 3, 8, 16, Padding()});
  all.push_back({2, 9, 6, 8, 16, Padding()});
  all.push_back({2, 5, 6, 8, 16, 2});
  all.push_back({1, 5, 6, 16, 16, Padding(0, 1, 2, 1)});
  all.push_back({1, 5, 6, 16, 16, Padding(2, 0, 1, 2)});
  all.push_back({1, 4, 4, 16, 16, 3});
  all.push_back({0, 5, 5, 8, 8});
  for (Activation activation : {Activation::kNone, Activation::kRelu, Activation::kRelu6,
                                Activation::kLeakyRelu, Activation::kSigmoid, Activation::kTanh}) {
    all.push_back({2, 7, 6, 12, 21, 1, activation, true, false});
    all.push_back({2, 7, 6, 12, 21, 1, activation, true, true});
  }
  all.push_back({1, 5, 5, 8, 8, 1, Activation::kRelu, false, true});
  return all;
}

/// Sizes at which plans take their other turns: several chunks, all tiles first, parts.
std::vector<Sizes> large_sizes() {
  return {{3, 30, 29, 32, 64, 1, Activation::kRelu, true, false},
          {18, 16, 16, 104, 104, 1, Activation::kNone, true, true},
          {3, 8, 8, 136, 264, 1, Activation::kNone, true, true},
          {2, 4, 4, 512, 296, 1, Activation::kRelu, true, true}};
}

void run_sizes(const std::vector<Sizes>& sizes) {
  std::vector<Case> table;
  for (const Sizes& s : sizes) {
    table.push_back(forward_case(s));
    for (Case& c : backward_cases(s)) table.push_back(std::move(c));
  }
  run_table(table);
}

class WinogradOn : public ::testing::TestWithParam<kernels::InstructionSet> {
 protected:
  void SetUp() override { before_ = kernels::limit_instruction_set(GetParam()); }
  void TearDown() override { kernels::limit_instruction_set(before_); }
  kernels::InstructionSet before_ = kernels::InstructionSet::kBaseline;
};

TEST_P(WinogradOn, SmallSizes) { run_sizes(small_sizes()); }
TEST_P(WinogradOn, LargeSizes) { run_sizes(large_sizes()); }

INSTANTIATE_TEST_SUITE_P(Widths, WinogradOn, ::testing::ValuesIn(widths_under_test()),
                         [](const auto& info) {
                           return info.param == kernels::InstructionSet::kAvx2 ? "Avx2" : "Avx512";
                         });

TEST(Winograd, DeclinesWhatItCannotDoAndWhatMustBeExact) {
  const auto reason = [](const std::string& name, Conv2dOptions options, Shape w, bool exact) {
    Case c = Case::of("conv2d", options, {Shape{1, 9, 9, 8}, w, Input::absent(), Input::absent()},
                      {Shape{1, 9, 9, 16}});
    c.exact = exact;
    for (const auto* entry : kernels::entries("conv2d", DeviceType::kCpu))
      if (entry->name == name) return entry->declines(c.problem());
    return std::string("no such entry");
  };
  Conv2dOptions same, strided, dilated, grouped;
  same.padding = strided.padding = dilated.padding = grouped.padding = "same";
  strided.strides = Size2(1, 2);
  dilated.dilation_rate = 2;
  grouped.groups = 2;
  for (const char* name : {"winograd", "winograd_2x2"}) {
    EXPECT_EQ(reason(name, same, {16, 5, 5, 8}, false), "takes windows of 3x3");
    EXPECT_EQ(reason(name, strided, {16, 3, 3, 8}, false), "takes stride 1");
    EXPECT_EQ(reason(name, dilated, {16, 3, 3, 8}, false), "takes no dilation");
    EXPECT_EQ(reason(name, grouped, {16, 3, 3, 4}, false), "takes one group");
  }
  EXPECT_NE(reason("winograd", same, {16, 3, 3, 8}, true).find("exact"), std::string::npos);
  const auto before = kernels::limit_instruction_set(kernels::InstructionSet::kBaseline);
  EXPECT_NE(reason("winograd", same, {16, 3, 3, 8}, false).find("AVX2"), std::string::npos);
  kernels::limit_instruction_set(before);
}

/// One output channel per input channel: what a non-finite input may reach.
TEST(Winograd, SpreadsNonFiniteValuesNoFartherThanATile) {
  const Case c = forward_case({1, 12, 12, 16, 16});
  for (const double bad : {std::nan(""), static_cast<double>(INFINITY)}) {
    std::vector<Values> inputs = draw_inputs(c);
    inputs[0][static_cast<size_t>((5 * 12 + 6) * 16 + 3)] = bad;
    const Values direct = run_entry(c, "reference", inputs)[0];
    for (const char* name : {"winograd", "winograd_2x2"}) {
      std::string fault;
      try {
        const Values values = run_entry(c, name, inputs)[0];
        for (size_t i = 0; i < values.size() && fault.empty(); ++i) {
          const auto h = static_cast<int64_t>(i) / 16 / 12, w = static_cast<int64_t>(i) / 16 % 12;
          const bool near = std::abs(h - 5) <= 4 && std::abs(w - 6) <= 4;
          if (!std::isfinite(direct[i]) && std::isfinite(values[i])) fault = "hides it";
          if (!near && !std::isfinite(values[i])) fault = "spreads it";
        }
      } catch (const KernelError&) {  // this processor has no vectors for it
      }
      EXPECT_EQ(fault, "") << name;
    }
  }
}

TEST(Winograd, KeepsTheScaleOfTinyValues) {
  Case c = forward_case({1, 8, 8, 16, 16});
  c.inputs[0].low = -1e-37, c.inputs[0].high = 1e-37;  // the products are denormal or nearly so
  c.inputs[0].fill = Input::Fill::kDistinct;
  run_table({c});
}

}  // namespace
}  // namespace striate::testing
