#include <gtest/gtest.h>
#include <striate/kernels/reduce.h>
#include <striate/tests/kernel_table.h>
#include <striate/tests/printed_seed.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace striate::testing {
namespace {

using Fill = Input::Fill;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
const char* const kEntries[] = {"reference", "direct"};

Shape reduced_shape(const Shape& shape, const ReduceOptions& options) {
  const std::vector<bool> reduced = kernels::reduced_axes(options, shape.rank());
  std::vector<int64_t> dims;
  for (int d = 0; d < shape.rank(); ++d)
    if (!reduced[static_cast<size_t>(d)])
      dims.push_back(shape[d]);
    else if (options.keepdims)
      dims.push_back(1);
  return Shape(dims);
}

Case reduce_case(const std::string& name, const Shape& shape, const ReduceOptions& options) {
  const Shape y = reduced_shape(shape, options);
  if (name == "reduce_max_backward") {
    // Few different values, so that there are ties; y must be the maximum of x.
    const Case forward = reduce_case("reduce_max", shape, options);
    const Values x = draw_inputs(forward)[0];
    const Values max = run_entry(forward, "reference", {x})[0];
    return Case::of(name, options,
                    {Input(y), Input::of(shape, std::vector<float>(x.begin(), x.end())),
                     Input::of(y, std::vector<float>(max.begin(), max.end()))},
                    {shape});
  }
  const bool ties = name == "argmax" || name == "reduce_max";
  return Case::of(name, options, {Input(shape, ties ? Fill::kIndices : Fill::kUniform, -3, 6)},
                  {Output(y, name == "argmax" ? DType::kI64 : DType::kF32)});
}

struct Reduction {
  Shape shape;
  std::vector<int> axes;
};
const std::vector<Reduction> kReductions = {
    {{}, {}},
    {{1}, {}},
    {{7}, {0}},
    {{100000}, {0}},
    {{5, 9}, {}},
    {{5, 9}, {0}},
    {{5, 9}, {1}},
    {{5, 9}, {-1}},
    {{64, 128}, {0}},
    {{3, 2000}, {0}},
    {{400, 200}, {0}},
    {{60, 200}, {1}},
    {{2, 40000}, {1}},
    {{40000, 3}, {0}},
    {{2, 5, 7, 3}, {0, 1, 2}},
    {{4, 20, 20, 32}, {0, 1, 2}},
    {{2, 5, 7, 64}, {0, 1, 2}},
    {{2, 5, 7, 3}, {1, 2}},
    {{2, 5, 7, 3}, {3}},
    {{2, 5, 1, 3}, {2}},
    {{2, 5, 7, 3}, {0, 3}},
    {{2, 5, 7, 3}, {1, 3}},
    {{1, 5, 1, 3}, {0, 2}},
    {{4, 0}, {0}},
    {{0, 4}, {1}},
};

TEST(Reduce, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const char* name : {"reduce_sum", "reduce_mean", "reduce_max", "reduce_max_backward"})
    for (const Reduction& r : kReductions)
      for (bool keepdims : {false, true})
        table.push_back(reduce_case(name, r.shape, {r.axes, keepdims}));
  for (const Reduction& r : kReductions)
    if (r.axes.size() == 1) table.push_back(reduce_case("argmax", r.shape, {r.axes, false}));
  table.push_back(reduce_case("argmax", {4, 5, 6}, {}));
  table.push_back(reduce_case("argmax", {3, 4, 600}, {{1}, false}));
  run_table(table);
}

TEST(Reduce, RandomProblems) {
  PrintedSeed random;
  std::vector<Case> table;
  for (int i = 0; i < 20; ++i) {
    std::vector<int64_t> dims;
    ReduceOptions options;
    for (int d = static_cast<int>(random.below(5)); d >= 0; --d) {
      if (random.below(2)) options.axes.push_back(static_cast<int>(dims.size()));
      dims.push_back(1 + random.below(9));
    }
    options.keepdims = random.below(2) > 0;
    for (const char* name : {"reduce_sum", "reduce_mean", "reduce_max", "reduce_max_backward"})
      table.push_back(reduce_case(name, Shape(dims), options));
    options.axes.resize(std::min<size_t>(options.axes.size(), 1));
    table.push_back(reduce_case("argmax", Shape(dims), options));
  }
  run_table(table);
}

/// Return the case where one element decides each result: of result j that at place j * step of the
/// reduced axes, counted round. The others are small and differ.
Case decided_case(const std::string& name, const Shape& shape, const ReduceOptions& options,
                  size_t step) {
  Case c = reduce_case(name == "reduce_max_backward" ? "reduce_max" : name, shape, options);
  const std::vector<bool> reduced = kernels::reduced_axes(options, shape.rank());
  const auto results = static_cast<size_t>(reduced_shape(shape, options).elements());
  const auto count = static_cast<size_t>(shape.elements());
  std::vector<float> x(count);
  for (size_t i = 0; i < count; ++i) {
    size_t result = 0, place = 0, rest = count, left = i;
    for (int d = 0; d < shape.rank(); ++d) {
      const auto extent = static_cast<size_t>(shape[d]);
      rest /= extent;
      size_t& at = reduced[static_cast<size_t>(d)] ? place : result;
      at = at * extent + left / rest;
      left %= rest;
    }
    const bool decides = place == result * step % (count / results);
    x[i] = decides ? 64.0f : static_cast<float>(i % 101) / 1024;
  }
  c.inputs[0] = Input::of(shape, x);
  if (name == "reduce_max_backward") {
    const Shape y = reduced_shape(shape, options);
    const std::vector<float> largest(results, 64.0f);
    c = Case::of(name, options, {Input(y), c.inputs[0], Input::of(y, largest)}, {shape});
  }
  c.always = true;
  return c;
}

// One element for each turn of a warp, a block, or the threads of a column, and behind the last.
// Whole turns: else another thread, a turn off, may read what one misses. 8704: chunks of 17 turns.
TEST(Reduce, EachElementMayDecide) {
  struct Decided {
    Shape shape;
    std::vector<int> axes;
    size_t step;
  };
  const std::vector<Decided> all = {
      {{8, 224}, {1}, 32},       {{8, 1792}, {1}, 256},  {{9, 6000}, {1}, 667},
      {{8, 8704}, {1}, 256},     {{200, 8}, {0}, 32},    {{500, 31}, {0}, 8},
      {{300, 3}, {0}, 64},       {{60, 64}, {0}, 1},     {{2000, 9}, {0}, 223},
      {{20, 7, 10}, {0, 2}, 32}, {{3, 200, 5}, {1}, 32}, {{7, 6, 40}, {0, 2}, 32},
  };
  std::vector<Case> table;
  for (const Decided& d : all)
    for (const char* name :
         {"reduce_sum", "reduce_mean", "reduce_max", "reduce_max_backward", "argmax"})
      if (std::string(name) != "argmax" || d.axes.size() == 1)
        table.push_back(decided_case(name, d.shape, {d.axes, false}, d.step));
  run_table(table);
}

TEST(Reduce, KnownValues) {
  const Values x = {1, 2, 3, 4, 5, 6};
  for (const char* entry : kEntries) {
    auto run = [&](const char* name, const ReduceOptions& options) {
      return run_entry(reduce_case(name, {2, 3}, options), entry, {x})[0];
    };
    EXPECT_EQ(run("reduce_sum", {}), (Values{21})) << entry;
    EXPECT_EQ(run("reduce_sum", {{0}, false}), (Values{5, 7, 9})) << entry;
    EXPECT_EQ(run("reduce_sum", {{1}, false}), (Values{6, 15})) << entry;
    EXPECT_EQ(run("reduce_mean", {{0}, false}), (Values{2.5, 3.5, 4.5})) << entry;
    EXPECT_EQ(run("reduce_mean", {{-1}, true}), (Values{2, 5})) << entry;
    EXPECT_EQ(run("reduce_max", {{1}, false}), (Values{3, 6})) << entry;
    EXPECT_EQ(run("argmax", {{1}, false}), (Values{2, 2})) << entry;
    EXPECT_EQ(run("argmax", {{0}, false}), (Values{1, 1, 1})) << entry;
    EXPECT_EQ(run("argmax", {}), (Values{5})) << entry;
  }
}

TEST(Reduce, OfNothing) {
  for (const char* entry : kEntries) {
    auto run = [&](const char* name) {
      return run_entry(reduce_case(name, {0, 2}, {{0}, false}), entry, {{}})[0];
    };
    EXPECT_EQ(run("reduce_sum"), (Values{0, 0})) << entry;
    EXPECT_EQ(run("reduce_max"), (Values{-kInfinity, -kInfinity})) << entry;
    EXPECT_TRUE(std::isnan(run("reduce_mean")[1])) << entry;
  }
}

// The first of equals wins, whichever threads of a warp have them; NaN over all numbers.
TEST(Reduce, TheFirstOfEqualsWinsInEveryType) {
  constexpr size_t kLength = 70;
  std::vector<Case> table;
  const std::vector<size_t> equals[] = {{2, 33}, {33, 65}, {65, 2}, {1, 0}, {69}, {40, 8, 41}};
  for (const float best : {7.0f, INFINITY, NAN}) {
    std::vector<float> x;
    for (const auto& places : equals) {
      std::vector<float> row(kLength, best == 7.0f ? -INFINITY : 3.0f);
      for (const size_t place : places) row[place] = best;
      x.insert(x.end(), row.begin(), row.end());
    }
    x.insert(x.end(), kLength, -INFINITY);
    table.push_back(reduce_case("argmax", {7, kLength}, {{1}, false}));
    table.back().inputs[0] = Input::of(Shape{7, kLength}, x);
    std::vector<float> largest(std::size(equals), best);
    largest.push_back(-INFINITY);
    table.push_back(reduce_case("reduce_max_backward", {7, kLength}, {{1}, false}));
    table.back().inputs[1] = Input::of(Shape{7, kLength}, x);
    table.back().inputs[2] = Input::of(Shape{7}, largest);
  }
  run_table(table);
}

TEST(Reduce, NanWins) {
  for (const char* entry : kEntries)
    for (int axis : {0, 1}) {
      Values x(20 * 20, 1);
      x[7 * 20 + 3] = NAN, x[9 * 20 + 3] = NAN, x[7 * 20 + 5] = 9;
      const ReduceOptions options{{axis}, false};
      const size_t place = axis == 0 ? 3 : 7;
      for (const char* name : {"reduce_max", "reduce_sum", "reduce_mean"}) {
        const Values y = run_entry(reduce_case(name, {20, 20}, options), entry, {x})[0];
        EXPECT_TRUE(std::isnan(y[place])) << name << " " << entry;
        EXPECT_FALSE(std::isnan(y[0])) << name << " " << entry;
      }
      const Values winner = run_entry(reduce_case("argmax", {20, 20}, options), entry, {x})[0];
      EXPECT_EQ(winner[place], axis == 0 ? 7 : 3) << entry;  // the first NaN, not the 9
      EXPECT_EQ(winner[0], 0) << entry;                      // the first of equals
      const Values y = run_entry(reduce_case("reduce_max", {20, 20}, options), entry, {x})[0];
      const Values dy(20, 2);
      const Values dx =
          run_entry(reduce_case("reduce_max_backward", {20, 20}, options), entry, {dy, x, y})[0];
      EXPECT_EQ(dx[7 * 20 + 3], 2) << entry;
      EXPECT_EQ(dx[9 * 20 + 3], axis == 0 ? 0 : 2) << entry;
      EXPECT_EQ(dx[7 * 20 + 5], axis == 0 ? 2 : 0) << entry;
    }
}

TEST(Reduce, LongSumsKeepTheirDigits) {
  for (const char* entry : kEntries) {
    const Case c = reduce_case("reduce_sum", {1000001}, {});
    Values x(1000001, 0.1f);
    x[0] = 1e7;
    // float32 has steps of 1 here. The CPU sums in double; a device as a tree, in float.
    const double limit = is_device_tested() ? 1.01 : 1;
    EXPECT_NEAR(run_entry(c, entry, {x})[0][0], 1e7 + 1e6 * double{0.1f}, limit) << entry;
  }
}

TEST(Reduce, OtherElementTypes) {
  Case c = reduce_case("reduce_sum", {3}, {});
  c.inputs[0].dtype = c.outputs[0].dtype = DType::kI64;
  EXPECT_EQ(run_entry(c, "reference", {{1, 2, 1LL << 50}})[0][0], 3.0 + (1LL << 50));
  c.inputs[0].dtype = c.outputs[0].dtype = DType::kF16;
  EXPECT_EQ(run_entry(c, "reference", {{1, 2, 4}})[0][0], 7);
}

TEST(Reduce, Gradient) {
  for (const Reduction& r :
       std::vector<Reduction>{{{4, 5}, {0}}, {{2, 3, 4}, {1, 2}}, {{6}, {}}, {{2, 3, 4}, {0, 2}}}) {
    GradientCase g;
    g.forward = reduce_case("reduce_max", r.shape, {r.axes, false});
    g.forward.inputs[0].fill = Fill::kDistinct;
    g.backward = "reduce_max_backward";
    g.inputs = {From::cotangent(0), From::input(0), From::output(0)};
    g.outputs = {0};
    check_gradient(g);
  }
}

struct None {};

Case broadcast_case(const Shape& from, const Shape& to) {
  return Case::of("broadcast_to", None{}, {Input(from), Input::like(to)}, {to});
}
Case sum_to_case(const Shape& from, const Shape& to) {
  return Case::of("sum_to", None{}, {Input(from), Input::like(to)}, {to});
}

const std::vector<std::pair<Shape, Shape>> kBroadcasts = {
    // small, large
    {{}, {}},
    {{}, {5}},
    {{1}, {5}},
    {{5}, {5}},
    {{3}, {4, 3}},
    {{4, 1}, {4, 3}},
    {{1, 3}, {4, 3}},
    {{1, 1}, {4, 3}},
    {{3}, {2, 5, 7, 3}},
    {{2, 1, 1, 3}, {2, 5, 7, 3}},
    {{1, 5, 1, 3}, {2, 5, 7, 3}},
    {{2, 1, 7, 1}, {2, 5, 7, 3}},
    {{2, 5, 7, 1}, {2, 5, 7, 3}},
    {{7, 1}, {2, 5, 7, 3}},
    {{64}, {900, 64}},
    {{1}, {70000}},
    {{3}, {0, 3}},
    {{0, 1}, {0, 3}},
};

TEST(Broadcast, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const auto& [small, large] : kBroadcasts) {
    table.push_back(broadcast_case(small, large));
    table.push_back(sum_to_case(large, small));
  }
  PrintedSeed random;
  for (int i = 0; i < 20; ++i) {
    std::vector<int64_t> large, small;
    for (int64_t d = random.below(6); d >= 0; --d) {
      large.push_back(1 + random.below(7));
      small.push_back(random.below(2) ? large.back() : 1);
    }
    small.erase(small.begin(), small.begin() + random.below(static_cast<int64_t>(small.size())));
    table.push_back(broadcast_case(Shape(small), Shape(large)));
    table.push_back(sum_to_case(Shape(large), Shape(small)));
  }
  run_table(table);
}

TEST(Broadcast, KnownValues) {
  for (const char* entry : kEntries) {
    EXPECT_EQ(run_entry(broadcast_case({2, 1}, {2, 3}), entry, {{1, 2}, {}})[0],
              (Values{1, 1, 1, 2, 2, 2}))
        << entry;
    EXPECT_EQ(run_entry(broadcast_case({3}, {2, 3}), entry, {{1, 2, 3}, {}})[0],
              (Values{1, 2, 3, 1, 2, 3}))
        << entry;
    EXPECT_EQ(run_entry(sum_to_case({2, 3}, {2, 1}), entry, {{1, 2, 3, 4, 5, 6}, {}})[0],
              (Values{6, 15}))
        << entry;
    EXPECT_EQ(run_entry(sum_to_case({2, 3}, {3}), entry, {{1, 2, 3, 4, 5, 6}, {}})[0],
              (Values{5, 7, 9}))
        << entry;
  }
}

// The two are each other's gradient.
TEST(Broadcast, Gradients) {
  for (const auto& [small, large] : kBroadcasts) {
    if (large.elements() > 1000 || large.elements() == 0) continue;
    GradientCase g;
    g.forward = broadcast_case(small, large);
    g.backward = "sum_to";
    g.inputs = {From::cotangent(0), From::like(0)};
    g.outputs = {0};
    check_gradient(g);
    g.forward = sum_to_case(large, small);
    g.backward = "broadcast_to";
    check_gradient(g);
  }
}

}  // namespace
}  // namespace striate::testing
