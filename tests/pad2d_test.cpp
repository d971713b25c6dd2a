#include <gtest/gtest.h>
#include <striate/core/error.h>
#include <striate/core/parallel.h>
#include <striate/kernels/pad2d.h>
#include <striate/tests/kernel_table.h>
#include <striate/tests/printed_seed.h>

namespace striate::testing {
namespace {

Shape padded(const Shape& x, const Padding& p) {
  return {x[0], p.top + x[1] + p.bottom, p.left + x[2] + p.right, x[3]};
}

Case pad(const Shape& x, const Padding& padding, const char* mode, double value = 0) {
  return Case::of("pad2d", Pad2dOptions{padding, mode, value}, {x}, {padded(x, padding)});
}

Case pad_backward(const Shape& x, const Padding& padding, const char* mode, double value = 0) {
  return Case::of("pad2d_backward", Pad2dOptions{padding, mode, value},
                  {padded(x, padding), Input::like(x)}, {x});
}

void add_all(std::vector<Case>& table, const Shape& x, const Padding& padding) {
  for (const char* mode : {"constant", "edge", "reflect"}) {
    table.push_back(pad(x, padding, mode));
    table.push_back(pad_backward(x, padding, mode));
  }
  table.push_back(pad(x, padding, "constant", -1.5));
}

struct Hand {
  Shape x;
  Padding padding;
};
const std::vector<Hand> kHand = {{{1, 1, 1, 1}, {0, 0, 0, 0}},
                                 {{1, 2, 2, 1}, 1},
                                 {{2, 5, 7, 3}, {1, 2, 3, 4}},
                                 {{2, 4, 4, 8}, {3, 3, 3, 3}},
                                 {{2, 6, 5, 16}, {0, 2, 1, 0}},
                                 {{1, 8, 8, 20}, 2},
                                 {{1, 3, 9, 33}, {2, 1, 8, 7}},
                                 {{0, 4, 4, 3}, 1},
                                 {{2, 4, 4, 0}, 1},
                                 {{2, 28, 28, 6}, 2},
                                 {{1, 30, 31, 64}, {1, 0, 0, 1}}};

TEST(Pad2d, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const Hand& hand : kHand) add_all(table, hand.x, hand.padding);
  table.push_back(pad({2, 0, 3, 4}, {1, 1, 0, 2}, "constant", 2));
  table.push_back(pad_backward({2, 0, 3, 4}, {1, 1, 0, 2}, "constant"));
  table.push_back(pad({1, 2, 2, 3}, {5, 4, 6, 7}, "edge"));
  table.push_back(pad_backward({1, 2, 2, 3}, {5, 4, 6, 7}, "edge"));
  for (const int64_t channels : {3, 4, 8})  // sums of 4 to 10 elements along each axis
    table.push_back(pad_backward({1, 2, 3, channels}, {4, 9, 8, 7}, "edge"));
  run_table(table);
}

TEST(Pad2d, RandomProblems) {
  PrintedSeed random;
  std::vector<Case> table;
  for (int i = 0; i < 20; ++i) {
    const Shape x = {random.below(4), 1 + random.below(9), 1 + random.below(9),
                     1 + random.below(40)};
    add_all(table, x,
            {random.below(x[1]), random.below(x[1]), random.below(x[2]), random.below(x[2])});
  }
  run_table(table);
}

TEST(Pad2d, KnownValues) {
  const Shape x = {1, 2, 3, 1};
  const Values image = {1, 2, 3,  //
                        4, 5, 6};
  for (const char* entry : {"reference", "direct"}) {
    // clang-format off
    EXPECT_EQ(run_entry(pad(x, {1, 0, 0, 2}, "constant", 9), entry, {image})[0],
              (Values{9, 9, 9, 9, 9,
                      1, 2, 3, 9, 9,
                      4, 5, 6, 9, 9}));
    EXPECT_EQ(run_entry(pad(x, {1, 0, 2, 1}, "reflect"), entry, {image})[0],
              (Values{6, 5, 4, 5, 6, 5,
                      3, 2, 1, 2, 3, 2,
                      6, 5, 4, 5, 6, 5}));
    EXPECT_EQ(run_entry(pad(x, {0, 1, 1, 1}, "edge"), entry, {image})[0],
              (Values{1, 1, 2, 3, 3,
                      4, 4, 5, 6, 6,
                      4, 4, 5, 6, 6}));
    // clang-format on
    // Each pixel collects from every place that shows it.
    const auto ones = Values(15, 1.0);
    EXPECT_EQ(run_entry(pad_backward(x, {0, 1, 1, 1}, "edge"), entry, {ones, {}})[0],
              (Values{2, 1, 2, 4, 2, 4}));
  }
}

TEST(Pad2d, RefusesWhatCannotBe) {
  EXPECT_THROW(kernels::pad_sources("reflect", 3, 3, 0), ShapeError);
  EXPECT_THROW(kernels::pad_sources("edge", 0, 1, 0), ShapeError);
  EXPECT_THROW(kernels::pad_sources("wrap", 3, 1, 1), ShapeError);
  EXPECT_EQ(kernels::pad_sources("reflect", 3, 2, 2), (std::vector<int64_t>{2, 1, 0, 1, 2, 1, 0}));
}

TEST(Pad2d, ThreadsChangeNoBit) {
  const int before = threads();
  const Case c = pad_backward({3, 40, 40, 33}, {20, 30, 5, 6}, "reflect");
  const auto inputs = draw_inputs(c);
  set_threads(1);
  const auto one = run_entry(c, "direct", inputs);
  set_threads(4);
  EXPECT_EQ(run_entry(c, "direct", inputs), one);
  set_threads(before);
}

TEST(Pad2d, GradientsAgreeWithDifferences) {
  for (const char* mode : {"constant", "edge", "reflect"}) {
    GradientCase g;
    g.forward = pad({2, 3, 4, 2}, {1, 2, 2, 1}, mode, 0.5);
    g.backward = "pad2d_backward";
    g.inputs = {From::cotangent(0), From::like(0)};
    g.outputs = {0};
    check_gradient(g);
  }
}

}  // namespace
}  // namespace striate::testing
