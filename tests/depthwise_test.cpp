// The `depthwise` convolution kernels against the reference: windows, strides, dilations, paddings,
// ends, several bands and parts, and both vector widths.
#include <gtest/gtest.h>
#include <striate/kernels/instruction_set.h>
#include <striate/tests/conv2d_cases.h>
#include <striate/tests/kernel_trial.h>

namespace striate::testing {
namespace {

class DepthwiseOn : public ::testing::TestWithParam<kernels::InstructionSet> {
 protected:
  void SetUp() override { before_ = kernels::limit_instruction_set(GetParam()); }
  void TearDown() override { kernels::limit_instruction_set(before_); }
  kernels::InstructionSet before_ = kernels::InstructionSet::kBaseline;
};

TEST_P(DepthwiseOn, AgreesWithTheReference) {
  std::vector<Case> table;
  for (const Conv2dSizes& s : std::vector<Conv2dSizes>{
           {2, 7, 9, 16, 16},
           {1, 9, 30, 40, 40, 3, 1, "same", 1, Activation::kRelu6, true, true},
           {2, 20, 21, 7, 7, 3, 2, "same", 1, Activation::kLeakyRelu, true, false},
           {1, 19, 18, 24, 24, 5, 1, 2, 1, Activation::kTanh, false, true},
           {3, 11, 12, 9, 9, 5, 2, Padding(1, 2, 0, 3)},
           {1, 12, 25, 16, 16, Size2(2, 3), Size2(3, 2), Padding()},
           {1, 9, 10, 8, 8, 5, 2, 2},
           {1, 9, 8, 8, 8, 7, 1, 3},
           {1, 14, 15, 33, 33, 3, 1, 2, 2},
           {1, 14, 15, 8, 8, 3, 2, Padding(), 2},
           {1, 1, 1, 8, 8, 3, 1, 1},
           {1, 2, 2, 8, 8, 3, 1, 4},
           {0, 5, 5, 8, 8},
           {18, 6, 6, 2, 2}})
    for (Case& c : all_directions(depthwise_case(s))) table.push_back(std::move(c));
  const bool vectors = kernels::instruction_set() != kernels::InstructionSet::kBaseline;
  for (const EntryCount& count : run_table(table)) {
    if (vectors && count.entry == "depthwise") {
      EXPECT_EQ(count.declined, 0) << count.reason;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, DepthwiseOn, ::testing::ValuesIn(widths_under_test()),
                         [](const auto& info) {
                           return info.param == kernels::InstructionSet::kAvx2 ? "Avx2" : "Avx512";
                         });

}  // namespace
}  // namespace striate::testing
