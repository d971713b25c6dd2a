#include <gtest/gtest.h>
#include <striate/kernels/conv2d.h>
#include <striate/tests/conv2d_cases.h>
#include <striate/tests/kernel_trial.h>

#include <cmath>
#include <cstdio>
#include <limits>

namespace striate::testing {
namespace {

std::vector<Case> directions_of(const std::vector<Conv2dCase>& cases) {
  std::vector<Case> table;
  for (const Conv2dCase& c : cases)
    for (const Case& direction : all_directions(c)) table.push_back(direction);
  return table;
}

Conv2dOptions with(Size2 strides, Padding padding, Size2 dilation = 1, int64_t groups = 1) {
  Conv2dOptions options;
  options.strides = strides, options.padding = padding;
  options.dilation_rate = dilation, options.groups = groups;
  return options;
}

Conv2dOptions with(Activation activation) {
  Conv2dOptions options = with(1, "same");
  options.activation = activation, options.negative_slope = 0.3;
  return options;
}

TEST(Conv2d, Shapes) {
  // clang-format off
  const bool y = true, n = false;
  //  N   H   W    C    K  window  options                       bias, residual, name
  const std::vector<Conv2dCase> cases = {
    {1,   1,  1,   1,   1, 1,      with(1, "valid"),             n, n, "one number"},
    {1,   1,  1,   8,  16, 1,      with(1, "valid"),             y, n, "one pixel"},
    {3,   1,  1,   5,   7, 3,      with(1, "same"),              y, n, "one pixel, 3x3 same"},
    {1,   3,  3,   1,   1, 3,      with(1, "valid"),             n, n, "one window"},
    {2,   5,  7,   3,   4, 3,      with(1, "valid"),             y, n, "odd"},
    {2,   5,  7,   3,   4, 3,      with(1, "same"),              y, n, "odd same"},
    {2,   6,  6,   3,   4, 3,      with(2, "same"),              y, n, "same, odd row below"},
    {2,   9,  9,   8,   8, 2,      with(3, "valid"),             y, n, "stride > window"},
    {2,  11, 11,   8,  16, 1,      with(2, "valid"),             y, n, "1x1 stride 2"},
    {2,  11, 11,   8,  16, 1,      with(4, "same"),              n, n, "1x1 stride 4"},
    {2,  10, 12,  16,   8, 3,      with({2, 1}, "same"),         y, n, "stride 2x1"},
    {2,  10, 12,  16,   8, 3,      with({1, 3}, "valid"),        n, n, "stride 1x3"},
    {1,  13, 13,   8,   8, 3,      with(1, "valid", 2),          y, n, "dilation 2"},
    {1,  13, 13,   8,   8, 3,      with(1, "same", 3),           y, n, "dilation 3 same"},
    {1,  13, 17,   4,   8, {2, 3}, with({2, 1}, "same", {3, 2}), y, n, "dilation 3x2"},
    {1,  15, 15,   8,   8, 3,      with(2, "same", 2),           n, n, "dilation and stride"},
    {2,   7,  7,   8,   8, 3,      with(1, {1, 2, 0, 3}),        y, n, "four-sided padding"},
    {2,   7,  7,   8,   8, 3,      with(1, {0, 0, 2, 1}),        y, n, "padding at the sides"},
    {2,   7,  7,   8,   8, 3,      with(2, {2, 0, 0, 2}),        n, n, "padding above and right"},
    {1,   4,  4,   8,   8, 3,      with(1, 2),                   y, n, "full"},
    {1,   4,  4,   8,   8, 3,      with(1, 5),                   y, n, "padding > window"},
    {1,   2,  2,   3,   4, 5,      with(1, 2),                   y, n, "window > image"},
    {1,   1,  9,   3,   4, {1, 3}, with(1, "same"),              y, n, "one row"},
    {1,   9,  1,   3,   4, {3, 1}, with(1, "same"),              y, n, "one column"},
    {1,   8,  8,   6,   8, {1, 7}, with(1, "same"),              y, n, "1x7"},
    {1,   8,  8,   6,   8, {7, 1}, with(1, "same"),              y, n, "7x1"},
    {1,   8,  8,   6,   8, {2, 5}, with(1, "same"),              y, n, "2x5"},
    {1,   8,  8,   4,   4, 4,      with(2, 1),                   y, n, "4x4 stride 2, as in a GAN"},
    {2,   8,  8,   8,   8, 3,      with(1, "same", 1, 2),        y, n, "2 groups"},
    {2,   8,  8,  12,   8, 3,      with(1, "same", 1, 4),        y, n, "4 groups of 3"},
    {2,   8,  8,   6,  15, 3,      with(2, "same", 1, 3),        y, n, "3 groups, stride 2"},
    {1,   8,  8,  32,  64, 3,      with(1, "same", 1, 2),        y, n, "2 groups of 16 and 32"},
    {1,   8,  8,  32,  32, 1,      with(1, "same", 1, 4),        y, n, "grouped 1x1"},
    {1,   9,  9,  16,  16, 3,      with(1, "same", 2, 2),        y, n, "groups and dilation"},
    {2,   8,  8,   8,   8, 3,      with(1, "same", 1, 8),        y, n, "depthwise"},
    {2,   9,  9,  16,  16, 3,      with(2, "same", 1, 16),       y, n, "depthwise stride 2"},
    {2,   9,  9,   5,   5, 3,      with(1, "valid", 1, 5),       y, n, "depthwise of 5"},
    {1,   9,  9,  24,  24, 5,      with(1, "same", 1, 24),       n, n, "depthwise 5x5"},
    {1,  12, 12,  32,  32, 3,      with(1, "same", 2, 32),       y, n, "depthwise dilated"},
    {2,   8,  8,   4,   8, 3,      with(1, "same", 1, 4),        y, n, "depthwise, 2 each"},
    {2,  12, 12,   1,   8, 3,      with(1, "same"),              y, n, "grey"},
    {2,  12, 12,   3,  16, 3,      with(1, "same"),              y, n, "colour"},
    {2,  12, 12,   4,  16, 3,      with(1, "same"),              y, n, "4 channels"},
    {1,  12, 12,   2,  16, 5,      with(1, "same"),              y, n, "2 channels 5x5"},
    {1,  12, 12,  16,   1, 3,      with(1, "same"),              y, n, "one filter"},
    {1,  12, 12,   7,  13, 3,      with(1, "same"),              y, n, "prime channels"},
    {1,   6,  6,  17,  33, 3,      with(1, "same"),              y, n, "one above the block"},
    {1,   6,  6,  15,  31, 3,      with(1, "same"),              y, n, "one below the block"},
    {1,   6,  6,  64,  64, 3,      with(1, "same"),              y, n, "64 to 64"},
    {1,   6,  6,  96, 128, 1,      with(1, "same"),              n, n, "96 to 128, 1x1"},
    {1,   2,  2, 256,  48, 3,      with(1, "same"),              y, n, "deep and tiny"},
    {9,   3,  3,  16,  16, 3,      with(1, "same"),              y, n, "9 small pictures"},
    {1,  40, 33,   8,   8, 3,      with(1, "same"),              y, n, "wide"},
    {1,   7,  7,  32,  32, 7,      with(1, "valid"),             y, n, "window = image"},
    {2,   8,  8,  16,  16, 3,      with(1, "same"),              n, y, "residual"},
    {2,   8,  8,  16,  16, 3,      with(1, "same"),              y, y, "residual and bias"},
    {2,   9,  9,  10,  12, 1,      with(2, "same"),              y, y, "residual, 1x1 stride 2"},
    {1,   8,  8,   8,   8, 3,      with(1, "same", 1, 8),        y, y, "residual, depthwise"},
    {2,   6,  6,  12,  20, 3,      with(Activation::kRelu),      y, n, "relu"},
    {2,   6,  6,  12,  20, 3,      with(Activation::kRelu),      y, y, "relu after residual"},
    {2,   6,  6,  12,  20, 3,      with(Activation::kRelu6),     y, n, "relu6"},
    {2,   6,  6,  12,  20, 3,      with(Activation::kLeakyRelu), y, n, "leaky relu"},
    {2,   6,  6,  12,  20, 3,      with(Activation::kSigmoid),   y, n, "sigmoid"},
    {2,   6,  6,  12,  20, 3,      with(Activation::kTanh),      n, n, "tanh"},
    {2,   6,  6,   3,  20, 3,      with(Activation::kTanh),      y, y, "tanh after residual"},
    {0,   6,  6,   3,   8, 3,      with(1, "same"),              y, n, "no picture"},
  };
  // clang-format on
  EXPECT_GE(cases.size(), 60u);
  for (const EntryCount& count : run_table(directions_of(cases))) {
    if (count.entry == "onednn") {
      EXPECT_GT(count.ran, 60) << count.reason;
    }
  }
}

/// Fifty problems from a seed on.
class RandomConv2d : public ::testing::TestWithParam<uint64_t> {};

TEST_P(RandomConv2d, AgreesWithTheReference) {
  std::vector<Conv2dCase> cases;
  for (uint64_t i = 0; i < 50; ++i) cases.push_back(random_conv2d(GetParam() + i));
  run_table(directions_of(cases));
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomConv2d,
                         ::testing::Values(20260101, 20260151, 20260201, 20260251));

TEST(Conv2d, Gradients) {
  for (const Conv2dCase& c : std::vector<Conv2dCase>{
           {2, 5, 4, 3, 4, 3, with(1, "same"), true, false, "same"},
           {1, 7, 6, 2, 3, {3, 2}, with({2, 1}, {1, 0, 2, 1}), true, false, "stride, padding"},
           {1, 7, 7, 4, 6, 3, with(1, "valid", 2, 2), true, false, "dilation, groups"},
           {1, 6, 6, 3, 3, 3, with(2, "same", 1, 3), true, false, "depthwise"}}) {
    const Case forward = conv2d_forward(c);
    check_gradient({forward,
                    "conv2d_backward_input",
                    {From::cotangent(0), From::input(1), From::like(0)},
                    {0},
                    nullptr});
    check_gradient({forward,
                    "conv2d_backward_weight",
                    {From::input(0), From::cotangent(0), From::like(1)},
                    {1, 2},
                    conv2d_backward_weight(c).options});
  }
}

/// Run `entry` of conv2d on one picture and one filter.
Values picture(const std::string& entry, const std::vector<float>& x, const std::vector<float>& w,
               Padding padding = "valid") {
  const auto size = [](const std::vector<float>& v) {
    return static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(v.size()))));
  };
  Conv2dCase c{1, size(x), size(x), 1, 1, size(w), with(1, padding), false, false, "lecture"};
  Case forward = conv2d_forward(c);
  forward.inputs = {Input::of({1, c.H, c.W, 1}, x), Input::of({1, size(w), size(w), 1}, w)};
  return run_entry(forward, entry, draw_inputs(forward))[0];
}

// clang-format off
const std::vector<float> kStripe = {
    0, 0, 1, 1, 0, 0,
    0, 0, 1, 1, 0, 0,
    0, 0, 1, 1, 0, 0,
    0, 0, 1, 1, 0, 0,
    0, 0, 1, 1, 0, 0,
    0, 0, 1, 1, 0, 0};

TEST(Conv2d, LectureStripe) {
  const std::vector<float> column = {0, 1, 0,
                                     0, 1, 0,
                                     0, 1, 0};
  const Values expected = {0, 3, 3, 0,
                           0, 3, 3, 0,
                           0, 3, 3, 0,
                           0, 3, 3, 0};
  EXPECT_EQ(picture("reference", kStripe, column), expected);
}

TEST(Conv2d, LectureKernels) {
  const std::vector<float> dot = {0, 0,  0, 0, 0,
                                  0, 0,  0, 0, 0,
                                  0, 0, 16, 0, 0,
                                  0, 0,  0, 0, 0,
                                  0, 0,  0, 0, 0};
  const std::vector<float> identity = {0, 0, 0, 0, 1, 0, 0, 0, 0};
  EXPECT_EQ(picture("reference", dot, identity), (Values{0, 0, 0,
                                                         0, 16, 0,
                                                         0, 0, 0}));
  const std::vector<float> blur = {1 / 16.f, 2 / 16.f, 1 / 16.f,
                                   2 / 16.f, 4 / 16.f, 2 / 16.f,
                                   1 / 16.f, 2 / 16.f, 1 / 16.f};
  EXPECT_EQ(picture("reference", dot, blur), (Values{1, 2, 1,
                                                     2, 4, 2,
                                                     1, 2, 1}));
  const std::vector<float> sharpen = { 0, -1,  0,
                                      -1,  5, -1,
                                       0, -1,  0};
  EXPECT_EQ(picture("reference", dot, sharpen), (Values{  0, -16,   0,
                                                        -16,  80, -16,
                                                          0, -16,   0}));
  const std::vector<float> edge = {-1, -1, -1,
                                   -1,  8, -1,
                                   -1, -1, -1};
  EXPECT_EQ(picture("reference", std::vector<float>(25, 7), edge), Values(9, 0.0));
}

TEST(Conv2d, IsCrossCorrelation) {  // the filter is not turned: y[i,j] = sum w[k,l] x[i+k, j+l]
  EXPECT_EQ(picture("reference", {1, 2, 3,
                                  4, 5, 6,
                                  7, 8, 9}, {1, 10,
                                             100, 1000}),
            (Values{1 + 20 + 400 + 5000, 2 + 30 + 500 + 6000,
                    4 + 50 + 700 + 8000, 5 + 60 + 800 + 9000}));
}
// clang-format on

TEST(Conv2d, LectureSizes) {
  auto size = [](int64_t n, int64_t window, int64_t stride, Padding padding) {
    return output_shape({1, n, n, 3, 96, window, with(stride, padding), false, false, ""})[1];
  };
  EXPECT_EQ(size(28, 3, 1, "valid"), 26);
  EXPECT_EQ(size(28, 3, 1, 1), 28);
  EXPECT_EQ(size(28, 3, 1, "same"), 28);
  EXPECT_EQ(size(28, 3, 2, "valid"), 13);
  EXPECT_EQ(size(227, 11, 4, "valid"), 55);
  const Case alexnet = conv2d_forward({1, 227, 227, 3, 96, 11, with(4, "valid"), true, false, ""});
  EXPECT_EQ(alexnet.outputs[0].shape, (Shape{1, 55, 55, 96}));
  EXPECT_EQ(alexnet.inputs[1].shape.elements() + alexnet.inputs[2].shape.elements(), 34944);
}

/// The guest's layouts have our names, so that its entries and our own share values.
TEST(Conv2d, OnednnTakesBlocksOfChannels) {
  const Conv2dCase c{2, 8, 8, 32, 64, 3, with(1, "same"), true, false, ""};
  for (const Case& direction : all_directions(c))
    for (const auto* entry : kernels::entries(direction.operation, DeviceType::kCpu)) {
      if (entry->name != "onednn") continue;
      const kernels::Prepared prepared = entry->prepare(direction.problem());
      if (prepared.detail.find("avx") == std::string::npos) continue;  // an older processor
      const bool to_weight = direction.operation == "conv2d_backward_weight";
      const bool to_input = direction.operation == "conv2d_backward_input";
      const std::string image = prepared.inputs[0].to_string(4);
      const std::string lanes = image == "aDbc16d" ? "16" : "8";
      EXPECT_EQ(image, "aDbc" + lanes + "d") << prepared.detail;
      EXPECT_EQ((to_weight ? prepared.inputs[1] : prepared.outputs[0]).to_string(4), image);
      EXPECT_EQ((to_weight ? prepared.outputs[0] : prepared.inputs[1]).to_string(4),
                to_input ? "ADbc" + lanes + "a" + lanes + "d" : "ADbc" + lanes + "d" + lanes + "a");
    }
}

/// What lies outside every valid window, or beside a picture's end, must not reach the result.
/// outside_test.cpp tries single elements in all directions.
TEST(Conv2d, NothingLeaksInFromOutside) {
  const double bad[] = {std::numeric_limits<double>::infinity(),
                        std::numeric_limits<double>::quiet_NaN()};
  for (const double value : bad) {
    // 8x8 with window 3 and stride 3 covers rows and columns 0 to 5 only.
    const Conv2dCase strided{1, 8, 8, 8, 16, 3, with(3, "valid"), true, false, "outside windows"};
    // Two pictures with "same" padding: rows of the second lie just behind those of the first.
    const Conv2dCase padded{2, 6, 6, 8, 16, 3, with(1, "same"), true, false, "next picture"};
    for (const Conv2dCase& c : {strided, padded}) {
      const Case forward = conv2d_forward(c);
      std::vector<Values> clean = draw_inputs(forward), dirty = clean;
      const bool is_strided = c.N == 1;
      for (int64_t h = 0; h < c.H; ++h)
        for (int64_t w = 0; w < c.W; ++w)
          for (int64_t ch = 0; ch < c.C; ++ch)
            if (is_strided ? h >= 6 || w >= 6 : h == 0)
              dirty[0][static_cast<size_t>((((c.N - 1) * c.H + h) * c.W + w) * c.C + ch)] = value;
      kernels::Problem problem = forward.problem();
      problem.device = device_under_test();
      for (const auto* entry : kernels::entries("conv2d", problem.device.type)) {
        if (!entry->declines(problem).empty()) continue;
        const Values expected = run_entry(forward, entry->name, clean)[0];
        const Values got = run_entry(forward, entry->name, dirty)[0];
        for (size_t i = 0; i < expected.size() / static_cast<size_t>(c.N); ++i)
          ASSERT_EQ(got[i], expected[i]) << entry->name << " " << c.name << " element " << i;
      }
    }
  }
}

}  // namespace
}  // namespace striate::testing
