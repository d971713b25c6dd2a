#include <gtest/gtest.h>
#include <striate/core/error.h>
#include <striate/core/parallel.h>
#include <striate/kernels/instruction_set.h>
#include <striate/kernels/pool2d.h>
#include <striate/tests/kernel_table.h>
#include <striate/tests/printed_seed.h>

#include <cmath>
#include <limits>

namespace striate::testing {
namespace {

const double kNan = std::nan(""), kInfinity = std::numeric_limits<double>::infinity();

struct None {};

Shape pooled(const Shape& x, const Pool2dOptions& options) {
  const Window w = pool2d_window(options, x);
  return {x[0], w.out_height, w.out_width, x[3]};
}

Case max_case(const Shape& x, const Pool2dOptions& o) {
  const Shape y = pooled(x, o);
  return Case::of("max_pool2d", o, {x}, {y, {y, pool2d_winner_dtype(o)}});
}

Case max_backward_case(const Shape& x, const Pool2dOptions& o) {
  const Shape y = pooled(x, o);
  const double places = static_cast<double>(o.pool_size.height * o.pool_size.width);
  // One place more: of windows without a winner.
  const Input winner(y, pool2d_winner_dtype(o), Input::Fill::kIndices, 0, places + 1);
  return Case::of("max_pool2d_backward", o, {y, winner, Input::like(x)}, {x});
}

Case gather_case(const Shape& x, const Pool2dOptions& o) {
  Case c = max_backward_case(x, o);
  return Case::of("max_pool2d_gather", o, {x, c.inputs[1]}, {pooled(x, o)});
}

Case avg_case(const Shape& x, Pool2dOptions o, bool count_padding) {
  o.count_padding = count_padding;
  return Case::of("avg_pool2d", o, {x}, {pooled(x, o)});
}

Case avg_backward_case(const Shape& x, Pool2dOptions o, bool count_padding) {
  o.count_padding = count_padding;
  return Case::of("avg_pool2d_backward", o, {pooled(x, o), Input::like(x)}, {x});
}

void add_all(std::vector<Case>& table, const Shape& x, const Pool2dOptions& o) {
  Pool2dOptions rectified = o;
  rectified.rectified = true;
  table.push_back(max_case(x, o));
  table.push_back(max_case(x, rectified));
  table.push_back(max_backward_case(x, o));
  table.push_back(gather_case(x, o));
  for (bool count_padding : {false, true}) {
    table.push_back(avg_case(x, o, count_padding));
    table.push_back(avg_backward_case(x, o, count_padding));
  }
}

struct Hand {
  Shape x;
  Pool2dOptions options;
};

const std::vector<Hand> kHand = {
    {{1, 1, 1, 1}, {.pool_size = 1}},
    {{1, 2, 2, 1}, {}},
    {{2, 5, 7, 3}, {}},  // odd: last row and column unused
    {{3, 6, 4, 8}, {}},
    {{2, 7, 9, 16}, {.padding = "same"}},
    {{2, 6, 6, 20}, {.pool_size = 3, .strides = 2}},  // overlap, 20 = 16 + 4 lanes
    {{1, 13, 13, 24}, {.pool_size = 3, .strides = 2}},
    {{2, 8, 8, 5}, {.pool_size = 3, .strides = 1, .padding = "same"}},
    {{2, 9, 8, 33}, {.pool_size = {2, 3}, .strides = Size2{3, 1}, .padding = {1, 0, 1, 2}}},
    {{1, 10, 11, 7}, {.pool_size = 2, .strides = 3}},  // strides above the window
    {{1, 9, 9, 9}, {.pool_size = 1, .strides = 2}},
    {{2, 7, 7, 4}, {.pool_size = 7}},
    {{1, 5, 5, 12}, {.pool_size = 5, .strides = 1, .padding = 2}},
    {{1, 3, 3, 2}, {.pool_size = 2, .strides = 2, .padding = 3}},  // windows wholly in the padding
    {{5, 5, 12, 8}, {.pool_size = {2, 7}, .strides = 1}},          // 1 to 7 windows hold a place
    {{1, 20, 18, 3}, {.pool_size = {17, 16}, .strides = 1}},       // 272 places: winner is i32
    {{1, 17, 20, 17}, {.pool_size = {17, 16}, .strides = 2, .padding = 1}},
    {{1, 15, 17, 2}, {.pool_size = {15, 17}}},  // 255 places, and none: the last byte
    {{0, 4, 4, 3}, {}},
    {{2, 4, 4, 0}, {}},
    {{1, 4, 1, 2}, {.pool_size = {2, 1}}},
    {{1, 1, 40, 40}, {.pool_size = {1, 4}, .strides = Size2{1, 2}}},
    {{2, 28, 28, 64}, {}},  // a64
    {{2, 14, 14, 128}, {}},
    {{2, 28, 28, 6}, {}},                               // b64
    {{1, 55, 55, 64}, {.pool_size = 3, .strides = 2}},  // AlexNet
    {{1, 6, 6, 2100}, {.pool_size = 3, .strides = 2}},  // more lanes than made at a time
};

TEST(Pool2d, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const Hand& hand : kHand) add_all(table, hand.x, hand.options);
  run_table(table);
}

TEST(Pool2d, RandomProblems) {
  PrintedSeed random;
  std::vector<Case> table;
  while (table.size() < 60 * 7) {
    Pool2dOptions o;
    o.pool_size = {1 + random.below(5), 1 + random.below(5)};
    if (random.below(5) > 0) o.strides = Size2{1 + random.below(4), 1 + random.below(4)};
    if (random.below(3) == 0) o.padding = "same";
    if (random.below(3) == 0)
      o.padding = {random.below(3), random.below(3), random.below(3), random.below(3)};
    const Shape x = {random.below(4), o.pool_size.height + random.below(9),
                     o.pool_size.width + random.below(9), 1 + random.below(40)};
    add_all(table, x, o);
  }
  run_table(table);
}

TEST(Pool2d, GlobalAverage) {
  std::vector<Case> table;
  for (const Shape& x : std::vector<Shape>{{1, 1, 1, 1},
                                           {2, 4, 4, 512},
                                           {3, 5, 7, 3},
                                           {2, 9, 9, 17},
                                           {1, 100, 90, 20},
                                           {4, 7, 7, 9},
                                           {0, 3, 3, 4},
                                           {2, 3, 3, 0},
                                           {2, 1, 65, 8},
                                           {1, 8, 8, 31}}) {
    table.push_back(Case::of("global_avg_pool2d", None{}, {x}, {Shape{x[0], x[3]}}));
    // Far from 0, where a plain sum in float would lose digits.
    table.push_back(Case::of("global_avg_pool2d", None{},
                             {Input(x, Input::Fill::kUniform, 1000, 1001)}, {Shape{x[0], x[3]}}));
    table.push_back(
        Case::of("global_avg_pool2d_backward", None{}, {Shape{x[0], x[3]}, Input::like(x)}, {x}));
  }
  run_table(table);
}

/// Run one channel's image on an entry and return {y, winner}.
std::vector<Values> max_of(const char* entry, const Shape& x, const Pool2dOptions& o,
                           const Values& values) {
  return run_entry(max_case(x, o), entry, {values});
}

bool same(const Values& a, const Values& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  return true;
}

TEST(Pool2d, KnownValuesTiesAndNan) {
  for (const char* entry : {"reference", "direct"}) {
    SCOPED_TRACE(entry);
    // clang-format off
    const auto known = max_of(entry, {1, 4, 4, 1}, {}, {1, 2,   5, 3,
                                                        4, 0,   2, 8,
                                                        7, 7,  -1, -2,
                                                        7, 7,  -3, -4});
    // clang-format on
    EXPECT_EQ(known[0], (Values{4, 8, 7, -1}));
    EXPECT_EQ(known[1], (Values{2, 3, 0, 0}));  // of four sevens the first
    const auto odd = max_of(entry, {1, 2, 6, 1}, {},
                            {1, kNan, -kInfinity, -kInfinity, kInfinity, 1,  //
                             kNan, 9, -kInfinity, -kInfinity, kNan, 2});
    EXPECT_TRUE(same(odd[0], {kNan, -kInfinity, kNan}));
    EXPECT_EQ(odd[1], (Values{1, 0, 2}));  // of two NaN the first
    // The padding never wins, not even over negative numbers.
    const auto padded =
        max_of(entry, {1, 2, 2, 1}, {.pool_size = 2, .strides = 2, .padding = 1}, {-1, -2, -3, -4});
    EXPECT_EQ(padded[0], (Values{-1, -2, -3, -4}));
    EXPECT_EQ(padded[1], (Values{3, 2, 1, 0}));
    const auto outside =
        max_of(entry, {1, 1, 1, 1}, {.pool_size = 1, .strides = 2, .padding = 2}, {-5});
    EXPECT_EQ(outside[0], (Values{0, 0, 0, 0, -5, 0, 0, 0, 0}));
  }
}

TEST(Pool2d, RectifiedNamesNoWinnerWhereReluStopsTheGradient) {
  const Pool2dOptions o{.rectified = true};
  const Shape x = {1, 2, 10, 1};
  for (const char* entry : {"reference", "direct"}) {
    SCOPED_TRACE(entry);
    const auto found = max_of(entry, x, o, {-1, -2, 0, -1,   1, 2, kNan, 1, -3, kInfinity,  //
                                            -3, -4, 0, -0.0, 4, 3, 1,    1, -3, -3});
    EXPECT_TRUE(same(found[0], {-1, 0, 4, kNan, kInfinity}));
    EXPECT_EQ(found[1], (Values{4, 4, 2, 4, 1}));  // 4: none
    const Values dx = run_entry(max_backward_case(x, o), entry, {{1, 2, 3, 4, 5}, found[1], {}})[0];
    EXPECT_EQ(dx, (Values{0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0}));
    const Values images(20, 7), y = run_entry(gather_case(x, o), entry, {images, found[1]})[0];
    EXPECT_EQ(y, (Values{0, 0, 7, 0, 7}));
  }
}

TEST(Pool2d, AverageCountsThePaddingOnlyWhenAsked) {
  for (const char* entry : {"reference", "direct"}) {
    const Pool2dOptions o{.pool_size = 2, .strides = 2, .padding = 1};
    const Shape x = {1, 2, 2, 1};
    EXPECT_EQ(run_entry(avg_case(x, o, false), entry, {{4, 8, 12, 16}})[0], (Values{4, 8, 12, 16}));
    EXPECT_EQ(run_entry(avg_case(x, o, true), entry, {{4, 8, 12, 16}})[0], (Values{1, 2, 3, 4}));
  }
}

TEST(Pool2d, AWinnerThatNobodyReadsIsNotWritten) {
  for (const Hand& hand : kHand) {
    const Case c = max_case(hand.x, hand.options);
    const auto inputs = draw_inputs(c);
    kernels::Problem problem = c.problem();
    problem.unread = {false, true};
    const std::vector<float> x(inputs[0].begin(), inputs[0].end());
    std::vector<float> y(static_cast<size_t>(c.outputs[0].shape.elements()), -9);
    for (const auto* entry : kernels::entries("max_pool2d", DeviceType::kCpu)) {
      if (entry->name != "direct") continue;
      const void* in[] = {x.data()};
      void* out[] = {y.data(), nullptr};
      kernels::Arguments arguments;
      arguments.inputs = in;
      arguments.outputs = out;
      entry->prepare(problem).kernel->run(arguments);
    }
    EXPECT_EQ(Values(y.begin(), y.end()), run_entry(c, "reference", inputs)[0]) << c.describe();
  }
}

TEST(Pool2d, EveryInstructionSetGivesTheSameBits) {
  using kernels::InstructionSet;
  using kernels::limit_instruction_set;
  for (const Hand& hand : kHand)
    for (const Case& c :
         {max_case(hand.x, hand.options), max_backward_case(hand.x, hand.options),
          avg_case(hand.x, hand.options, false), avg_backward_case(hand.x, hand.options, false)}) {
      const auto inputs = draw_inputs(c);
      const auto widest = run_entry(c, "direct", inputs);
      for (auto set : {InstructionSet::kBaseline, InstructionSet::kAvx2}) {
        const InstructionSet before = limit_instruction_set(set);
        const auto y = run_entry(c, "direct", inputs);
        limit_instruction_set(before);
        EXPECT_EQ(y, widest) << c.describe();
      }
    }
}

TEST(Pool2d, TheNumberOfThreadsChangesNoBit) {
  const int before = threads();
  const Pool2dOptions o{.pool_size = 3, .strides = 2};
  for (const Case& c :
       {max_case({3, 55, 55, 64}, o), max_backward_case({3, 55, 55, 64}, o),
        avg_case({3, 55, 55, 64}, o, true), avg_backward_case({3, 55, 55, 64}, o, true)}) {
    const auto inputs = draw_inputs(c);
    set_threads(1);
    const auto one = run_entry(c, "direct", inputs);
    set_threads(3);
    EXPECT_EQ(run_entry(c, "direct", inputs), one) << c.describe();
  }
  set_threads(before);
}

void check(const Case& forward, const std::string& backward, std::vector<From> inputs) {
  GradientCase g;
  g.forward = forward;
  g.backward = backward;
  g.inputs = std::move(inputs);
  g.outputs = {0};
  check_gradient(g);
}

TEST(Pool2d, GradientsAgreeWithDifferences) {
  for (const Hand& hand : std::vector<Hand>{{{2, 4, 4, 2}, {}},
                                            {{1, 5, 6, 2}, {.pool_size = 3, .strides = 2}},
                                            {{1, 5, 5, 1}, {.pool_size = 2, .strides = 3}},
                                            {{1, 4, 4, 2}, {.pool_size = 3, .padding = "same"}}}) {
    Case max = max_case(hand.x, hand.options);
    max.inputs[0].fill = Input::Fill::kDistinct;
    check(max, "max_pool2d_backward", {From::cotangent(0), From::output(1), From::like(0)});
    for (bool count_padding : {false, true})
      check(avg_case(hand.x, hand.options, count_padding), "avg_pool2d_backward",
            {From::cotangent(0), From::like(0)});
    check(Case::of("global_avg_pool2d", None{}, {hand.x}, {Shape{hand.x[0], hand.x[3]}}),
          "global_avg_pool2d_backward", {From::cotangent(0), From::like(0)});
  }
}

TEST(Pool2d, GatherIsTheGradientOfTheBackward) {
  const Pool2dOptions o{.pool_size = 3, .strides = 2, .padding = "same"};
  const Shape x = {1, 5, 6, 3};
  // <gather(v, winner), dy> = <v, backward(dy, winner)> for all v and dy.
  const Case backward = max_backward_case(x, o), gather = gather_case(x, o);
  const auto inputs = draw_inputs(backward, 3);
  const Values v = draw_inputs(gather, 4)[0];
  const Values dx = run_entry(backward, "direct", inputs)[0];
  const Values y = run_entry(gather, "direct", {v, inputs[1]})[0];
  double left = 0, right = 0;
  for (size_t i = 0; i < y.size(); ++i) left += y[i] * inputs[0][i];
  for (size_t i = 0; i < dx.size(); ++i) right += dx[i] * v[i];
  EXPECT_NEAR(left, right, 1e-5);
  EXPECT_NE(left, 0);
}

TEST(Pool2d, StridesOfZeroAreThePoolSize) {
  EXPECT_EQ(pooled({1, 9, 8, 2}, {.pool_size = {3, 2}}), (Shape{1, 3, 4, 2}));
  EXPECT_EQ(pooled({1, 9, 8, 2}, {.pool_size = {3, 2}, .strides = 1}), (Shape{1, 7, 7, 2}));
  EXPECT_THROW(pooled({1, 1, 8, 2}, {}), ShapeError);
}

}  // namespace
}  // namespace striate::testing
