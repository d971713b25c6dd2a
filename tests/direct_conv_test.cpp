// The `direct` convolution kernels against the reference: few channels and blocks, every kind of
// window, stride and padding, ends, several bands and parts, and both vector widths.
#include <gtest/gtest.h>
#include <striate/kernels/instruction_set.h>
#include <striate/tests/conv2d_cases.h>
#include <striate/tests/kernel_trial.h>

#include <cmath>

namespace striate::testing {
namespace {

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

/// Images of 4x4 and less, whose products have rows from the whole batch: several chunks of it, a
/// part of one, and every way in which conv2d ends.
std::vector<Conv2dSizes> small_extents() {
  std::vector<Conv2dSizes> all;
  for (int64_t n : {1, 5, 31, 70})
    for (int64_t size : {1, 2, 3, 4}) {
      all.push_back({n, size, size, 16, 48});
      all.push_back({n, size, size, 21, 9, 3, 2, "same", 1, Activation::kRelu});
      all.push_back({n, size, size, 40, 16, 1, 1, Padding(), 1, Activation::kTanh, true, true});
      all.push_back({n, size, size, 9, 33, {3, 2}, {2, 1}, 2, {2, 1}, Activation::kRelu6});
    }
  for (int64_t size : {1, 2, 4}) {  // packed over the batch, whole and in chunks
    all.push_back({8, size, size, 40, 70});
    all.push_back({37, size, size, 70, 50, 3, 2, 1});
    all.push_back({9, size, size, 70, 50, {2, 3}, 1, 2, {1, 2}});
  }
  all.push_back({20, 4, 4, 400, 24});  // few images at a time, long sums in pieces
  all.push_back({2, 1, 1, 12, 20, 3, 1, 2, 1, Activation::kRelu, true, true});
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
    for (Case& c : all_directions(dense_case(s))) table.push_back(std::move(c));
  const bool vectors = !is_device_tested() &&  // whose `direct` takes few channels only
                       kernels::instruction_set() != kernels::InstructionSet::kBaseline;
  for (const EntryCount& count : run_table(table)) {
    if (vectors && count.entry == "direct") {  // it takes all but few channels dilated
      EXPECT_GE(count.ran, static_cast<int>(sizes.size()) * 9 / 10) << count.reason;
    }
  }
}

TEST_P(DirectOn, SmallSizes) { run_sizes(sizes()); }
TEST_P(DirectOn, SmallExtents) { run_sizes(small_extents()); }
TEST_P(DirectOn, NetworkSizes) { run_sizes(network_sizes()); }

INSTANTIATE_TEST_SUITE_P(Widths, DirectOn, ::testing::ValuesIn(widths_under_test()),
                         [](const auto& info) {
                           return info.param == kernels::InstructionSet::kAvx2 ? "Avx2" : "Avx512";
                         });

/// Where outputs are 2x2 it is expected to be the quickest, in all directions, with blocks.
TEST(Direct, ServesTheSmallestExtents) {
  if (is_device_tested() || kernels::instruction_set() == kernels::InstructionSet::kBaseline)
    return;
  const auto chosen = [](const Case& c) {
    kernels::Problem problem = c.problem();
    for (kernels::ValueDesc& v : problem.inputs)
      if (v.shape.rank() == 4) {
        const bool filters = v.shape[1] == 3;
        const bool wide = kernels::instruction_set() == kernels::InstructionSet::kAvx512;
        v.layout = Layout::parse(filters ? wide ? "ADbc16d16a" : "ADbc8d8a"
                                 : wide  ? "aDbc16d"
                                         : "aDbc8d");
      }
    return kernels::choose(problem).entry->name;
  };
  for (const Conv2dSizes& s :
       {Conv2dSizes{64, 2, 2, 256, 256, 3, 1, 1}, Conv2dSizes{64, 4, 4, 256, 512, 3, 2, 1}})
    for (const Case& c : all_directions(dense_case(s)))
      EXPECT_EQ(chosen(c), "direct") << c.describe();
  // Too few images or channels to be packed over the batch.
  for (const Conv2dSizes& s :
       {Conv2dSizes{4, 2, 2, 256, 256, 3, 1, 1}, Conv2dSizes{64, 2, 2, 16, 16, 3, 1, 1}}) {
    const Case c = conv2d_backward_weight(dense_case(s));
    EXPECT_NE(chosen(c), "direct") << c.describe();
  }
}

/// NaN and infinities are where the reference has them, and the padding of blocks stays zero.
TEST(Direct, KeepsNonFiniteValuesInPlace) {
  for (const Conv2dSizes& s :
       {Conv2dSizes{1, 7, 7, 3, 10}, Conv2dSizes{1, 7, 7, 12, 10}, Conv2dSizes{9, 4, 4, 40, 70}})
    for (const Case& problem : all_directions(dense_case(s))) {
      const int64_t c = s.c;
      std::vector<Values> inputs = draw_inputs(problem);
      inputs[0][static_cast<size_t>(10 * c)] = INFINITY;
      inputs[0][static_cast<size_t>(30 * c + 1)] = std::nan("");
      const auto expected = run_entry(problem, "reference", inputs);
      try {
        const auto values = run_entry(problem, "direct", inputs);
        for (size_t i = 0; i < values.size(); ++i)
          EXPECT_LT(nmse(values[i], expected[i]), 1e-10) << problem.describe();
      } catch (const KernelError& error) {  // no vectors on this processor
        EXPECT_NE(std::string(error.what()).find("declines"), std::string::npos);
      }
    }
}

}  // namespace
}  // namespace striate::testing
