// The CPU's own convolution entries on bad input, for both vector widths: extents below a tile, odd
// ones, channels beside full blocks, one image; NaN and infinity; denormal numbers.
#include <gtest/gtest.h>
#include <striate/kernels/instruction_set.h>
#include <striate/tests/conv2d_cases.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <set>

namespace striate::testing {
namespace {

const char* const kOwn[] = {"winograd", "winograd_2x2", "direct", "batch_lanes", "depthwise"};

class BadInput : public ::testing::TestWithParam<kernels::InstructionSet> {
 protected:
  void SetUp() override { before_ = kernels::limit_instruction_set(GetParam()); }
  void TearDown() override { kernels::limit_instruction_set(before_); }

  /// Return the names of our own entries that take a case.
  static std::vector<std::string> takers(const Case& c) {
    std::vector<std::string> names;
    for (const auto* entry : kernels::entries(c.operation, DeviceType::kCpu))
      if (std::count(std::begin(kOwn), std::end(kOwn), entry->name) &&
          kernels::refusal(*entry, c.problem()).empty())
        names.push_back(entry->name);
    return names;
  }

  kernels::InstructionSet before_ = kernels::InstructionSet::kBaseline;
};

/// Every entry takes some of these: few channels, many, one for each.
std::vector<Case> cases_of(Conv2dSizes sizes) {
  std::vector<Case> all;
  for (const auto& [c, k] : {std::pair<int64_t, int64_t>{3, 7}, {13, 20}, {16, 16}}) {
    sizes.c = c, sizes.k = k;
    for (Case& made : all_directions(dense_case(sizes))) all.push_back(std::move(made));
  }
  sizes.c = sizes.k = 11;
  for (Case& made : all_directions(depthwise_case(sizes))) all.push_back(std::move(made));
  return all;
}

/// Extents below a tile, of one pixel, one row or one column, odd and above it; one image.
TEST_P(BadInput, Extents) {
  std::vector<Case> table;
  for (const auto& [h, w] :
       {std::pair<int64_t, int64_t>{1, 1}, {1, 5}, {5, 1}, {2, 3}, {3, 2}, {3, 3}, {5, 7}, {7, 9}})
    for (Case& made : cases_of({1, h, w, 0, 0})) table.push_back(std::move(made));
  std::map<std::string, int> ran;
  for (const EntryCount& count : run_table(table)) ran[count.entry] += count.ran;
  if (is_device_tested() || kernels::instruction_set() == kernels::InstructionSet::kBaseline)
    return;
  for (const char* entry : kOwn) EXPECT_GE(ran[entry], 8) << entry;
}

// NaN and infinity
// ---------------------------------------------------------------------------------------------

using Places = std::set<size_t>;

Places nonfinite(const Values& values) {
  Places places;
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) places.insert(i);
  return places;
}

int64_t index_of(size_t place, const Shape& shape, int dim) {
  return static_cast<int64_t>(place) / shape.product(dim + 1, shape.rank()) % shape[dim];
}

/// True when a place's distance from one of the others is that of a tile of 4x4; in gradients of
/// filters, when it belongs to the same filter and channel.
bool shares_tile(size_t place, const Places& others, const Shape& shape, bool weights) {
  return std::any_of(others.begin(), others.end(), [&](size_t other) {
    const auto apart = [&](int dim) {
      return std::abs(index_of(place, shape, dim) - index_of(other, shape, dim));
    };
    return apart(0) == 0 && (!weights || apart(3) == 0) && apart(1) <= 3 && apart(2) <= 3;
  });
}

/// True when a window of 3x3 at an output reaches into padding of 1; gradients: for that filter.
bool is_at_edge(size_t place, const Places& others, const Shape& shape, bool weights) {
  if (weights)
    return std::any_of(others.begin(), others.end(), [&](size_t other) {
      return index_of(place, shape, 0) == index_of(other, shape, 0);
    });
  for (int dim : {1, 2}) {
    const int64_t at = index_of(place, shape, dim);
    if (at == 0 || at == shape[dim] - 1) return true;
  }
  return false;
}

/// Say what is wrong with an entry's non-finite places, given those of direct sums.
std::string fault_of(const Case& c, const std::string& detail, const Places& found,
                     const Places& direct) {
  if (!std::includes(found.begin(), found.end(), direct.begin(), direct.end())) return "hides it";
  const bool weights = c.operation == "conv2d_backward_weight";
  const bool tiles = detail.find("spreads NaN over a tile") != std::string::npos;
  const bool edges = detail.find("spreads NaN at edges") != std::string::npos;
  for (size_t place : found) {
    if (direct.count(place)) continue;
    const Shape& shape = c.outputs[0].shape;
    if (!tiles && !edges) return "spreads it and does not say so";
    if (tiles ? !shares_tile(place, direct, shape, weights)
              : !is_at_edge(place, direct, shape, weights))
      return "spreads it farther than it says";
  }
  return "";
}

TEST(BadInputFaults, AreFound) {
  const Case c = conv2d_forward(dense_case({1, 9, 9, 2, 1}));
  const std::string tile = "spreads NaN over a tile", edge = "spreads NaN at edges";
  EXPECT_EQ(fault_of(c, "", {3, 4}, {3, 4}), "");
  EXPECT_EQ(fault_of(c, tile, {3}, {3, 4}), "hides it");
  EXPECT_EQ(fault_of(c, "", {40, 41}, {40}), "spreads it and does not say so");
  EXPECT_EQ(fault_of(c, tile, {40, 43}, {40}), "");
  EXPECT_EQ(fault_of(c, tile, {40, 44}, {40}), "spreads it farther than it says");
  EXPECT_EQ(fault_of(c, edge, {8, 40}, {40}), "");
  EXPECT_EQ(fault_of(c, edge, {40, 41}, {40}), "spreads it farther than it says");
}

/// One bad number in each input, in its corners and inside.
TEST_P(BadInput, NonFinite) {
  const double kInfinity = std::numeric_limits<double>::infinity();
  std::map<std::string, int> ran;
  for (const Case& c : cases_of({2, 9, 10, 0, 0}))
    for (const std::string& name : takers(c))
      for (size_t input : {0, 1})
        for (double bad : {std::nan(""), kInfinity, -kInfinity}) {
          const std::vector<Values> clean = draw_inputs(c);
          const size_t count = clean[input].size();
          for (size_t place : {size_t{0}, count / 2 + 3, count - 1}) {
            std::vector<Values> inputs = clean;
            inputs[input][place] = bad;
            const Places direct = nonfinite(run_entry(c, "reference", inputs)[0]);
            const std::vector<Values> made = run_entry(c, name, inputs);
            if (is_device_tested()) {  // its kernels multiply the padding's zeros with all filters
              EXPECT_NE(fault_of(c, "", nonfinite(made[0]), direct), "hides it") << c.describe();
            }
            for (const auto* entry : kernels::entries(c.operation, DeviceType::kCpu))
              if (entry->name == name && !is_device_tested()) {
                EXPECT_EQ(
                    fault_of(c, entry->prepare(c.problem()).detail, nonfinite(made[0]), direct), "")
                    << name << " given " << bad << " in input " << input << " at " << place
                    << " of " << c.describe();
              }
            ++ran[name];
          }
        }
  if (kernels::instruction_set() == kernels::InstructionSet::kBaseline) return;
  for (const char* entry : kOwn) EXPECT_GE(ran[entry], 18) << entry;
}

/// A fused activation or residual hides no NaN: not even relu, to which NaN is not above 0.
TEST_P(BadInput, NonFiniteThroughTheEnds) {
  for (Activation activation : {Activation::kRelu, Activation::kRelu6, Activation::kLeakyRelu,
                                Activation::kSigmoid, Activation::kTanh})
    for (const Case& c : cases_of({1, 6, 7, 0, 0, 3, 1, 1, 1, activation, true, true})) {
      if (c.operation != "conv2d") continue;
      for (const std::string& name : takers(c))
        for (size_t input : {0, 2, 3}) {  // image, bias, residual
          std::vector<Values> inputs = draw_inputs(c);
          inputs[input][inputs[input].size() / 2] = std::nan("");
          const Places direct = nonfinite(run_entry(c, "reference", inputs)[0]);
          const Places found = nonfinite(run_entry(c, name, inputs)[0]);
          EXPECT_FALSE(direct.empty()) << c.describe();
          EXPECT_TRUE(std::includes(found.begin(), found.end(), direct.begin(), direct.end()))
              << name << " hides it with " << name_of(activation) << " of input " << input;
        }
    }
}

/// Denormal numbers are neither flushed to zero nor rounded more than others: 1e-38 has 23 bits.
TEST_P(BadInput, Denormals) {
  int ran = 0;
  for (Case c : cases_of({1, 6, 7, 0, 0, 3, 1, 1, 1, Activation::kNone, false}))
    for (size_t input : {0, 1}) {
      c.inputs[input].fill = Input::Fill::kDistinct;
      c.inputs[input].low = -1.1e-38, c.inputs[input].high = 1.1e-38;
      const std::vector<Values> inputs = draw_inputs(c);
      const Values expected = run_entry(c, "reference", inputs)[0];
      for (const std::string& name : takers(c)) {
        EXPECT_LT(nmse(run_entry(c, name, inputs)[0], expected), kLimit)
            << name << " on " << c.describe() << ", denormal input " << input;
        ++ran;
      }
      c.inputs[input] = Input(c.inputs[input].shape);
    }
  if (kernels::instruction_set() != kernels::InstructionSet::kBaseline) {
    EXPECT_GE(ran, 40);
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, BadInput,
                         ::testing::Values(kernels::InstructionSet::kAvx512,
                                           kernels::InstructionSet::kAvx2),
                         [](const auto& info) {
                           return info.param == kernels::InstructionSet::kAvx2 ? "Avx2" : "Avx512";
                         });

}  // namespace
}  // namespace striate::testing
