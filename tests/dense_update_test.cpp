// Dense updates against the reference: every option of the optimizers, shapes beside full bands,
// tiles and strips, work for several threads, both vector widths.
#include <gtest/gtest.h>
#include <striate/core/step.h>
#include <striate/kernels/dense_update.h>
#include <striate/kernels/instruction_set.h>
#include <striate/kernels/simd/dense_update_kernels.h>
#include <striate/tests/kernel_table.h>

#include <array>
#include <cstring>

namespace striate::testing {
namespace {

using Fill = Input::Fill;

Input step_block(int index) {
  StepBlock block;
  block.step = 2;
  block.learning_rate[index] = 0.1f;
  std::vector<uint8_t> bytes(sizeof block);
  std::memcpy(bytes.data(), &block, sizeof block);
  return Input::of(Shape{static_cast<int64_t>(bytes.size())}, bytes);
}

/// `states` state tensors; adam's second moment is not negative.
template <class Options>
Case update(const char* operation, Options options, std::array<int64_t, 3> sizes, int states) {
  const auto [k, m, n] = sizes;
  options.tensors = 1;
  std::vector<Input> inputs = {step_block(options.index), Shape{k, m}, Shape{k, n}};
  std::vector<Output> outputs;
  for (int role = 0; role <= states; ++role) {
    inputs.emplace_back(Shape{m, n}, Fill::kUniform, role == 2 ? 0 : -1, 1);
    outputs.emplace_back(Shape{m, n});
  }
  return Case::of(operation, options, inputs, outputs);
}

std::vector<Case> cases() {
  std::vector<Case> table;
  for (const auto& sizes : std::vector<std::array<int64_t, 3>>{{1, 1, 1},
                                                               {3, 5, 7},
                                                               {16, 8, 16},
                                                               {5, 9, 33},
                                                               {32, 13, 130},
                                                               {17, 30, 700},
                                                               {4, 100, 515},
                                                               {32, 70, 2100}}) {
    for (const SgdOptions& o : std::vector<SgdOptions>{
             {1, 0, 0, false, 0.01}, {1, 3, 0.9, false, 0}, {1, 0, 0.5, true, 0.1}})
      table.push_back(update("dense_sgd", o, sizes, o.momentum > 0 ? 1 : 0));
    table.push_back(update("dense_adam", AdamOptions{}, sizes, 2));
    table.push_back(update("dense_adam", AdamOptions{1, 2, 0.5, 0.9, 1e-3, 0.01}, sizes, 2));
  }
  return table;
}

class DenseUpdate : public ::testing::TestWithParam<kernels::InstructionSet> {
 protected:
  void SetUp() override { before_ = kernels::limit_instruction_set(GetParam()); }
  void TearDown() override { kernels::limit_instruction_set(before_); }
  kernels::InstructionSet before_ = kernels::InstructionSet::kBaseline;
};

TEST_P(DenseUpdate, AgreesWithTheReference) {
  if (is_device_tested()) return;  // where gradient and step stay apart
  const bool vectors = kernels::simd::dense_update_kernels() != nullptr;
  int entries = 0;
  for (const EntryCount& count : run_table(cases())) {
    if (count.entry != "direct") continue;
    ++entries;
    EXPECT_EQ(count.declined == 0, vectors) << count.reason;
  }
  EXPECT_EQ(entries, 2);  // dense_sgd and dense_adam
}

INSTANTIATE_TEST_SUITE_P(Widths, DenseUpdate,
                         ::testing::Values(kernels::InstructionSet::kAvx512,
                                           kernels::InstructionSet::kAvx2),
                         [](const auto& info) {
                           return info.param == kernels::InstructionSet::kAvx2 ? "Avx2" : "Avx512";
                         });

}  // namespace
}  // namespace striate::testing
