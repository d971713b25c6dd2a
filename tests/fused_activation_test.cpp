// Activations fused into convolutions and products: NaN stays visible, as in the layers apart.
#include <gtest/gtest.h>
#include <striate/kernels/matmul.h>

#include <cmath>
#include <limits>

#include "kernel_table.h"

namespace striate::testing {
namespace {

using kernels::Entry;

struct Fused {
  Shape x, w, y;
  Conv2dOptions options;
};

/// Every kind of convolution that some entry is made for.
std::vector<Fused> convolutions() {
  return {{{2, 6, 7, 16}, {32, 1, 1, 16}, {2, 6, 7, 32}, {}},
          {{2, 9, 9, 16}, {16, 3, 3, 16}, {2, 9, 9, 16}, {.padding = "same"}},
          {{1, 9, 9, 16}, {32, 3, 3, 16}, {1, 4, 4, 32}, {.strides = 2}},
          {{1, 12, 12, 1}, {16, 5, 5, 1}, {1, 8, 8, 16}, {}},
          {{1, 8, 8, 16}, {16, 3, 3, 1}, {1, 6, 6, 16}, {.groups = 16}},
          {{1, 7, 5, 3}, {5, 2, 3, 3}, {1, 6, 3, 5}, {}}};
}

/// Where the reference has NaN every entry has it, and -infinity beside it does no harm.
void check_bad_values(const Case& c) {
  std::vector<Values> inputs = draw_inputs(c);
  inputs[0][inputs[0].size() / 2] = std::nan("");
  inputs[0].back() = -std::numeric_limits<double>::infinity();
  const Values expected = run_entry(c, "reference", inputs)[0];
  ASSERT_GT(std::count_if(expected.begin(), expected.end(), [](double v) { return v != v; }), 0);
  for (const Entry* entry : kernels::entries(c.operation, DeviceType::kCpu)) {
    if (!kernels::refusal(*entry, c.problem()).empty()) continue;
    Values got;
    try {
      got = run_entry(c, entry->name, inputs)[0];
    } catch (const KernelError&) {
      continue;  // declined while it prepared
    }
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_TRUE(std::isnan(got[i]) || !std::isnan(expected[i]))
          << entry->name << " " << i << " of " << c.describe();
  }
}

class FusedActivation : public ::testing::TestWithParam<Activation> {};

TEST_P(FusedActivation, KeepsNaNInConvolutions) {
  for (Fused f : convolutions()) {
    f.options.activation = GetParam();
    f.options.negative_slope = 0.25;
    check_bad_values(
        Case::of("conv2d", f.options, {f.x, f.w, Input(Shape{f.y[3]})}, {Output(f.y)}));
  }
}

TEST_P(FusedActivation, KeepsNaNInProducts) {
  const MatmulOptions options{.activation = GetParam(), .negative_slope = 0.25};
  check_bad_values(Case::of("matmul", options, {Shape{9, 40}, Shape{40, 33}, Shape{33}},
                            {Output(Shape{9, 33})}));
}

TEST_P(FusedActivation, AgreesWithTheReference) {
  std::vector<Case> table;
  const bool exponential = GetParam() == Activation::kSigmoid || GetParam() == Activation::kTanh;
  for (Fused f : convolutions()) {
    f.options.activation = GetParam();
    f.options.negative_slope = 0.25;
    table.push_back(Case::of("conv2d", f.options, {f.x, f.w, Input(Shape{f.y[3]})}, {Output(f.y)},
                             exponential ? kTranscendentalLimit : kLimit));
  }
  run_table(table);
}

INSTANTIATE_TEST_SUITE_P(All, FusedActivation,
                         ::testing::Values(Activation::kRelu, Activation::kRelu6,
                                           Activation::kLeakyRelu, Activation::kSigmoid,
                                           Activation::kTanh),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace striate::testing
