#include <gtest/gtest.h>
#include <striate/kernels/float_functions.h>
#include <striate/kernels/unary.h>
#include <striate/tests/kernel_table.h>
#include <striate/tests/printed_seed.h>

#include <cmath>
#include <limits>

namespace striate::testing {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool wants_positive(const std::string& name) {
  return name == "log" || name == "sqrt" || name == "rsqrt";
}

Case unary_case(const std::string& name, const Shape& shape, double alpha = 0.3) {
  Input x(shape, Input::Fill::kUniform, wants_positive(name) ? 0.01 : -8, 8);
  return Case::of(name, UnaryOptions{alpha}, {x}, {shape}, kTranscendentalLimit);
}

Case backward_case(const std::string& name, const Shape& shape, double alpha = 0.3) {
  const Input dy(shape), y(shape, Input::Fill::kUniform, -8, 8);
  return Case::of(name, UnaryOptions{alpha}, {dy, y}, {shape});
}

const std::vector<Shape> kShapes = {{},           {1},          {0},           {7},
                                    {3, 5},       {0, 4, 4, 3}, {1, 1, 1, 1},  {17, 33},
                                    {2, 5, 7, 3}, {2, 4, 4, 8}, {1, 6, 5, 20}, {2, 1, 3, 2, 2},
                                    {70001}};

TEST(Unary, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const std::string& name : kernels::unary_operations())
    for (const Shape& shape : kShapes) table.push_back(unary_case(name, shape));
  for (const std::string& name : kernels::unary_backward_operations())
    for (const Shape& shape : kShapes) table.push_back(backward_case(name, shape));
  run_table(table);
}

TEST(Unary, RandomShapes) {
  PrintedSeed random;
  auto below = [&](int limit) { return random.below(limit); };
  std::vector<Case> table;
  for (const std::string& name : kernels::unary_operations())
    table.push_back(unary_case(name, {below(4), 1 + below(9), 1 + below(9), 1 + below(40)},
                               0.01 * static_cast<double>(below(300))));
  for (const std::string& name : kernels::unary_backward_operations())
    table.push_back(backward_case(name, {below(4), 1 + below(9), 1 + below(9), 1 + below(40)}));
  run_table(table);
}

TEST(Unary, KnownValues) {
  struct Known {
    const char* operation;
    double alpha, x, y;
  };
  // clang-format off
  const std::vector<Known> table = {
    {"relu",       1,    -2, 0},        {"relu",       1,   3, 3},     {"relu",    1, 0, 0},
    {"relu6",      1,    -2, 0},        {"relu6",      1,   3, 3},     {"relu6",   1, 7, 6},
    {"leaky_relu", 0.25, -2, -0.5},     {"leaky_relu", 0.25, 3, 3},
    {"sigmoid",    1,     0, 0.5},      {"sigmoid",    1,   2, 0.880797077977882444},
    {"sigmoid",    1,  -800, 0},        {"sigmoid",    1, 800, 1},
    {"tanh",       1,   0.5, 0.46211715726000976},     {"tanh", 1, -40, -1},
    {"exp",        1,     1, 2.71828182845904524},     {"exp",  1,   0, 1},
    {"log",        1,    10, 2.30258509299404568},     {"log",  1,   1, 0},
    {"sqrt",       1,     9, 3},        {"rsqrt",      1,   4, 0.5},   {"square",  1, -3, 9},
    {"abs",        1,    -3, 3},        {"negative",   1,   3, -3},    {"reciprocal", 1, 4, 0.25},
    {"sign",       1,    -3, -1},       {"sign",       1,   0, 0},     {"sign",    1, 2, 1},
    {"scale",      3,     2, 6},        {"shift",      3,   2, 5},
    {"clip",       2,     5, 2},        {"clip",       2,  -5, -2},    {"clip",    2, 1.5, 1.5},
    {"exp",        1,  1000, kInfinity}, {"exp",       1, -kInfinity, 0},
    {"log",        1,     0, -kInfinity},
    {"reciprocal", 1,     0, kInfinity}, {"sqrt",      1,  -1, kNan},  {"tanh",    1, kInfinity, 1},
  };
  // clang-format on
  for (const Known& k : table)
    for (const char* entry : {"reference", "direct"}) {
      const double y = run_entry(unary_case(k.operation, {1}, k.alpha), entry, {{k.x}})[0][0];
      if (std::isnan(k.y))
        EXPECT_TRUE(std::isnan(y)) << k.operation << " of " << k.x << " by " << entry;
      else if (std::isinf(k.y))
        EXPECT_EQ(y, k.y) << k.operation << " of " << k.x << " by " << entry;
      else
        EXPECT_NEAR(y, k.y, 2e-7 * (1 + std::abs(k.y))) << k.operation << " of " << k.x << entry;
    }
}

TEST(Unary, GradientsAtKnownValues) {
  struct Known {
    const char* operation;
    double dy, y, dx;
  };
  const std::vector<Known> table = {
      {"relu_backward", 5, 2, 5},       {"relu_backward", 5, 0, 0},
      {"relu6_backward", 5, 6, 0},      {"relu6_backward", 5, 3, 5},
      {"relu6_backward", 5, 0, 0},      {"leaky_relu_backward", 4, -1, 1},
      {"leaky_relu_backward", 4, 1, 4}, {"sigmoid_backward", 4, 0.5, 1},
      {"tanh_backward", 4, 0.5, 3},     {"relu_backward", kNan, 0, 0}};
  for (const Known& k : table)
    for (const char* entry : {"reference", "direct"})
      EXPECT_EQ(run_entry(backward_case(k.operation, {1}, 0.25), entry, {{k.dy}, {k.y}})[0][0],
                k.dx)
          << k.operation << " of " << k.dy << ", " << k.y << " by " << entry;
}

TEST(Unary, NanPassesThroughEveryFunction) {
  for (const std::string& name : kernels::unary_operations())
    for (const char* entry : {"reference", "direct"}) {
      Values x(37, 0.5);
      x[20] = kNan;
      const Values y = run_entry(unary_case(name, {37}), entry, {x})[0];
      for (size_t i = 0; i < y.size(); ++i)
        EXPECT_EQ(std::isnan(y[i]), i == 20) << name << " " << entry << " element " << i;
    }
}

// Each value meets each place of a vector, and of the elements that remain behind the last vector.
TEST(Unary, ValuesBeyondTheUsual) {
  constexpr size_t kVector = 8;
  const std::vector<float> values = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 0.5f, -0.5f, 7};
  std::vector<Case> table;
  for (const std::string& name : kernels::unary_operations())
    for (const float last : values) {
      std::vector<float> x;
      for (const float v : values) x.insert(x.end(), kVector, v);
      x.insert(x.end(), kVector - 1, last);
      const Shape shape{static_cast<int64_t>(x.size())};
      table.push_back(unary_case(name, shape));
      table.back().inputs[0] = Input::of(shape, x);
    }
  run_table(table);
}

TEST(Unary, Gradients) {
  for (const std::string& backward : kernels::unary_backward_operations()) {
    GradientCase g;
    g.forward = unary_case(backward.substr(0, backward.size() - 9), {5, 7});
    g.backward = backward;
    g.inputs = {From::cotangent(0), From::output(0)};
    g.outputs = {0};
    check_gradient(g);
  }
}

TEST(Unary, EveryElementTypeHasAKernel) {
  for (DType dtype : {DType::kF64, DType::kF16, DType::kBF16, DType::kI32, DType::kI64}) {
    Case c = unary_case("negative", {4});
    c.inputs[0].dtype = c.outputs[0].dtype = dtype;
    EXPECT_EQ(run_entry(c, "reference", {{1, -2, 3, 0}})[0], (Values{-1, 2, -3, 0}))
        << name_of(dtype);
    if (is_device_tested() && (dtype == DType::kF16 || dtype == DType::kBF16)) {
      EXPECT_EQ(run_entry(c, "direct", {{1, -2, 3, 0}})[0], (Values{-1, 2, -3, 0}));
      continue;
    }
    EXPECT_THROW(run_entry(c, "direct", {{1, -2, 3, 0}}), KernelError) << name_of(dtype);
  }
}

TEST(FloatFunctions, AreWithinTwoUnitsOfTheLastPlace) {
  auto expect_near = [](float value, double expected, float x) {
    const float rounded = static_cast<float>(expected);
    const double unit = std::nextafter(std::abs(rounded), INFINITY) - std::abs(rounded);
    EXPECT_LE(std::abs(value - expected), 2 * unit) << "at " << x;
  };
  for (float x = -103.9f; x < 88.7f; x += 0.00917f)
    expect_near(kernels::exp_of(x), std::exp(double{x}), x);
  for (float x = -10; x < 10; x += 0.00117f)
    expect_near(kernels::tanh_of(x), std::tanh(double{x}), x);
  for (float x = 1e-30f; x < 1; x *= 3) expect_near(kernels::tanh_of(x), std::tanh(double{x}), x);
  EXPECT_EQ(kernels::exp_of(88.8f), std::numeric_limits<float>::infinity());
  EXPECT_EQ(kernels::exp_of(-104.5f), 0.0f);
  EXPECT_EQ(kernels::exp_of(0.0f), 1.0f);
}

}  // namespace
}  // namespace striate::testing
