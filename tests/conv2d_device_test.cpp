// Convolutions whose kernels on devices take only some problems: Winograd's method from 128
// channels on, filters over few channels, and the usual windows of depthwise layers.
#include <gtest/gtest.h>
#include <striate/tests/conv2d_cases.h>

#include <cmath>
#include <cstdlib>

namespace striate::testing {
namespace {

/// Run cases; where the tables try CUDA devices the entry must have run on some of them.
void run_for(const std::string& entry, std::vector<Case> table) {
  for (Case& c : table) c.always = true;
  const char* device = std::getenv("STRIATE_TEST_DEVICE");
  const bool on_cuda = device != nullptr && std::string(device) == "cuda";
  int ran = 0;
  for (const EntryCount& count : run_table(table))
    if (count.entry == entry) ran += count.ran;
  EXPECT_TRUE(ran > 0 || !on_cuda) << entry;
}

Case with_gate(Case c, Activation activation, Shape y) {
  c.gate = {activation, 0.2, static_cast<int>(c.inputs.size())};
  c.inputs.push_back(Input(y, Input::Fill::kUniform, -0.5, 1));
  return c;
}

TEST(DeviceConv2d, WinogradsMethod) {
  std::vector<Case> table;
  // Odd extents, so that tiles reach beyond the picture; 132 filters are no whole tile.
  const Conv2dSizes odd = {1, 5, 3, 128, 132};
  for (Activation activation : {Activation::kRelu, Activation::kTanh}) {
    Conv2dSizes sizes = odd;
    sizes.activation = activation, sizes.residual = activation == Activation::kRelu;
    table.push_back(conv2d_forward(dense_case(sizes)));
  }
  table.push_back(conv2d_backward_input(dense_case(odd)));
  table.push_back(
      with_gate(conv2d_backward_input(dense_case(odd)), Activation::kRelu, {1, 5, 3, 128}));
  for (Padding padding : {Padding("valid"), Padding(0, 3, 2, 1)}) {
    Conv2dSizes sizes = {1, 4, 3, 132, 128};
    sizes.padding = padding, sizes.bias = false;
    table.push_back(conv2d_forward(dense_case(sizes)));
    table.push_back(conv2d_backward_input(dense_case(sizes)));
  }
  run_for("winograd", table);
}

TEST(DeviceConv2d, WinogradsMethodWithEveryTile) {
  // 132 filters are more than one tile of the product, and ragged. "": as the device plans it.
  std::vector<Case> table;
  for (const char* tile : {"", "128x128", "128x64"}) {
    table.push_back(conv2d_forward(dense_case({1, 9, 8, 128, 132})));
    table.back().tile = tile;
  }
  table.push_back(conv2d_forward(dense_case({1, 12, 11, 132, 132})));  // no whole steps
  table.back().tile = "64x32";
  run_for("winograd", table);
}

// Rows of outputs that are no whole strips, windows beyond each edge, and infinities where a stride
// of 2 leaves the last row and column of the picture out.
TEST(DeviceConv2d, DepthwiseWindows) {
  std::vector<Case> table;
  for (const int window : {3, 5, 7})
    for (const int stride : {1, 2}) {
      Conv2dSizes all = {2, window + 2, window + 6, 12, 12, window, stride, window / 2};
      table.push_back(with_gate(conv2d_backward_input(depthwise_case(all)), Activation::kRelu6,
                                {2, window + 2, window + 6, 12}));
      all.activation = Activation::kLeakyRelu;
      table.push_back(conv2d_forward(depthwise_case(all)));
      all.residual = true;
      for (Case& c : all_directions(depthwise_case(all))) table.push_back(std::move(c));
      Conv2dSizes inner = {1, window + 3, window + 9, 8, 8, window, stride, Padding()};
      inner.activation = Activation::kRelu6, inner.bias = false, inner.residual = true;
      Case c = conv2d_forward(depthwise_case(inner));
      if (stride == 2) {
        const Shape shape = c.inputs[0].shape;
        const Values drawn = draw_inputs(c)[0];
        std::vector<float> x(drawn.begin(), drawn.end());
        for (int64_t i = 0; i < shape.elements(); ++i) {
          const int64_t pixel = i / shape[3];
          if (pixel / shape[2] == shape[1] - 1 || pixel % shape[2] == shape[2] - 1)
            x[static_cast<size_t>(i)] = INFINITY;
        }
        c.inputs[0] = Input::of(shape, x);
      }
      table.push_back(c);
    }
  table.push_back(with_gate(conv2d_backward_input(depthwise_case({1, 5, 6, 5, 5, {2, 3}})),
                            Activation::kRelu, {1, 5, 6, 5}));
  // A block's channels and more than as many again as it has threads; four slices of eight rows.
  for (const int window : {1, 3, 5, 7})
    table.push_back(
        conv2d_backward_weight(depthwise_case({1, 2, 1, 260, 260, window, 1, window / 2})));
  table.push_back(conv2d_backward_weight(depthwise_case({1, 32, 1, 128, 128, 3, 1, 1})));
  // More filters of a block's channels than four for each of its threads.
  for (const auto& [window, channels] : {std::pair(3, 128), {5, 36}})
    for (const int stride : {1, 2})
      table.push_back(conv2d_forward(
          depthwise_case({1, 3, 5, channels, channels, window, stride, window / 2})));
  table.push_back(conv2d_forward(depthwise_case({1, 3, 5, 20, 20, 7, 1, 3})));
  // Every kind of gate where a thread makes one element.
  for (const Activation activation :
       {Activation::kRelu6, Activation::kTanh, Activation::kSigmoid, Activation::kLeakyRelu})
    table.push_back(with_gate(conv2d_backward_input(depthwise_case({1, 5, 6, 5, 5, {2, 3}})),
                              activation, {1, 5, 6, 5}));
  run_for("depthwise", table);
}

TEST(DeviceConv2d, FiltersOverFewChannels) {
  std::vector<Case> table;
  for (const int64_t channels : {1, 2, 3, 4}) {
    table.push_back(conv2d_forward(
        dense_case({2, 5, 21, channels, 20, 3, 1, 1, 1, Activation::kLeakyRelu, true, true})));
    table.push_back(conv2d_forward(
        dense_case({1, 11, 34, channels, 36, 5, 2, 2, 1, Activation::kRelu6, false, true})));
    // All columns of a tile, and one of the next.
    table.push_back(conv2d_forward(dense_case({1, 2, 33, channels, 5})));
  }
  // Long rows of taps, read in several turns; the filters end within a block.
  for (const int64_t filters : {20, 33})
    table.push_back(conv2d_forward(dense_case({1, 1, 34, 1, filters, {1, 31}, 1, "same"})));
  run_for("direct", table);
}

TEST(DeviceConv2d, GradientsOfFiltersOverFewChannels) {
  const std::vector<Conv2dSizes> sizes = {
      {2, 9, 19, 1, 6, 5, 1, 2},   // a row of outputs is longer than a strip
      {1, 7, 8, 3, 70, 3, 1, 1},   // two tiles of filters
      {1, 16, 15, 3, 8, 7, 2, 3},  // two tiles of taps
      {2, 20, 9, 4, 5, {2, 3}, {3, 1}, "valid", {1, 2}},
  };
  std::vector<Case> table;
  for (Conv2dSizes s : sizes)
    for (bool bias : {true, false}) {
      s.bias = bias;
      table.push_back(conv2d_backward_weight(dense_case(s)));
    }
  run_for("direct", table);
}

}  // namespace
}  // namespace striate::testing
