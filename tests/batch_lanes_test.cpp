// The convolution kernels with images in the lanes against the reference: full and partly empty
// groups, every kind of window, stride, dilation and padding, ends, bands and parts, and both
// vector widths.
#include <gtest/gtest.h>
#include <striate/kernels/instruction_set.h>
#include <striate/tests/conv2d_cases.h>
#include <striate/tests/kernel_trial.h>

#include <cmath>

namespace striate::testing {
namespace {

Conv2dCase sized(int64_t n, int64_t h, int64_t w, int64_t c, int64_t k, Size2 window,
                 Size2 strides = 1, Padding padding = {}, Size2 dilation = 1) {
  Conv2dCase made;
  made.N = n, made.H = h, made.W = w, made.C = c, made.K = k;
  made.window = window;
  made.options.strides = strides, made.options.padding = padding;
  made.options.dilation_rate = dilation;
  made.bias = true;
  return made;
}

std::vector<Conv2dCase> small_cases() {
  std::vector<Conv2dCase> cases;
  for (int64_t n : {1, 16, 21}) {
    cases.push_back(sized(n, 9, 7, 1, 6, 5, 1, 2));
    cases.push_back(sized(n, 6, 7, 6, 16, 5));
    cases.push_back(sized(n, 7, 9, 3, 7, 3, 2, "same"));
    cases.push_back(sized(n, 8, 9, 2, 5, {1, 4}, {1, 2}, Padding(0, 0, 1, 2)));
    cases.push_back(sized(n, 9, 9, 2, 3, 3, 1, 2, 2));
    cases.push_back(sized(n, 9, 10, 3, 3, {3, 2}, {2, 3}, 2, {3, 2}));  // gradients in 6 phases
    cases.push_back(sized(n, 9, 9, 2, 4, 3, 2, 2, 4));                  // dilation by whole strides
    cases.push_back(sized(n, 7, 7, 2, 13, 1, 3));                       // windows apart
    cases.push_back(sized(n, 1, 1, 4, 8, 3, 1, 1));  // taps that no pixel reaches
    cases.push_back(sized(n, 2, 2, 1, 2, 3, 1, 4));  // outputs that see only padding
  }
  cases.push_back(sized(3, 6, 6, 40, 70, 3, 1, 1));  // sums too large for parts
  cases.push_back(sized(0, 5, 5, 2, 3, 3));
  return cases;
}

/// Every way in which conv2d ends, with images left over.
std::vector<Conv2dCase> ends() {
  std::vector<Conv2dCase> cases;
  for (Activation activation : {Activation::kNone, Activation::kRelu, Activation::kRelu6,
                                Activation::kLeakyRelu, Activation::kSigmoid, Activation::kTanh})
    for (bool residual : {false, true}) {
      Conv2dCase c = sized(19, 6, 6, 3, 7, 3, 1, 1);
      c.options.activation = activation;
      c.options.negative_slope = 0.3;
      c.residual = residual;
      c.bias = !residual;
      cases.push_back(c);
    }
  return cases;
}

class BatchLanes : public ::testing::TestWithParam<kernels::InstructionSet> {
 protected:
  void SetUp() override { before_ = kernels::limit_instruction_set(GetParam()); }
  void TearDown() override { kernels::limit_instruction_set(before_); }
  kernels::InstructionSet before_ = kernels::InstructionSet::kBaseline;
};

void run(const std::vector<Conv2dCase>& cases) {
  std::vector<Case> table;
  for (const Conv2dCase& c : cases)
    for (Case& direction : all_directions(c)) table.push_back(std::move(direction));
  for (const EntryCount& count : run_table(table)) {
    if (count.entry == "batch_lanes") {
      EXPECT_EQ(count.declined, kernels::instruction_set() == kernels::InstructionSet::kBaseline
                                    ? static_cast<int>(cases.size())
                                    : 0)
          << count.reason;
    }
  }
}

TEST_P(BatchLanes, SmallSizes) { run(small_cases()); }
TEST_P(BatchLanes, Ends) { run(ends()); }
TEST_P(BatchLanes, Lenet) { run({sized(20, 28, 28, 1, 6, 5, 1, 2), sized(36, 14, 14, 6, 16, 5)}); }

INSTANTIATE_TEST_SUITE_P(Widths, BatchLanes, ::testing::ValuesIn(widths_under_test()),
                         [](const auto& info) {
                           return info.param == kernels::InstructionSet::kAvx2 ? "Avx2" : "Avx512";
                         });

/// NaN and infinities are where the reference has them, and lanes without an image stay zero.
TEST(BatchLanes, KeepsNonFiniteValuesInPlace) {
  for (const Case& problem : all_directions(sized(5, 7, 7, 3, 10, 3, 1, 1)))
    for (size_t place : {size_t{0}, size_t{1}}) {
      // A device's kernels multiply the padding's zeros with all filters, infinite ones too.
      if (place == 1 && is_device_tested()) continue;
      std::vector<Values> inputs = draw_inputs(problem);
      // Away from the edges: the gradient of the filters multiplies padding, see its head.
      Values& values = inputs[place];
      values[values.size() / 2] = INFINITY;
      values[values.size() / 2 + 1] = std::nan("");
      const auto expected = run_entry(problem, "reference", inputs);
      try {
        const auto made = run_entry(problem, "batch_lanes", inputs);
        for (size_t i = 0; i < made.size(); ++i)
          EXPECT_LT(nmse(made[i], expected[i]), 1e-10) << problem.describe() << " input " << place;
      } catch (const KernelError& error) {  // no vectors on this processor
        EXPECT_NE(std::string(error.what()).find("declines"), std::string::npos);
      }
    }
}

}  // namespace
}  // namespace striate::testing
