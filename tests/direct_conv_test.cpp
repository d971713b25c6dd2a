// The `direct` convolution kernels against the reference: few channels and blocks, every kind of
// window, stride and padding, ends, several bands and parts, and both vector widths.
#include <gtest/gtest.h>
#include <striate/kernels/instruction_set.h>
#include <striate/tests/conv2d_cases.h>
#include <striate/tests/kernel_trial.h>

#include <cmath>

namespace striate::testing {
namespace {

/// The directions that the kernels take.
std::vector<Case> cases_of(const Conv2dSizes& s) {
  return {conv2d_forward(dense_case(s)), conv2d_backward_weight(dense_case(s))};
}

/// Images of few channels, and the same windows on blocks of channels.
std::vector<Conv2dSizes> sizes() {
  std::vector<Conv2dSizes> all;
  for (int64_t c : {1, 2, 3, 4, 13}) {
    all.push_back({2, 9, 7, c, 20});
    all.push_back({2, 9, 7, c, 6, 5, 1, 2});
    all.push_back({1, 8, 9, c, 16, 1, 1, Padding()});
    all.push_back({1, 8, 9, c, 9, Size2(1, 4), Size2(1, 2), Padding(0, 0, 1, 2)});
    all.push_back({1, 30, 31, c, 17, 11, 4, 2});
    all.push_back({3, 12, 13, c, 24, 7, 2, 3, 1, Activation::kRelu, true, true});
    all.push_back({2, 5, 5, c, 8, 3, 2, "same", 1, Activation::kSigmoid, false, false});
    all.push_back({1, 3, 3, c, 8, 3, 3, Padding()});
    all.push_back({1, 1, 1, c, 8, 3, 1, 1});  // taps that no pixel reaches
    all.push_back({1, 2, 2, c, 8, 3, 1, 4});  // outputs that see only padding
    all.push_back({2, 9, 9, c, 10, 3, 1, 2, 2});
    all.push_back({0, 5, 5, c, 8});
  }
  return all;
}

/// The first layers and strided ones of the named networks, at a small batch: bands and parts.
std::vector<Conv2dSizes> network_sizes() {
  return {{3, 28, 28, 1, 32},
          {20, 28, 28, 1, 6, 5, 1, 2, 1, Activation::kRelu},
          {2, 14, 14, 6, 16, 5, 1, Padding()},
          {1, 67, 67, 3, 64, 11, 4, 2},
          {1, 56, 56, 3, 64, 7, 2, 3},
          {2, 32, 32, 64, 72, 3, 2, 1},
          {2, 16, 16, 40, 96, 1, 2, Padding()},
          {2, 16, 16, 40, 96, 1, 1, Padding()}};
}

class DirectOn : public ::testing::TestWithParam<kernels::InstructionSet> {
 protected:
  void SetUp() override { before_ = kernels::limit_instruction_set(GetParam()); }
  void TearDown() override { kernels::limit_instruction_set(before_); }
  kernels::InstructionSet before_ = kernels::InstructionSet::kBaseline;
};

void run_sizes(const std::vector<Conv2dSizes>& sizes) {
  std::vector<Case> table;
  for (const Conv2dSizes& s : sizes)
    for (Case& c : cases_of(s)) table.push_back(std::move(c));
  run_table(table);
}

TEST_P(DirectOn, SmallSizes) { run_sizes(sizes()); }
TEST_P(DirectOn, NetworkSizes) { run_sizes(network_sizes()); }

INSTANTIATE_TEST_SUITE_P(Widths, DirectOn, ::testing::ValuesIn(widths_under_test()),
                         [](const auto& info) {
                           return info.param == kernels::InstructionSet::kAvx2 ? "Avx2" : "Avx512";
                         });

/// NaN and infinities are where the reference has them, and the padding of blocks stays zero.
TEST(Direct, KeepsNonFiniteValuesInPlace) {
  for (int64_t c : {3, 12})
    for (const Case& problem : cases_of({1, 7, 7, c, 10})) {
      std::vector<Values> inputs = draw_inputs(problem);
      inputs[0][static_cast<size_t>(10 * c)] = INFINITY;
      inputs[0][static_cast<size_t>(30 * c + 1)] = std::nan("");
      const auto expected = run_entry(problem, "reference", inputs);
      try {
        const auto values = run_entry(problem, "direct", inputs);
        for (size_t i = 0; i < values.size(); ++i)
          EXPECT_LT(nmse(values[i], expected[i]), 1e-10) << problem.describe();
      } catch (const KernelError& error) {  // blocks in conv2d, or no vectors on this processor
        EXPECT_NE(std::string(error.what()).find("declines"), std::string::npos);
      }
    }
}

}  // namespace
}  // namespace striate::testing
