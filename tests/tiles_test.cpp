// Products with every tile that is compiled for them, on problems of two ragged tiles each way. The
// planner would choose the large tiles for large problems only; here they are asked for.
#include <gtest/gtest.h>
#include <striate/kernels/matmul.h>
#include <striate/tests/conv2d_cases.h>

#include <cmath>
#include <utility>

namespace striate::testing {
namespace {

std::vector<Case> with_tiles(const std::vector<Case>& cases,
                             const std::vector<std::string>& tiles) {
  std::vector<Case> all;
  for (const std::string& tile : tiles)
    for (Case c : cases) {
      c.tile = tile, c.always = true;
      all.push_back(c);
    }
  return all;
}

/// Run the table on a device, where each operation has a kernel that plans by tiles. The CPU has
/// none.
void run_tiles(const std::vector<Case>& table) {
  if (is_device_tested()) {
    run_table(table);
    return;
  }
  for (const Case& c : table)
    for (const kernels::Entry* entry : kernels::entries(c.operation, DeviceType::kCpu))
      EXPECT_TRUE(entry->name != "tiled" && entry->name != "tensor_core") << c.operation;
}

/// a and b are drawn from [-high, high).
Case product(int64_t m, int64_t k, int64_t n, MatmulOptions options, double high = 1) {
  const bool a = options.transpose_a, b = options.transpose_b;
  const auto uniform = [high](Shape shape) {
    return Input(shape, Input::Fill::kUniform, -high, high);
  };
  std::vector<Output> outputs = {Output({m, n})};
  if (options.column_sums) outputs.push_back(Output({n}));
  return Case::of("matmul", options,
                  {uniform(a ? Shape{k, m} : Shape{m, k}), uniform(b ? Shape{n, k} : Shape{k, n}),
                   options.column_sums ? Input::absent() : Input({n})},
                  outputs);
}

/// Return the case with a gate behind its inputs, whose values lie on both sides of each kink.
Case gated(Case c, Activation activation) {
  c.gate = {activation, 0.2, static_cast<int>(c.inputs.size())};
  c.inputs.push_back({c.outputs[0].shape, Input::Fill::kUniform, -4.0, 8.0});
  c.blocked_inputs = false;
  return c;
}

TEST(Tiles, OfMatmul) {
  std::vector<Case> table;
  for (const bool a : {false, true})
    for (const bool b : {false, true}) {
      MatmulOptions options;
      options.transpose_a = a, options.transpose_b = b;
      options.activation = Activation::kRelu;
      table.push_back(product(136, 24, 136, options));
      table.push_back(product(67, 25, 35, options));
    }
  run_tiles(with_tiles(table, {"128x128", "128x64", "64x64", "64x32"}));
}

TEST(Tiles, OfMatmulInSlices) {
  std::vector<Case> table;
  for (const auto& [a, b] : {std::pair(false, false), {false, true}, {true, false}}) {
    MatmulOptions options;
    options.transpose_a = a, options.transpose_b = b;
    table.push_back(product(128, 200, 64, options));
    table.push_back(product(16, 1000, 16, options));
  }
  run_tiles(with_tiles(table, {"128x128", "128x64", "64x64", "64x32"}));
}

// Three slices: the last block of a tile adds two pairs or three and one alone, with what follows.
TEST(Tiles, EndInSlices) {
  std::vector<Case> table;
  for (const auto& [a, b] : {std::pair(false, false), {false, true}, {true, false}, {true, true}}) {
    MatmulOptions options;
    options.transpose_a = a, options.transpose_b = b;
    for (const Case& c : {product(36, 96, 12, options), product(36, 95, 7, options)}) {
      table.push_back(c);
      Case plain = c;
      plain.inputs[2] = Input::absent();
      table.push_back(gated(plain, Activation::kLeakyRelu));
    }
  }
  MatmulOptions sums, both;
  sums.transpose_a = sums.column_sums = both.transpose_a = both.transpose_b = true;
  table.push_back(product(36, 95, 7, sums));
  Case whole = product(20, 25, 7, both);  // in one slice
  whole.inputs[2] = Input::absent();
  table.push_back(gated(whole, Activation::kLeakyRelu));
  run_tiles(with_tiles(table, {"128x64", "64x32"}));
}

TEST(Tiles, MakeColumnSums) {
  MatmulOptions options;
  options.transpose_a = options.column_sums = true;
  run_tiles(with_tiles({product(136, 24, 136, options), product(72, 200, 72, options)},
                       {"128x128", "128x64", "64x32"}));
  run_tiles(with_tiles({product(130, 24, 70, options)}, {"128x64", "64x32"}));  // one by one
  // The sums are a row of the tile, which may be any of a thread's.
  std::vector<Case> table;
  for (const int64_t m : {1, 2, 3, 17, 18, 19}) table.push_back(product(m, 8, 40, options));
  for (const int64_t m : {4, 16, 20}) table.push_back(product(m, 8, 40, options));
  run_tiles(with_tiles(table, {"128x128", "128x64", "64x32"}));
}

TEST(Tiles, OfConvolutions) {
  const std::vector<std::string> tiles = {"128x128", "128x64", "64x64", "64x32"};
  // 160 channels are whole steps of tensor cores, 136 and 24 are not; 7 are no multiple of 4.
  run_tiles(with_tiles(all_directions(dense_case({1, 12, 11, 160, 136, 1, 1, "valid"})), tiles));
  run_tiles(with_tiles(all_directions(dense_case({1, 12, 11, 136, 160, 1, 1, "valid"})), tiles));
  run_tiles(with_tiles(all_directions(dense_case({1, 13, 12, 24, 72, {2, 3}, {2, 1}, 1})), tiles));
  run_tiles(
      with_tiles({conv2d_backward_input(dense_case({1, 5, 12, 24, 72, 2, {1, 2}, 1}))}, tiles));
  run_tiles(
      with_tiles(all_directions(dense_case({1, 9, 9, 7, 70, 2, {2, 1}, 1})), {"128x64", "64x32"}));
  // Strides that leave out pixels that no tap reaches.
  std::vector<Case> apart;
  for (const int filters : {64, 72})
    apart.push_back(conv2d_backward_input(dense_case({1, 6, 7, 8, filters, 2, 2, 1, 2})));
  run_tiles(with_tiles(apart, tiles));
  run_tiles(with_tiles({conv2d_backward_input(dense_case({1, 6, 7, 7, 10, 2, 2, 1, 2}))},
                       {"128x64", "64x32"}));
}

TEST(Tiles, OfConvolutionsInSlices) {
  std::vector<Case> table;
  for (const int depth : {1024, 1000}) {  // whole steps of tensor cores, and not
    table.push_back(conv2d_forward(dense_case({1, 3, 5, depth, 8, 1, 1, "valid"})));
    table.push_back(conv2d_backward_input(dense_case({1, 3, 5, 8, depth, 1, 1, "valid"})));
  }
  run_tiles(with_tiles(table, {"128x128", "64x64"}));
  // So many gradients that a slice has several steps of tensor cores.
  run_tiles(with_tiles({conv2d_backward_weight(dense_case({1, 40, 50, 120, 128, 1, 1, "valid"}))},
                       {"128x128"}));
}

// One slice of so many steps that the places of each are used, over pixels of two images.
TEST(Tiles, OfFilterGradientsInManySteps) {
  const auto sizes = Conv2dSizes{2, 8, 20, 120, 128, 1, 1, "valid", 1, Activation::kNone, false};
  run_tiles(with_tiles({conv2d_backward_weight(dense_case(sizes))}, {"128x128"}));
}

TEST(Tiles, AddResiduals) {
  std::vector<Case> table;
  for (const int channels : {64, 24}) {
    Conv2dSizes sizes = {1, 5, 7, channels, 136, 1, 1, "valid"};
    sizes.residual = true;
    table.push_back(conv2d_forward(dense_case(sizes)));
  }
  run_tiles(with_tiles(table, {"128x128", "64x64"}));
}

/// 1x1 filters over 2 w pixels, with a residual.
Conv2dCase with_residual(int64_t w, int64_t channels, int64_t filters, bool bias) {
  return dense_case({1, 2, w, channels, filters, 1, 1, "valid", 1, Activation::kRelu, bias, true});
}

// One slice, and seven: the last block of a tile adds those by fours and singly, with what follows.
TEST(Tiles, EndInResiduals) {
  std::vector<Case> table;
  for (const bool bias : {false, true}) {
    for (const Case& c : all_directions(with_residual(10, 8, 36, bias))) table.push_back(c);
    for (const Case& c : all_directions(with_residual(10, 7, 9, bias))) table.push_back(c);
    for (const int64_t one : {0, 1}) {  // by fours, and singly
      table.push_back(conv2d_forward(with_residual(18, 220 + one, 12 + one, bias)));
      table.push_back(conv2d_backward_weight(with_residual(110, 8 + one, 36 + one, bias)));
    }
    // The bias may be any of a thread's columns.
    for (const int64_t channels : {5, 6, 40})
      table.push_back(conv2d_backward_weight(with_residual(4, channels, 12, bias)));
  }
  for (const int64_t one : {0, 1}) {
    table.push_back(conv2d_backward_input(with_residual(18, 12 + one, 220 + one, false)));
    table.push_back(gated(table.back(), Activation::kRelu));
  }
  run_tiles(with_tiles(table, {"128x128", "128x64", "64x32"}));
}

/// Return a case with infinities in an input of `columns` columns, one in every eighth step of the
/// sums and each in a sum of its own: a product of one by a zero that stands for what lies beyond a
/// slice or beyond the last step makes a NaN where there should be none.
Case with_infinities(const Case& c, size_t input, bool sums_go_along_columns) {
  const Shape shape = c.inputs[input].shape;
  const int64_t columns = shape[-1], rows = shape.elements() / columns;
  const int64_t steps = sums_go_along_columns ? columns : rows;
  const int64_t sums = sums_go_along_columns ? rows : columns;
  const Values drawn = draw_inputs(c)[input];
  std::vector<float> values(drawn.begin(), drawn.end());
  for (int64_t step = 0, sum = 1; step < steps && sum < sums; step += 8, sum += 2)
    values[static_cast<size_t>(sums_go_along_columns ? sum * columns + step
                                                     : step * columns + sum)] = INFINITY;
  Case made = c;
  made.inputs[input] = Input::of(shape, values);
  return made;
}

TEST(Tiles, InfinitiesBesideTheEndsOfSums) {
  const std::vector<std::string> tiles = {"128x128", "128x64", "64x64", "64x32"};
  std::vector<Case> table;
  for (const auto& [a, b] : {std::pair(false, false), {false, true}, {true, false}, {true, true}}) {
    MatmulOptions options;
    options.transpose_a = a, options.transpose_b = b;
    for (const Case& c : {product(72, 104, 72, options), product(67, 75, 35, options)}) {
      table.push_back(with_infinities(c, 0, !a));
      table.push_back(with_infinities(c, 1, b));
    }
  }
  for (const auto& [channels, filters] : {std::pair(104, 72), {72, 104}, {35, 67}}) {
    const auto c = dense_case({1, 8, 13, channels, filters, 1, 1, "valid"});
    for (const size_t input : {0, 1}) {
      table.push_back(with_infinities(conv2d_forward(c), input, true));
      table.push_back(with_infinities(conv2d_backward_input(c), input, input == 0));
      table.push_back(with_infinities(conv2d_backward_weight(c), input, false));
    }
  }
  run_tiles(with_tiles(table, tiles));
}

// Sums from minus to plus infinity, far beyond 6: relu makes a zero of minus infinity, not a NaN.
TEST(Tiles, EndInActivationsAndGates) {
  std::vector<Case> table;
  for (const Activation activation :
       {Activation::kNone, Activation::kRelu, Activation::kRelu6, Activation::kLeakyRelu}) {
    for (const auto& [a, b] : {std::pair(false, false), {false, true}, {true, false}}) {
      MatmulOptions options;
      options.transpose_a = a, options.transpose_b = b;
      options.activation = activation, options.negative_slope = 0.3;
      table.push_back(with_infinities(product(72, 24, 72, options, 3), 0, !a));
      options.activation = Activation::kNone;
      Case plain = with_infinities(product(72, 24, 72, options, 3), 0, !a);
      plain.inputs[2] = Input::absent({72});
      if (activation != Activation::kNone) table.push_back(gated(plain, activation));
    }
    const auto c = dense_case({1, 8, 9, 24, 72, 1, 1, "valid", 1, activation});
    table.push_back(with_infinities(conv2d_forward(c), 0, true));
    const Case plain = with_infinities(conv2d_backward_input(c), 0, true);
    if (activation == Activation::kNone) continue;
    table.push_back(gated(plain, activation));
    for (const int filters : {8, 32})  // too few for slices; whole steps of tensor cores
      table.push_back(gated(
          conv2d_backward_input(dense_case({1, 8, 9, 24, filters, 1, 1, "valid"})), activation));
  }
  run_tiles(with_tiles(table, {"128x128", "128x64", "64x64", "64x32"}));
}

// Gradients of matmul with both matrices transposed, which one tile makes.
TEST(Tiles, OfBothTransposedEndInGates) {
  MatmulOptions options;
  options.transpose_a = options.transpose_b = true;
  std::vector<Case> table;
  for (const Activation activation : {Activation::kRelu, Activation::kLeakyRelu}) {
    Case plain = product(72, 24, 72, options, 3);
    plain.inputs[2] = Input::absent({72});
    table.push_back(gated(plain, activation));
  }
  run_tiles(with_tiles(table, {"64x32"}));
}

}  // namespace
}  // namespace striate::testing
