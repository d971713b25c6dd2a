// The convolutions of named networks, with small pictures.
//
// One test, for the CPU before all, cuts their channels too: the kernels' inner loops are those of
// the network, and the reference is quick. On a device the channels are the network's, and the rows
// of the product are the least that make two whole tiles and a rest.
//
// What each commit runs on a device are the kernels that it chooses for the layers at full size and
// 32 pictures, each with its tile, in float32 and float16. Of the layers of a network that share a
// kernel, a tile, the window, stride, padding and grouping, and how their channels fill tiles and
// steps of depth, it is the one with the least work; the others would emulate the same instructions
// for longer. --long runs every layer in every entry and type, which takes minutes.
#include <gtest/gtest.h>
#include <striate/tests/conv2d_cases.h>
#include <striate/tests/kernel_trial.h>
#include <striate/tests/shapes/alexnet.h>
#include <striate/tests/shapes/googlenet.h>
#include <striate/tests/shapes/lenet.h>
#include <striate/tests/shapes/mobilenet.h>
#include <striate/tests/shapes/resnet50.h>
#include <striate/tests/shapes/vgg16.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>
#include <tuple>

namespace striate::testing {
namespace {

using shapes::ConvLayer;
using Layers = std::vector<ConvLayer>;

template <size_t Count>
Layers listed(const ConvLayer (&layers)[Count]) {
  return Layers(std::begin(layers), std::end(layers));
}

const std::map<std::string, Layers>& networks() {
  static const std::map<std::string, Layers> all = {
      {"lenet", listed(shapes::kLenet)},       {"alexnet", listed(shapes::kAlexnet)},
      {"vgg16", listed(shapes::kVgg16)},       {"googlenet", listed(shapes::kGooglenet)},
      {"resnet50", listed(shapes::kResnet50)}, {"mobilenet", listed(shapes::kMobilenet)}};
  return all;
}

Conv2dCase of_layer(const ConvLayer& layer, int64_t pictures) {
  Conv2dCase c;
  c.N = pictures, c.H = layer.height, c.W = layer.width, c.C = layer.channels, c.K = layer.filters;
  c.window = layer.window;
  c.options.strides = layer.stride;
  c.options.padding = layer.padding;
  c.options.groups = layer.groups;
  c.bias = true;
  c.name = layer.name;
  return c;
}

/// What tells two convolutions with the same options apart.
auto sizes_of(const Conv2dCase& c) {
  return std::make_tuple(c.N, c.H, c.W, c.C, c.K, c.window.height, c.options.strides.height,
                         c.options.padding.top, c.options.groups);
}

/// Return all directions of convolutions, of equal ones once.
std::vector<Case> table_of(const std::vector<Conv2dCase>& cases) {
  std::set<decltype(sizes_of(cases[0]))> seen;
  std::vector<Case> table;
  for (const Conv2dCase& c : cases)
    if (seen.insert(sizes_of(c)).second)
      for (const Case& direction : all_directions(c)) table.push_back(direction);
  return table;
}

TEST(NetworkLayers, WithTheirChannelsCut) {
  std::vector<Conv2dCase> cases;
  const std::map<std::string, int64_t> limits = {{"lenet", 1024}, {"vgg16", 64}, {"googlenet", 64}};
  for (const auto& [name, layers] : networks())
    for (const ConvLayer& layer : layers) {
      Conv2dCase c = of_layer(layer, 1);
      const int64_t limit = limits.count(name) > 0 ? limits.at(name) : 96;
      c.C = std::min(c.C, limit), c.K = std::min(c.K, limit);
      if (layer.groups == layer.channels) c.options.groups = c.C;
      c.H = std::min(layer.height, layer.window + 2 * layer.stride + 1);
      c.W = std::min(layer.width, layer.window + 3 * layer.stride);
      cases.push_back(c);
    }
  run_table(table_of(cases));
}

// Directions, in the order of all_directions.
constexpr size_t kForward = 0, kBackwardInput = 1, kBackwardWeight = 2;

/// Return the layer on the fewest and smallest pictures that make so many rows of the product (of
/// the gradient of filters: as much depth). Pictures have unequal sides, and there are two or more
/// except where one of the layer's makes fewer rows; what the stride leaves over stays.
Conv2dCase cut_to(const ConvLayer& layer, size_t direction, int64_t rows) {
  Conv2dCase c = of_layer(layer, 1);
  const auto divide_up = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  const Shape y = output_shape(c);
  const int64_t Q = std::min<int64_t>(y[2], 13), P = std::min(y[1], divide_up(rows, 2 * Q));
  c.H -= (y[1] - P) * layer.stride;
  c.W -= (y[2] - Q) * layer.stride;
  // The rows of a gradient of the input are its places, by the turns of a stride apart.
  const int64_t turns = layer.stride * layer.stride;
  c.N = divide_up(rows, direction == kBackwardInput ? std::max(P * Q, c.H * c.W / turns) : P * Q);
  return c;
}

/// A layer as a device runs it at full size, cut: the entry, and the tile if it has one ("128x64").
struct Launch {
  Case c;
  std::string entry, tile;
  int64_t rows = 0, tile_rows = 0, work = 0;  // work: multiply-adds
  std::string kind;                           // what other layers may share
};

Launch launch_of(const ConvLayer& layer, size_t direction, DType dtype) {
  const auto in_direction = [&](const Conv2dCase& c) { return all_directions(c)[direction]; };
  kernels::Problem problem = in_direction(of_layer(layer, 32)).with_floats(dtype).problem();
  problem.device = device_under_test();
  const kernels::Choice choice = kernels::choose(problem);
  const std::string& detail = choice.prepared.detail;
  Launch launch;
  launch.entry = choice.entry->name;
  // Kernels without such tiles take strips of rows and channels; these bounds serve them as well.
  int rows = 128, columns = 64, length = 0;
  if (std::sscanf(detail.c_str(), "%dx%d%n", &rows, &columns, &length) == 2)
    launch.tile = detail.substr(0, static_cast<size_t>(length));
  // The rows of a gradient of filters are filters, which stay; its depth is cut to two steps of at
  // most 32 and a rest.
  launch.tile_rows = direction == kBackwardWeight ? 32 : rows;
  const Conv2dCase cut = cut_to(layer, direction, 2 * launch.tile_rows + 1);
  launch.c = in_direction(cut);
  const Shape y = output_shape(cut);
  const int64_t C = layer.channels / layer.groups, K = layer.filters / layer.groups;
  launch.rows = direction == kBackwardInput ? cut.N * cut.H * cut.W : cut.N * y[1] * y[2];
  launch.work = y.elements() * layer.window * layer.window * C;
  const int64_t filled = direction == kBackwardInput ? C : K, summed = filled == C ? K : C;
  const auto multiple_of = [](int64_t channels, std::initializer_list<int64_t> numbers) {
    return *std::find_if(numbers.begin(), numbers.end(),
                         [&](int64_t number) { return channels % number == 0; });
  };
  std::ostringstream kind;
  kind << name_of(dtype) << " " << launch.entry << " " << launch.tile
       << (detail.find("vectors") != std::string::npos ? " vectors" : "") << ", window "
       << layer.window << ", stride " << layer.stride << ", padding " << layer.padding
       << (layer.groups == 1                ? ""
           : layer.groups == layer.channels ? ", depthwise"
                                            : ", groups")
       << ", " << multiple_of(filled, {direction == kBackwardWeight ? rows : columns, 8, 4, 1})
       << " of " << multiple_of(summed, {32, 8, 4, 1});
  launch.kind = launch.c.operation + " " + kind.str();
  return launch;
}

void expect_agreement(const Launch& launch, DType dtype) {
  Case stored = launch.c.with_floats(dtype);
  const std::vector<Values> inputs = draw_inputs(stored);
  const std::vector<Values> expected = dtype == DType::kF32
                                           ? run_entry(launch.c, "reference", inputs)
                                           : expect_halves(launch.c, stored, inputs);
  const ForcedTile tile(launch.tile);
  kernels::Problem problem = stored.problem();
  problem.device = device_under_test();
  for (const kernels::Entry* entry : kernels::entries(stored.operation, problem.device.type)) {
    if (entry->name != launch.entry) continue;
    ASSERT_EQ(kernels::refusal(*entry, problem), "") << launch.kind;
    ASSERT_EQ(entry->prepare(problem).detail.rfind(launch.tile, 0), 0u) << launch.kind;
  }
  const std::vector<Values> found = run_entry(stored, launch.entry, inputs);
  for (size_t j = 0; j < found.size(); ++j)
    EXPECT_LE(nmse(found[j], expected[j]), stored.limit)
        << launch.c.describe() << " output " << j << ": " << launch.kind;
}

/// Each network, by name.
class Network : public ::testing::TestWithParam<std::string> {};

TEST_P(Network, KeepsItsChannelsOnADevice) {
  if (!is_device_tested()) {
    EXPECT_GE(networks().at(GetParam()).size(), 3u);
    return;
  }
  for (const DType dtype : {DType::kF32, DType::kF16}) {
    std::map<std::string, Launch> least;
    for (const ConvLayer& layer : networks().at(GetParam()))
      for (const size_t direction : {kForward, kBackwardInput, kBackwardWeight}) {
        const Launch launch = launch_of(layer, direction, dtype);
        EXPECT_GT(launch.rows, 2 * launch.tile_rows) << launch.c.describe();
        const auto found = least.emplace(launch.kind, launch).first;
        if (launch.work < found->second.work) found->second = launch;
      }
    for (const auto& [kind, launch] : least) expect_agreement(launch, dtype);
    std::printf("  %s, %s: %zu kernels on layers of their own\n", GetParam().c_str(),
                name_of(dtype), least.size());
  }
}

TEST_P(Network, KeepsItsChannelsInAllEntries) {
  if (!is_device_tested() || !std::getenv("STRIATE_LONG")) {
    EXPECT_GE(networks().at(GetParam()).size(), 3u);
    return;
  }
  std::vector<Conv2dCase> cases;
  for (const ConvLayer& layer : networks().at(GetParam()))
    cases.push_back(cut_to(layer, kForward, 2 * 64 + 1));
  run_table(table_of(cases));
}

INSTANTIATE_TEST_SUITE_P(Each, Network,
                         ::testing::Values("lenet", "alexnet", "vgg16", "googlenet", "resnet50",
                                           "mobilenet"),
                         [](const auto& info) { return info.param; });

TEST(NetworkLayers, TablesAreThePublishedOnes) {
  auto weights = [](const auto& layers) {
    int64_t sum = 0;
    for (const auto& l : layers)
      sum += l.times * l.filters * l.window * l.window * l.channels / l.groups;
    return sum;
  };
  // All parameters less those of dense layers, biases and batch norms.
  EXPECT_EQ(weights(shapes::kVgg16), 138357544 - 123642856 - 4224);
  EXPECT_EQ(weights(shapes::kResnet50), 25557032 - 2049000 - 53120);
  EXPECT_EQ(weights(shapes::kAlexnet), 34848 + 307200 + 884736 + 663552 + 442368);
  EXPECT_EQ(weights(shapes::kGooglenet), 6998552 - 1025000 - 7280);
  EXPECT_EQ(weights(shapes::kMobilenet), 4231976 - 1025000 - 2 * 10944);
}

}  // namespace
}  // namespace striate::testing
