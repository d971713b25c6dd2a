#include <gtest/gtest.h>
#include <striate/kernels/softmax.h>
#include <striate/tests/kernel_table.h>
#include <striate/tests/printed_seed.h>

#include <cmath>
#include <limits>

namespace striate::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct None {};

Case forward_case(const std::string& name, const Shape& shape, double high = 8) {
  return Case::of(name, None{}, {Input(shape, Input::Fill::kUniform, -high, high)}, {shape},
                  kTranscendentalLimit);
}

Case backward_case(const std::string& name, const Shape& shape) {
  const bool logarithm = name == "log_softmax_backward";
  const Input y(shape, Input::Fill::kUniform, logarithm ? -5 : 0.01, logarithm ? -0.1 : 1);
  return Case::of(name, None{}, {Input(shape), y}, {shape}, kTranscendentalLimit);
}

const std::vector<Shape> kShapes = {{1},       {10},      {0, 10},      {1, 1},        {3, 2},
                                    {64, 10},  {5, 16},   {4, 17},      {2, 1000},     {3, 5000},
                                    {300, 31}, {2, 3, 4}, {2, 5, 7, 3}, {1, 4, 4, 21}, {4000, 10}};

TEST(Softmax, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const Shape& shape : kShapes) {
    for (const char* name : {"softmax", "log_softmax"}) {
      table.push_back(forward_case(name, shape));
      table.push_back(forward_case(name, shape, 500));  // far beyond what exp can hold
    }
    for (const char* name : {"softmax_backward", "log_softmax_backward"})
      table.push_back(backward_case(name, shape));
  }
  run_table(table);
}

TEST(Softmax, FindsTheLargestWhereverItIs) {
  std::vector<Case> table;
  // A warp or a block of 256 threads goes over a row, in whole rounds but for 300: the first of
  // each round is the one.
  for (const auto& [length, step] :
       {std::pair(160, 32), {192, 32}, {224, 32}, {300, 32}, {1280, 256}, {1536, 256}, {1792, 256}})
    for (const char* name : {"softmax", "log_softmax"}) {
      const int64_t rows = (length + step - 1) / step;
      Case c = forward_case(name, {rows, length});
      const Values drawn = draw_inputs(c)[0];
      std::vector<float> values(drawn.begin(), drawn.end());
      for (int64_t row = 0; row < rows; ++row)
        values[static_cast<size_t>(row * length + row * step)] = 200;  // exp of it is infinite
      c.inputs[0] = Input::of(Shape{rows, length}, values);
      table.push_back(c);
    }
  run_table(table);
}

// A NaN makes all of its row NaN, in every type and for rows of any length.
TEST(Softmax, NanReachesAllOfItsRow) {
  std::vector<Case> table;
  for (const int64_t length : {10, 200, 1100})
    for (const char* name : {"softmax", "log_softmax"}) {
      Case c = forward_case(name, {2, length});
      const Values drawn = draw_inputs(c)[0];
      std::vector<float> values(drawn.begin(), drawn.end());
      values[static_cast<size_t>(length) + 5] = NAN;
      c.inputs[0] = Input::of(Shape{2, length}, values);
      table.push_back(c);
    }
  run_table(table);
}

// The sum that a gradient takes of its row depends on each element: in each row one has the weight.
TEST(Softmax, EachElementOfAGradientCounts) {
  std::vector<Case> table;
  for (const auto& [length, step] :
       {std::pair(160, 32), {192, 32}, {224, 32}, {1280, 256}, {1536, 256}, {1792, 256}})
    for (const char* name : {"softmax_backward", "log_softmax_backward"}) {
      const int64_t rows = (length + step - 1) / step;
      const Shape shape{rows, length};
      Case c = backward_case(name, shape);
      std::vector<float> dy(static_cast<size_t>(shape.elements()), 0.01f), y(dy.size(), 0.001f);
      if (std::string(name) == "log_softmax_backward") y.assign(dy.size(), -4.0f);
      for (int64_t row = 0; row < rows; ++row) {
        const auto place = static_cast<size_t>(row * length + row * step);
        dy[place] = 50;
        if (y[place] > 0) y[place] = 0.7f;
      }
      c.inputs = {Input::of(shape, dy), Input::of(shape, y)};
      table.push_back(c);
    }
  run_table(table);
}

TEST(Softmax, RandomShapes) {
  PrintedSeed random;
  std::vector<Case> table;
  for (int i = 0; i < 12; ++i) {
    const Shape shape{random.below(50), 1 + random.below(300)};
    for (const char* name : {"softmax", "log_softmax"}) table.push_back(forward_case(name, shape));
    for (const char* name : {"softmax_backward", "log_softmax_backward"})
      table.push_back(backward_case(name, shape));
  }
  run_table(table);
}

TEST(Softmax, KnownValues) {
  for (const char* entry : {"reference", "direct"}) {
    const Values y = run_entry(forward_case("softmax", {1, 3}), entry, {{1, 2, 3}})[0];
    const Values log_y = run_entry(forward_case("log_softmax", {1, 3}), entry, {{1, 2, 3}})[0];
    const Values expected = {0.09003057317038046, 0.24472847105479767, 0.6652409557748219};
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(y[i], expected[i], 1e-7) << entry;
      EXPECT_NEAR(log_y[i], std::log(expected[i]), 3e-7) << entry;
    }
  }
}

TEST(Softmax, LargeValuesAndInfinities) {
  for (const char* entry : {"reference", "direct"}) {
    EXPECT_EQ(run_entry(forward_case("softmax", {1, 3}), entry, {{1e30, 1e30, -1e30}})[0],
              (Values{0.5, 0.5, 0}))
        << entry;
    EXPECT_EQ(run_entry(forward_case("softmax", {1, 3}), entry, {{0, -kInfinity, 0}})[0],
              (Values{0.5, 0, 0.5}))
        << entry;
    EXPECT_EQ(run_entry(forward_case("log_softmax", {1, 2}), entry, {{20000, 0}})[0],
              (Values{0, -20000}))
        << entry;
  }
}

TEST(Softmax, NanStaysInItsRow) {
  for (const char* name : {"softmax", "log_softmax"})
    for (const char* entry : {"reference", "direct"}) {
      const Values y = run_entry(forward_case(name, {3, 2}), entry, {{1, 2, NAN, 4, 5, 6}})[0];
      for (size_t i = 0; i < y.size(); ++i)
        EXPECT_EQ(std::isnan(y[i]), i == 2 || i == 3) << name << " " << entry << " " << i;
    }
}

TEST(Softmax, Gradients) {
  for (const char* name : {"softmax", "log_softmax"})
    for (const Shape& shape : {Shape{1, 1}, Shape{3, 5}, Shape{2, 2, 4}}) {
      GradientCase g;
      g.forward = forward_case(name, shape, 2);
      g.backward = std::string(name) + "_backward";
      g.inputs = {From::cotangent(0), From::output(0)};
      g.outputs = {0};
      check_gradient(g);
    }
}

}  // namespace
}  // namespace striate::testing
