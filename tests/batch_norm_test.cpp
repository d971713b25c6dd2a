#include <gtest/gtest.h>
#include <striate/core/parallel.h>
#include <striate/kernels/batch_norm.h>
#include <striate/kernels/instruction_set.h>
#include <striate/tests/kernel_table.h>
#include <striate/tests/printed_seed.h>

#include <cmath>

namespace striate::testing {
namespace {

using Fill = Input::Fill;

struct Form {
  bool residual = false;
  bool relu = false;
};
const Form kForms[] = {{false, false}, {true, false}, {false, true}, {true, true}};

BatchNormOptions options(const Form& form) {
  BatchNormOptions o;
  o.activation = form.relu ? Activation::kRelu : Activation::kNone;
  return o;
}

/// Elements of x lie in [low, high).
Case forward(const std::string& name, const Shape& x, const Form& form, double low = -1,
             double high = 1) {
  const Shape c = {x[-1]};
  std::vector<Input> inputs = {Input(x, Fill::kUniform, low, high), c, c, c,
                               Input(c, Fill::kUniform, 0.1, 2)};
  inputs.push_back(form.residual ? Input(x) : Input::absent(x));
  std::vector<Output> outputs = {x};
  if (name == "batch_norm_training") outputs.insert(outputs.end(), 4, c);
  return Case::of(name, options(form), inputs, outputs);
}

Case backward(const std::string& name, const Shape& x, double low = -1, double high = 1) {
  const Shape c = {x[-1]};
  return Case::of(name, BatchNormOptions(),
                  {Input(x, Fill::kUniform, low, high), c, Input(c, Fill::kUniform, low, high),
                   Input(c, Fill::kUniform, 0.5, 2), x},
                  {x, c, c});
}

void add_all(std::vector<Case>& table, const Shape& x) {
  for (const char* name : {"batch_norm_training", "batch_norm_inference"}) {
    for (const Form& form : kForms) table.push_back(forward(name, x, form));
    table.push_back(backward(name + std::string("_backward"), x));
  }
}

const std::vector<Shape> kShapes = {
    {4, 1},         {5, 3},          {300, 7},        {17, 64},       {9, 100},      {3, 2, 5},
    {1, 1, 1, 1},   {2, 3, 5, 8},    {3, 4, 4, 16},   {2, 5, 3, 20},  {2, 7, 7, 33}, {70, 2, 2, 16},
    {2, 40, 41, 6}, {2, 4, 4, 130},  {1, 9, 9, 128},  {33, 1, 1, 24}, {0, 4, 4, 3},  {2, 0, 4, 3},
    {2, 4, 4, 0},   {2, 2, 3, 2, 5}, {2, 32, 32, 64}, {4, 4, 4, 512}};

TEST(BatchNorm, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const Shape& x : kShapes) add_all(table, x);
  run_table(table);
}

TEST(BatchNorm, RandomShapes) {
  PrintedSeed random;
  std::vector<Case> table;
  for (int i = 0; i < 20; ++i)
    add_all(table,
            {random.below(8), 1 + random.below(12), 1 + random.below(12), 8 + random.below(72)});
  run_table(table);
}

TEST(BatchNorm, AMeanFarAboveTheDeviationCostsNoDigits) {
  std::vector<Case> table;
  for (const Shape& x : {Shape{32, 8, 8, 16}, Shape{4, 32, 32, 3}, Shape{2000, 5}})
    for (double mean : {-100.0, 1000.0, 10000.0}) {
      table.push_back(forward("batch_norm_training", x, {}, mean - 1, mean + 1));
      table.push_back(backward("batch_norm_training_backward", x, mean - 1, mean + 1));
    }
  run_table(table);
}

// All rows but one are alike, so that their results are small and all that is left of the mean's
// digits: what a float of 900 lacks is 0.7 to 8 % of their distance from it.
TEST(BatchNorm, RowsBesideTheMeanKeepTheirDigits) {
  constexpr size_t kRows = 12000;
  std::vector<DType> types = {DType::kF32};
  if (is_device_tested()) types.insert(types.end(), {DType::kF16, DType::kBF16});
  for (const int64_t channels : {3, 8})
    for (const DType type : types) {
      const Case c = forward("batch_norm_training", {kRows, channels}, {});
      std::vector<Values> inputs = draw_inputs(c);
      for (size_t i = 0; i < inputs[0].size(); ++i) inputs[0][i] = 900;
      const double apart[] = {4, 8, 12, 24, 4, 8, 12, 24};
      for (size_t k = 0; k < static_cast<size_t>(channels); ++k) inputs[0][k] += apart[k];
      inputs[2].assign(static_cast<size_t>(channels), 0);
      const Values expected = run_entry(c, "reference", inputs)[0];
      const Values made = run_entry(c.with_floats(type, 2), "direct", inputs)[0];
      for (size_t i = 0; i < made.size(); ++i)
        ASSERT_NEAR(made[i], expected[i], 0x1p-8 * std::abs(expected[i])) << i;
    }
}

// So many rows that a warp joins more moments of a channel than it has lanes, several times over.
TEST(BatchNorm, MomentsOfManyChunks) {
  std::vector<Case> table = {forward("batch_norm_training", {140000, 3}, {}, 0.5, 1.5),
                             backward("batch_norm_training_backward", {140000, 3})};
  for (Case& c : table) c.always = true;
  run_table(table);
}

TEST(BatchNorm, KnownValues) {
  BatchNormOptions o;
  o.epsilon = 0;
  o.momentum = 0.75;
  const Case c =
      Case::of("batch_norm_training", o,
               {Shape{4, 1}, Shape{1}, Shape{1}, Shape{1}, Shape{1}, Input::absent(Shape{4, 1})},
               {Shape{4, 1}, Shape{1}, Shape{1}, Shape{1}, Shape{1}});
  for (const char* entry : {"reference", "direct"}) {
    // Mean 3, biased variance 4.
    const auto out = run_entry(c, entry, {{1, 1, 5, 5}, {2}, {10}, {7}, {8}, {}});
    EXPECT_EQ(out[0], (Values{8, 8, 12, 12}));
    EXPECT_EQ(out[1], Values{3});
    EXPECT_EQ(out[2], Values{0.5});
    EXPECT_EQ(out[3], Values{0.75 * 7 + 0.25 * 3});
    EXPECT_EQ(out[4], Values{0.75 * 8 + 0.25 * 4});
  }
}

TEST(BatchNorm, AnEmptyBatchLeavesTheMovingStatistics) {
  const Case c = forward("batch_norm_training", {0, 3, 3, 2}, {});
  for (const char* entry : {"reference", "direct"}) {
    const auto out = run_entry(c, entry, {{}, {1, 1}, {0, 0}, {0.5, -2}, {3, 4}, {}});
    EXPECT_EQ(out[1], (Values{0, 0}));
    EXPECT_EQ(out[3], (Values{0.5, -2}));
    EXPECT_EQ(out[4], (Values{3, 4}));
  }
}

TEST(BatchNorm, NanReachesItsChannelOnly) {
  const Case c = forward("batch_norm_training", {8, 2}, {false, true});
  Values x(16, 1.0);
  for (size_t i = 0; i < 16; ++i) x[i] = static_cast<double>(i);
  x[6] = std::nan("");
  for (const char* entry : {"reference", "direct"}) {
    const auto out = run_entry(c, entry, {x, {1, 1}, {0, 0}, {0, 0}, {1, 1}, {}});
    for (size_t i = 0; i < 16; ++i) EXPECT_EQ(std::isnan(out[0][i]), i % 2 == 0) << i;
  }
}

TEST(BatchNorm, ThreadsChangeNoBit) {
  const int before = threads();
  for (const Case& c : {forward("batch_norm_training", {6, 33, 31, 24}, {true, true}),
                        backward("batch_norm_training_backward", {6, 33, 31, 24}),
                        backward("batch_norm_inference_backward", {5, 20, 20, 96})}) {
    const auto inputs = draw_inputs(c);
    set_threads(1);
    const auto one = run_entry(c, "direct", inputs);
    for (int count : {2, 3, 7}) {
      set_threads(count);
      EXPECT_EQ(run_entry(c, "direct", inputs), one) << count << " threads, " << c.describe();
    }
  }
  set_threads(before);
}

TEST(BatchNorm, EveryInstructionSetGivesTheSameBits) {
  using kernels::InstructionSet;
  for (const Shape& x : kShapes)
    for (const Case& c : {forward("batch_norm_training", x, {true, true}),
                          backward("batch_norm_training_backward", x)}) {
      const auto inputs = draw_inputs(c);
      const auto widest = run_entry(c, "direct", inputs);
      for (auto set : {InstructionSet::kBaseline, InstructionSet::kAvx2}) {
        const InstructionSet before = kernels::limit_instruction_set(set);
        const auto y = run_entry(c, "direct", inputs);
        kernels::limit_instruction_set(before);
        EXPECT_EQ(y, widest) << c.describe();
      }
    }
}

TEST(BatchNorm, GradientsAgreeWithDifferences) {
  for (const Shape& x : {Shape{6, 2}, Shape{2, 3, 2, 3}, Shape{3, 1, 1, 1}})
    for (bool training : {true, false}) {
      const std::string name = training ? "batch_norm_training" : "batch_norm_inference";
      GradientCase g;
      g.forward = forward(name, x, {});
      g.backward = name + "_backward";
      g.inputs = {From::input(0), From::input(1)};
      g.inputs.push_back(training ? From::output(1) : From::input(3));
      g.inputs.push_back(training ? From::output(2) : From::input(4));
      g.inputs.push_back(From::cotangent(0));
      g.outputs = {0, 1, 2};
      check_gradient(g);
    }
}

}  // namespace
}  // namespace striate::testing
