#include <gtest/gtest.h>
#include <striate/core/parallel.h>
#include <striate/core/step.h>
#include <striate/kernels/dropout.h>
#include <striate/kernels/instruction_set.h>
#include <striate/tests/kernel_table.h>
#include <striate/tests/printed_seed.h>

#include <cmath>
#include <cstring>

namespace striate::testing {
namespace {

Input step_block(uint64_t seed, int64_t step, int64_t first_sample) {
  StepBlock block;
  block.seed = seed;
  block.step = step;
  block.first_sample = first_sample;
  std::vector<uint8_t> bytes(sizeof block);
  std::memcpy(bytes.data(), &block, sizeof block);
  return Input::of<uint8_t>({static_cast<int64_t>(sizeof block)}, bytes);
}

Case dropout(const Shape& x, double rate, uint64_t seed = 7, int64_t step = 3,
             int64_t first_sample = 0) {
  return Case::of("dropout", DropoutOptions{rate}, {x, step_block(seed, step, first_sample)}, {x});
}

/// Return which of a case's elements are kept.
std::vector<bool> mask(Case c, const char* entry = "direct") {
  const size_t count = static_cast<size_t>(c.outputs[0].shape.elements());
  const auto inputs = draw_inputs(c);
  const Values y = run_entry(c, entry, {Values(count, 1.0), inputs[1]})[0];
  std::vector<bool> kept;
  for (double v : y) kept.push_back(v != 0);
  return kept;
}

double share(const std::vector<bool>& kept) {
  double sum = 0;
  for (bool k : kept) sum += k;
  return sum / static_cast<double>(kept.size());
}

const std::vector<Shape> kShapes = {
    {1},     {7},          {1, 1},       {3, 5},       {64, 128},      {16, 4096},    {2, 63},
    {2, 65}, {2, 3, 4},    {2, 5, 7, 3}, {2, 3, 3, 8}, {2, 4, 5, 20},  {1, 6, 6, 32}, {3, 2, 2, 24},
    {0, 10}, {2, 0, 3, 8}, {2, 3, 3, 0}, {2, 3, 3, 9}, {2, 14, 14, 64}};

TEST(Dropout, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const Shape& x : kShapes)
    for (double rate : {0.0, 0.25, 0.5, 0.9})
      for (const char* name : {"dropout", "dropout_backward"}) {
        table.push_back(dropout(x, rate));
        table.back().operation = name;
      }
  // Steps, seeds and samples beyond 32 bits.
  table.push_back(dropout({3, 50}, 0.5, 0x123456789ABCDEF0, int64_t{1} << 40, int64_t{5} << 33));
  run_table(table);
}

TEST(Dropout, RandomShapes) {
  PrintedSeed random;
  std::vector<Case> table;
  for (int i = 0; i < 20; ++i)
    table.push_back(dropout(
        {random.below(5), 1 + random.below(9), 1 + random.below(9), 1 + random.below(70)},
        static_cast<double>(random.below(100)) / 100, static_cast<uint64_t>(random.below(1 << 30)),
        random.below(1000), random.below(100000)));
  run_table(table);
}

TEST(Dropout, KeepsTheShareAskedForAndScalesIt) {
  for (double rate : {0.1, 0.5, 0.8}) {
    const auto kept = mask(dropout({100, 1000}, rate));
    EXPECT_NEAR(share(kept), 1 - rate, 5 * std::sqrt(rate * (1 - rate) / 1e5));
  }
  const Case c = dropout({4, 32}, 0.75);
  const Values y = run_entry(c, "direct", {Values(128, 2.0), draw_inputs(c)[1]})[0];
  for (double v : y) EXPECT_TRUE(v == 0 || v == 8) << v;
}

TEST(Dropout, TheMaskFollowsSeedStepSampleAndPath) {
  const Case c = dropout({8, 100}, 0.5);
  const auto kept = mask(c);
  EXPECT_NE(mask(dropout({8, 100}, 0.5, 8)), kept);
  EXPECT_NE(mask(dropout({8, 100}, 0.5, 7, 4)), kept);
  Case other = c;
  other.path = "other";
  EXPECT_NE(mask(other), kept);
  // Rows 3 and later of a batch, as a shard that begins at sample 3 sees them.
  const auto shard = mask(dropout({5, 100}, 0.5, 7, 3, 3));
  EXPECT_EQ(shard, std::vector<bool>(kept.begin() + 300, kept.end()));
}

TEST(Dropout, ADroppedNanIsZero) {
  const Case c = dropout({1, 64}, 0.5);
  const auto kept = mask(c);
  for (const char* entry : {"reference", "direct"}) {
    const Values y = run_entry(c, entry, {Values(64, std::nan("")), draw_inputs(c)[1]})[0];
    for (size_t i = 0; i < 64; ++i) EXPECT_EQ(std::isnan(y[i]), kept[i]);
  }
}

TEST(Dropout, ThreadsAndInstructionSetsChangeNoBit) {
  using kernels::InstructionSet;
  const Case c = dropout({9, 5000}, 0.3);
  const auto inputs = draw_inputs(c);
  const auto expected = run_entry(c, "direct", inputs);
  const int before = threads();
  for (int count : {1, 2, 5}) {
    set_threads(count);
    EXPECT_EQ(run_entry(c, "direct", inputs), expected);
  }
  set_threads(before);
  for (auto set : {InstructionSet::kBaseline, InstructionSet::kAvx2}) {
    const InstructionSet widest = kernels::limit_instruction_set(set);
    EXPECT_EQ(run_entry(c, "direct", inputs), expected);
    kernels::limit_instruction_set(widest);
  }
}

TEST(Dropout, GradientsAgreeWithDifferences) {
  for (const Shape& x : {Shape{3, 10}, Shape{2, 2, 3, 4}}) {
    GradientCase g;
    g.forward = dropout(x, 0.4);
    g.backward = "dropout_backward";
    g.inputs = {From::cotangent(0), From::input(1)};
    g.outputs = {0};
    check_gradient(g);
  }
}

}  // namespace
}  // namespace striate::testing
