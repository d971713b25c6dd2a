// What lies outside a window, a matrix or a value must not reach a result, not even times zero.
//
// A guard that is wrong by one reads what lies beside: the last pixel of the row above, the first
// of the next picture, the next row of a matrix. With numbers it may stay unseen where the other
// factor is zero. So one element beside such an edge is an infinity or NaN: results that may not
// depend on it must stay as the reference has them, and the others must show it. Values also lie
// within larger memory, among infinities and NaN.
//
// This is for the kernels of devices; entries of the CPU may say that they spread NaN at edges.
#include <gtest/gtest.h>
#include <striate/kernels/matmul.h>
#include <striate/kernels/pad2d.h>
#include <striate/kernels/pool2d.h>
#include <striate/tests/conv2d_cases.h>
#include <striate/tests/kernel_trial.h>

#include <limits>

namespace striate::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Have the values lie within larger memory, too.
Case surrounded(Case c) {
  c.surrounded = c.always = true;
  return c;
}

/// Return the case with these elements of an input infinity and NaN, by turns.
Case with_elements(const Case& c, size_t input, const std::vector<int64_t>& elements,
                   double first = kInfinity) {
  const Values drawn = draw_inputs(c)[input];
  std::vector<float> values(drawn.begin(), drawn.end());
  Case made = c;
  for (const int64_t element : elements) {
    values[static_cast<size_t>(element)] = static_cast<float>(first);
    made.name += " with " + std::to_string(first) + " at " + std::to_string(element);
    first = first == kInfinity ? kNan : kInfinity;
  }
  made.name += " of input " + std::to_string(input);
  made.inputs[input] = Input::of(c.inputs[input].shape, values);
  made.always = true;
  return made;
}

/// Add cases with elements in the middle one of three pictures that a wrong guard takes for those
/// beyond an edge: of its first pixel and its last, and of the end and the begin of a row inside.
/// Two at a time, which are far enough apart for windows that hold one or none.
void add_beside_edges(std::vector<Case>& table, const Case& c, size_t input) {
  const Shape x = c.inputs[input].shape;
  const int64_t H = x[1], W = x[2], C = x[3], picture = H * W * C;
  const double first = table.size() % 4 == 0 ? kInfinity : kNan;
  table.push_back(with_elements(c, input, {picture, 2 * picture - 1}, first));
  table.push_back(surrounded(
      with_elements(c, input, {picture + 2 * W * C - 1, picture + (H - 1) * W * C}, first)));
}

void run_on_devices(const std::vector<Case>& table) {
  if (is_device_tested())
    run_table(table);
  else
    EXPECT_FALSE(table.empty());
}

std::vector<Conv2dCase> convolutions() {
  std::vector<Conv2dCase> cases = {
      dense_case({3, 5, 7, 8, 16}),
      dense_case({3, 4, 6, 3, 20}),
      dense_case({3, 5, 6, 5, 7, 3, 2}),
      dense_case({3, 8, 8, 8, 16, 3, 3, "valid"}),  // the last rows and columns in no window
      dense_case({3, 6, 7, 8, 24, 5, 2, 2}),
      dense_case({3, 6, 8, 8, 16, 1, 2, "valid"}),  // each second row and column in no window
      dense_case({3, 7, 6, 8, 8, 3, 1, 2, 2}),
      dense_case({3, 4, 5, 4, 8, {2, 3}, 1, {1, 2, 0, 3}}),
      dense_case({3, 5, 5, 16, 16}),
      depthwise_case({3, 5, 7, 8, 8}),
      depthwise_case({3, 6, 6, 5, 5, 3, 2, 1}),
      depthwise_case({3, 6, 8, 8, 8, 5, 1, 2}),
      depthwise_case({3, 8, 7, 8, 8, 7, 2, 3}),
      depthwise_case({3, 4, 5, 4, 4, {2, 3}, 1, {1, 2, 0, 3}}),
  };
  cases[8].options.groups = 2;
  return cases;
}

TEST(NothingFromOutside, ReachesAConvolution) {
  std::vector<Case> table;
  for (const Conv2dCase& c : convolutions()) add_beside_edges(table, conv2d_forward(c), 0);
  run_on_devices(table);
}

TEST(NothingFromOutside, ReachesAGradientOfTheInput) {
  std::vector<Case> table;
  for (const Conv2dCase& c : convolutions()) add_beside_edges(table, conv2d_backward_input(c), 0);
  run_on_devices(table);
}

TEST(NothingFromOutside, ReachesAGradientOfFilters) {
  std::vector<Case> table;
  for (const Conv2dCase& c : convolutions()) {
    add_beside_edges(table, conv2d_backward_weight(c), 0);
    // A gradient's element is a factor of zeros wherever its window reaches beyond an edge: it
    // stands in every tap of its filter there. So windows that reach nowhere.
    Conv2dCase inside = c;
    inside.options.padding = "valid";
    const Case backward = conv2d_backward_weight(inside);
    const int64_t picture = backward.inputs[1].shape.elements() / 3;
    table.push_back(with_elements(backward, 1, {picture, 2 * picture - 1}));
  }
  run_on_devices(table);
}

TEST(NothingFromOutside, ReachesFromOtherFilters) {
  std::vector<Case> table;
  for (const int64_t channels : {3, 5, 8, 20}) {
    // The sums of a filter end within a step of them; the next filter begins there.
    const Case c = conv2d_forward(dense_case({1, 5, 6, channels, 9, 3, 1, "valid"}));
    const int64_t filter = 9 * channels;
    table.push_back(with_elements(c, 1, {3 * filter - 1, 5 * filter}));
    table.push_back(with_elements(c, 1, {filter - 1, 9 * filter - 1}, kNan));
    // Other channels than those of a product by 1x1, and other groups.
    Conv2dCase product = dense_case({1, 5, 6, 2 * channels, 18, 1, 1, "valid"});
    for (const int64_t groups : {1, 2}) {
      product.options.groups = groups;
      const Case backward = conv2d_backward_input(product);
      const int64_t elements = backward.inputs[1].shape.elements();
      table.push_back(with_elements(backward, 1, {0, elements / 2 - 1}));
      table.push_back(with_elements(backward, 1, {elements / 2, elements - 1}));
    }
  }
  run_on_devices(table);
}

// Winograd's transforms make NaN of infinities and spread it over the tiles that a pixel is in;
// over even extents the tiles of a corner are those of its windows.
TEST(NothingFromOutside, ReachesOtherPicturesByWinogradsMethod) {
  std::vector<Case> table;
  const Conv2dCase c = dense_case({3, 2, 2, 128, 128});
  for (const Case& direction : {conv2d_forward(c), conv2d_backward_input(c)}) {
    const int64_t picture = direction.inputs[0].shape.elements() / 3;
    table.push_back(surrounded(with_elements(direction, 0, {2 * picture - 1}, kNan)));
  }
  run_on_devices(table);
}

TEST(NothingFromOutside, ReachesAProduct) {
  std::vector<Case> table;
  for (const bool a : {false, true})
    for (const bool b : {false, true})
      for (const auto& [M, N, K] : {std::tuple(9, 21, 30), {40, 36, 24}, {67, 33, 17}}) {
        MatmulOptions options;
        options.transpose_a = a, options.transpose_b = b;
        const Case c =
            Case::of("matmul", options,
                     {a ? Shape{K, M} : Shape{M, K}, b ? Shape{N, K} : Shape{K, N}, Shape{N}},
                     {Shape{M, N}});
        for (const size_t input : {0u, 1u}) {
          const Shape shape = c.inputs[input].shape;
          // The end of a row and the begin of one below, and the matrix's own end.
          const int64_t row = shape[0] / 2 * shape[1];
          table.push_back(with_elements(c, input, {row - 1, row + shape[1]}));
          table.push_back(surrounded(with_elements(c, input, {shape.elements() - 1}, kNan)));
        }
      }
  run_on_devices(table);
}

TEST(NothingFromOutside, ReachesAPooling) {
  const std::vector<std::pair<Shape, Pool2dOptions>> pools = {
      {{3, 6, 4, 8}, {}},
      {{3, 5, 7, 3}, {}},  // the last row and column in no window
      {{3, 7, 6, 4}, {.pool_size = 3, .strides = 2, .padding = "same"}},
      {{3, 7, 9, 5}, {.pool_size = {2, 3}, .strides = Size2{3, 1}, .padding = {1, 0, 1, 2}}},
      {{3, 7, 7, 4}, {.pool_size = 1, .strides = 2}},  // each second row in no window
      {{3, 6, 6, 8}, {.pool_size = 3, .strides = 1, .padding = 1}},
  };
  std::vector<Case> table;
  for (const auto& [x, options] : pools) {
    const Window w = pool2d_window(options, x);
    const Shape y = {x[0], w.out_height, w.out_width, x[3]};
    const auto places = static_cast<double>(options.pool_size.height * options.pool_size.width);
    const Input winner(y, DType::kU8, Input::Fill::kIndices, 0, places + 1);
    const Case max = Case::of("max_pool2d", options, {x}, {y, {y, DType::kU8}});
    const Case back = Case::of("max_pool2d_backward", options, {y, winner, Input::like(x)}, {x});
    const Case gather = Case::of("max_pool2d_gather", options, {x, winner}, {y});
    for (const Case& c : {max, back, gather}) add_beside_edges(table, c, 0);
    for (const bool count_padding : {false, true}) {
      Pool2dOptions average = options;
      average.count_padding = count_padding;
      const Case forward = Case::of("avg_pool2d", average, {x}, {y});
      const Case backward = Case::of("avg_pool2d_backward", average, {y, Input::like(x)}, {x});
      for (const Case& c : {forward, backward}) {
        add_beside_edges(table, c, 0);
      }
    }
    const Shape means = {x[0], x[3]};
    const Case global = Case::of("global_avg_pool2d", Pool2dOptions(), {x}, {means});
    add_beside_edges(table, global, 0);
    const Case spread =
        Case::of("global_avg_pool2d_backward", Pool2dOptions(), {means, Input::like(x)}, {x});
    table.push_back(surrounded(with_elements(spread, 0, {x[3], 2 * x[3] - 1})));
  }
  run_on_devices(table);
}

}  // namespace
}  // namespace striate::testing
