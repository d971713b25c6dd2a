// Kernels that multiply their result by an activation's gradient, and those that sum columns too.
#include <gtest/gtest.h>
#include <striate/kernels/activation_value.h>
#include <striate/kernels/conv2d.h>
#include <striate/kernels/matmul.h>
#include <striate/kernels/pool2d.h>
#include <striate/tests/kernel_table.h>

#include <cmath>

namespace striate::testing {
namespace {

using kernels::Gate;

/// Return the case with a gate after its last input, whose values lie on both sides of each kink.
Case gated(Case c, Activation activation) {
  const int place = static_cast<int>(c.inputs.size());
  const bool bounded = activation == Activation::kSigmoid || activation == Activation::kTanh;
  c.inputs.push_back(
      {c.outputs[0].shape, Input::Fill::kUniform, bounded ? 0.0 : -4.0, bounded ? 1.0 : 8.0});
  c.gate = Gate{activation, 0.2, place};
  c.name = name_of(activation);
  c.blocked_inputs = false;
  return c;
}

const Activation kActivations[] = {Activation::kRelu, Activation::kRelu6, Activation::kLeakyRelu,
                                   Activation::kSigmoid, Activation::kTanh};

Case product(int64_t m, int64_t n, int64_t k, MatmulOptions options) {
  const Shape a = options.transpose_a ? Shape{k, m} : Shape{m, k};
  const Shape b = options.transpose_b ? Shape{n, k} : Shape{k, n};
  std::vector<Output> outputs = {Shape{m, n}};
  if (options.column_sums) outputs.push_back(Shape{n});
  return Case::of("matmul", options, {a, b, Input::absent({n})}, outputs);
}

TEST(Gate, AppliesToProducts) {
  std::vector<Case> table;
  for (Activation activation : kActivations)
    for (auto [m, n, k] : {std::array{1, 1, 1}, {5, 7, 3}, {64, 120, 84}, {130, 66, 17}})
      table.push_back(gated(product(m, n, k, {.transpose_b = true}), activation));
  run_table(table);
}

TEST(Gate, AppliesToConvolutionsBackwards) {
  std::vector<Case> table;
  for (Activation activation : kActivations)
    for (int64_t channels : {1, 3, 8, 16}) {
      const Shape x = {2, 9, 7, channels}, w = {6, 3, 3, channels}, dy = {2, 7, 5, 6};
      table.push_back(
          gated(Case::of("conv2d_backward_input", Conv2dOptions{}, {dy, w, Input::like(x)}, {x}),
                activation));
    }
  run_table(table);
}

TEST(Gate, AppliesToPoolingBackwards) {
  std::vector<Case> table;
  for (Activation activation : kActivations)
    for (int64_t channels : {1, 5, 16}) {
      const Shape x = {2, 6, 8, channels}, dy = {2, 3, 4, channels};
      table.push_back(gated(
          Case::of("max_pool2d_backward", Pool2dOptions{},
                   {dy, Input(dy, DType::kU8, Input::Fill::kIndices, 0, 4), Input::like(x)}, {x}),
          activation));
      table.push_back(gated(
          Case::of("avg_pool2d_backward", Pool2dOptions{}, {dy, Input::like(x)}, {x}), activation));
    }
  Pool2dOptions wide;  // so wide that winners are int32
  wide.pool_size = Size2(17, 16);
  wide.strides = 1;
  for (Activation activation : kActivations)
    for (int64_t channels : {1, 8}) {
      const Shape x = {1, 17, 18, channels}, dy = {1, 1, 3, channels};
      const Input winners(dy, DType::kI32, Input::Fill::kIndices, 0, 17 * 16);
      table.push_back(gated(
          Case::of("max_pool2d_backward", wide, {dy, winners, Input::like(x)}, {x}), activation));
    }
  run_table(table);
}

TEST(Gate, IsTheDerivative) {
  const double step = 1e-6;
  for (Activation activation : kActivations)
    for (double u : {-1.7, -0.3, 0.4, 2.0, 7.0}) {
      const auto at = [&](double v) { return kernels::activate(activation, v, 0.2); };
      EXPECT_NEAR(kernels::through_activation(activation, 3, at(u), 0.2),
                  3 * (at(u + step) - at(u - step)) / (2 * step), 1e-8)
          << name_of(activation) << " at " << u;
    }
}

TEST(ColumnSums, ComeWithTheProduct) {
  std::vector<Case> table;
  for (auto [m, n, k] : {std::array{1, 1, 1}, {5, 7, 3}, {120, 84, 64}, {66, 130, 33}}) {
    table.push_back(product(m, n, k, {.transpose_a = true, .column_sums = true}));
    table.push_back(product(m, n, k, {.transpose_b = true, .column_sums = true}));
  }
  run_table(table);
}

}  // namespace
}  // namespace striate::testing
