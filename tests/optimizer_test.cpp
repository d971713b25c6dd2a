#include <gtest/gtest.h>
#include <striate/core/step.h>
#include <striate/kernels/optimizer.h>
#include <striate/tests/kernel_table.h>
#include <striate/tests/printed_seed.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace striate::testing {
namespace {

using Fill = Input::Fill;
const char* const kEntries[] = {"reference", "direct"};

Values block_bytes(int64_t step, float learning_rate, int index) {
  StepBlock block;
  block.step = step;
  block.learning_rate[index] = learning_rate;
  std::vector<uint8_t> bytes(sizeof block);
  std::memcpy(bytes.data(), &block, sizeof block);
  return {bytes.begin(), bytes.end()};
}

Input step_block(int64_t step = 2, float learning_rate = 0.1f, int index = 0) {
  const Values bytes = block_bytes(step, learning_rate, index);
  return Input::of(Shape{static_cast<int64_t>(bytes.size())},
                   std::vector<uint8_t>(bytes.begin(), bytes.end()));
}

/// `states` state tensors per weight; those of adam's second moment are not negative.
template <class Options>
Case optimizer_case(const char* operation, Options options, const std::vector<Shape>& shapes,
                    int states, bool clip) {
  options.tensors = static_cast<int>(shapes.size());
  std::vector<Input> inputs = {step_block(2, 0.1f, options.index),
                               clip ? Input({1}, Fill::kUniform, 0.2, 0.9) : Input::absent({1})};
  std::vector<Output> outputs;
  for (int role = 0; role < 2 + states; ++role)
    for (const Shape& shape : shapes) {
      inputs.emplace_back(shape, Fill::kUniform, role == 3 ? 0 : -1, 1);
      if (role != 1) outputs.emplace_back(shape);
    }
  return Case::of(operation, options, inputs, outputs);
}

Case sgd_case(const SgdOptions& options, const std::vector<Shape>& shapes, bool clip = false) {
  return optimizer_case("sgd", options, shapes, options.momentum > 0 ? 1 : 0, clip);
}
Case adam_case(const AdamOptions& options, const std::vector<Shape>& shapes, bool clip = false) {
  return optimizer_case("adam", options, shapes, 2, clip);
}

const std::vector<SgdOptions> kSgd = {{0, 0, 0, false, 0},    {0, 1, 0, false, 0.01},
                                      {0, 0, 0.9, false, 0},  {0, 7, 0.9, true, 0},
                                      {0, 0, 0.5, true, 0.1}, {0, 2, 0.9, false, 0.05}};
const std::vector<AdamOptions> kAdam = {
    {}, {0, 3, 0.9, 0.999, 1e-7, 0.01}, {0, 0, 0.5, 0.9, 1e-3, 0}, {0, 0, 0, 0.99, 1e-8, 0}};
const std::vector<std::vector<Shape>> kLists = {
    {{1}},
    {{}},
    {{0}},
    {{3, 3, 1, 32}, {32}, {10, 7}, {10}},
    {{0}, {5}, {0, 3}, {7}},
    {{64, 3, 3, 20}, {64}, {1, 1, 1, 1}},
    {{2500}},  // as a view several turns, one by one
};

TEST(Optimizer, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const auto& shapes : kLists)
    for (bool clip : {false, true}) {
      for (const SgdOptions& options : kSgd) table.push_back(sgd_case(options, shapes, clip));
      for (const AdamOptions& options : kAdam) table.push_back(adam_case(options, shapes, clip));
    }
  const std::vector<Shape> several_chunks = {{3}, {33000}, {16384}, {16385}};
  table.push_back(sgd_case(kSgd[3], several_chunks));
  table.push_back(adam_case(kAdam[1], several_chunks));
  run_table(table);
}

// Weights of 16 bits, the scale of their gradients in float32.
TEST(Optimizer, GradientsOf16BitsAreScaled) {
  std::vector<Case> table;
  for (const DType type : {DType::kF16, DType::kBF16}) {
    std::vector<Case> cases = {adam_case({}, {{70}}, true)};
    for (const SgdOptions& options : {kSgd[0], kSgd[2], kSgd[3]})
      cases.push_back(sgd_case(options, {{70}}, true));
    for (const Case& c : cases) {
      table.push_back(c.with_floats(type));
      table.back().inputs[1].dtype = DType::kF32;
      table.back().limit = 0x1p-16;
    }
  }
  run_table(table);
}

TEST(Optimizer, RandomProblems) {
  PrintedSeed random;
  std::vector<Case> table;
  for (int i = 0; i < 12; ++i) {
    std::vector<Shape> shapes;
    for (int64_t k = 1 + random.below(6); k > 0; --k)
      shapes.push_back(random.below(2) ? Shape{random.below(9000)}
                                       : Shape{1 + random.below(9), 3, 3, 1 + random.below(40)});
    table.push_back(sgd_case({0, 0, random.below(2) * 0.9, random.below(2) > 0, 0.01}, shapes));
    table.push_back(adam_case({}, shapes, true));
  }
  run_table(table);
}

/// Run `steps` steps of an entry, each on the outputs of the one before and new gradients.
std::vector<Values> run_steps(const Case& c, const std::string& entry, int tensors, int steps,
                              const std::vector<std::vector<Values>>& gradients) {
  std::vector<Values> inputs = draw_inputs(c), outputs;
  const auto n = static_cast<size_t>(tensors);
  for (size_t k = 0; k < n; ++k)  // state begins at zero
    for (size_t i = 2 + 2 * n + k; i < inputs.size(); i += n)
      inputs[i].assign(inputs[i].size(), 0.0);
  for (int step = 0; step < steps; ++step) {
    inputs[0] = block_bytes(step, 0.01f * static_cast<float>(step + 1), 0);
    for (size_t k = 0; k < n; ++k) inputs[2 + n + k] = gradients[static_cast<size_t>(step)][k];
    outputs = run_entry(c, entry, inputs);
    for (size_t i = 0; i < outputs.size(); ++i) inputs[2 + (i < n ? i : i + n)] = outputs[i];
  }
  return outputs;
}

std::vector<std::vector<Values>> draw_gradients(int steps, const std::vector<Shape>& shapes) {
  std::vector<std::vector<Values>> all;
  for (int step = 0; step < steps; ++step) {
    std::vector<Values> gradients;
    for (const Shape& shape : shapes)
      gradients.push_back(
          draw_inputs(Case::of("", 0, {Input(shape)}, {}), static_cast<uint64_t>(100 + step))[0]);
    all.push_back(gradients);
  }
  return all;
}

// The update rules once more, written from the formulas and not from the kernels.
TEST(Optimizer, TenStepsOfSgdFollowTheFormula) {
  const std::vector<Shape> shapes = {{4, 5}, {7}};
  const auto gradients = draw_gradients(10, shapes);
  for (const SgdOptions& options : {SgdOptions{0, 0, 0, false, 0}, SgdOptions{0, 0, 0.9, false, 0},
                                    SgdOptions{0, 0, 0.9, true, 0.02}}) {
    const Case c = sgd_case(options, shapes);
    for (const char* entry : kEntries) {
      const auto made = run_steps(c, entry, 2, 10, gradients);
      for (size_t k = 0; k < 2; ++k) {
        Values w = draw_inputs(c)[2 + k];
        for (size_t i = 0; i < w.size(); ++i) {
          double velocity = 0;
          for (size_t step = 0; step < 10; ++step) {
            const double lr = 0.01f * static_cast<float>(step + 1), g = gradients[step][k][i];
            const double decay = lr * options.weight_decay * w[i];
            velocity = options.momentum * velocity - lr * g;
            w[i] += (options.nesterov ? options.momentum * velocity - lr * g : velocity) - decay;
          }
        }
        EXPECT_LE(nmse(made[k], w), kLimit) << entry << " momentum " << options.momentum;
      }
    }
  }
}

TEST(Optimizer, TenStepsOfAdamFollowTheFormula) {
  const std::vector<Shape> shapes = {{4, 5}, {7}};
  const auto gradients = draw_gradients(10, shapes);
  for (const AdamOptions& options : kAdam) {
    const Case c = adam_case(
        {0, 0, options.beta_1, options.beta_2, options.epsilon, options.weight_decay}, shapes);
    for (const char* entry : kEntries) {
      const auto made = run_steps(c, entry, 2, 10, gradients);
      for (size_t k = 0; k < 2; ++k) {
        Values w = draw_inputs(c)[2 + k];
        for (size_t i = 0; i < w.size(); ++i) {
          double m = 0, v = 0, power_1 = 1, power_2 = 1;
          for (size_t step = 0; step < 10; ++step) {
            const double lr = 0.01f * static_cast<float>(step + 1), g = gradients[step][k][i];
            m = options.beta_1 * m + (1 - options.beta_1) * g;
            v = options.beta_2 * v + (1 - options.beta_2) * g * g;
            power_1 *= options.beta_1, power_2 *= options.beta_2;
            const double root = std::sqrt(1 - power_2);
            w[i] = w[i] * (1 - lr * options.weight_decay) -
                   lr * root / (1 - power_1) * m / (std::sqrt(v) + options.epsilon);
          }
        }
        EXPECT_LE(nmse(made[k], w), kLimit) << entry << " epsilon " << options.epsilon;
      }
    }
  }
}

TEST(Optimizer, TheFirstStepOfAdamIsTheLearningRate) {
  const Case c = adam_case({}, {{4}});
  for (const char* entry : kEntries) {
    const auto made = run_entry(c, entry,
                                {block_bytes(0, 0.25f, 0),
                                 {},
                                 {1, 1, 1, 1},
                                 {5, -5, 0.001, 0},
                                 {0, 0, 0, 0},
                                 {0, 0, 0, 0}});
    EXPECT_NEAR(made[0][0], 0.75, 1e-6) << entry;
    EXPECT_NEAR(made[0][1], 1.25, 1e-6) << entry;
    EXPECT_NEAR(made[0][2], 0.75, 1e-3) << entry;
    EXPECT_EQ(made[0][3], 1) << entry;
  }
}

TEST(Optimizer, ReadsItsOwnLearningRateAndScalesTheGradient) {
  for (const char* entry : kEntries) {
    Case c = sgd_case({0, 3, 0, false, 0}, {{2}}, true);
    const auto made = run_entry(c, entry, {block_bytes(0, 0.5f, 3), {0.25}, {1, 2}, {4, -8}});
    EXPECT_EQ(made[0], (Values{0.5, 3})) << entry;
    const auto other = run_entry(c, entry, {block_bytes(0, 0.5f, 2), {0.25}, {1, 2}, {4, -8}});
    EXPECT_EQ(other[0], (Values{1, 2})) << entry;
  }
}

TEST(Optimizer, ANanGradientReachesOnlyItsOwnWeight) {
  for (const char* entry : kEntries) {
    const auto made = run_entry(sgd_case({}, {{3}}), entry,
                                {block_bytes(0, 0.5f, 0), {}, {1, 2, 3}, {0, NAN, 0}});
    EXPECT_EQ(made[0][0], 1) << entry;
    EXPECT_TRUE(std::isnan(made[0][1])) << entry;
    EXPECT_EQ(made[0][2], 3) << entry;
  }
}

Case norm_case(const std::vector<Shape>& shapes) {
  std::vector<Input> inputs(shapes.begin(), shapes.end());
  return Case::of("squared_norm", 0, inputs, {Shape{1}});
}

TEST(SquaredNorm, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const auto& shapes : kLists) table.push_back(norm_case(shapes));
  table.push_back(norm_case({{40000}, {3}, {33000}, {16384}}));
  for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{17, 33}, Shape{100000}, Shape{1, 1, 1, 9}})
    table.push_back(norm_case({shape, shape}));
  PrintedSeed random;
  for (int i = 0; i < 6; ++i)
    table.push_back(norm_case({{random.below(30000)}, {random.below(30000)}, {random.below(50)}}));
  run_table(table);
}

TEST(SquaredNorm, KnownValues) {
  for (const char* entry : kEntries) {
    EXPECT_EQ(run_entry(norm_case({{2}, {1}}), entry, {{1, -2}, {3}})[0], (Values{14})) << entry;
    EXPECT_TRUE(std::isnan(run_entry(norm_case({{2}}), entry, {{1, NAN}})[0][0])) << entry;
  }
}

TEST(ClipScale, KnownValues) {
  const Case c = Case::of("clip_scale", ClipOptions{3}, {Input({1})}, {Shape{1}});
  EXPECT_EQ(run_entry(c, "reference", {{36}})[0][0], 0.5);
  EXPECT_EQ(run_entry(c, "reference", {{9}})[0][0], 1);
  EXPECT_EQ(run_entry(c, "reference", {{4}})[0][0], 1);
  EXPECT_EQ(run_entry(c, "reference", {{0}})[0][0], 1);
  EXPECT_TRUE(std::isnan(run_entry(c, "reference", {{NAN}})[0][0]));
}

TEST(ClipScale, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (float squares : {36.0f, 9.0f, 4.0f, 0.0f, NAN, INFINITY})
    table.push_back(
        Case::of("clip_scale", ClipOptions{3}, {Input::of<float>({1}, {squares})}, {Shape{1}}));
  run_table(table);
}

}  // namespace
}  // namespace striate::testing
