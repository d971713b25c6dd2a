#include <gtest/gtest.h>
#include <striate/kernels/matmul.h>
#include <striate/tests/kernel_table.h>

namespace striate::testing {
namespace {

Case product(int64_t M, int64_t N, int64_t K, MatmulOptions options, bool bias) {
  std::vector<Input> inputs{options.transpose_a ? Shape{K, M} : Shape{M, K},
                            options.transpose_b ? Shape{N, K} : Shape{K, N}};
  if (bias) inputs.push_back(Shape{N});
  const bool transcendental =
      options.activation == Activation::kSigmoid || options.activation == Activation::kTanh;
  return Case::of("matmul", options, inputs, {Shape{M, N}},
                  transcendental ? kTranscendentalLimit : kLimit);
}

TEST(Matmul, Sizes) {
  std::vector<Case> table;
  const int64_t sizes[][3] = {{1, 1, 1},     {1, 10, 7},    {7, 1, 10},   {3, 5, 1},
                              {64, 10, 128}, {64, 128, 96}, {17, 33, 65}, {128, 64, 16},
                              {5, 300, 41},  {2, 2, 1000},  {40, 1, 40}};
  for (const auto& [M, N, K] : sizes)
    for (const bool transpose_a : {false, true})
      for (const bool transpose_b : {false, true})
        for (const bool bias : {false, true})
          table.push_back(product(M, N, K, {transpose_a, transpose_b}, bias));
  table.push_back(product(0, 10, 5, {}, true));
  run_table(table);
}

TEST(Matmul, Activations) {
  std::vector<Case> table;
  for (int i = 0; i < 6; ++i)
    table.push_back(
        product(9, 21, 30, {false, false, static_cast<Activation>(i), 0.2}, i % 2 == 0));
  run_table(table);
}

TEST(Matmul, EmptySumIsTheBias) {
  Case c = product(2, 3, 0, {}, true);
  c.inputs[2] = Input::of<float>({3}, {1, -2, 3});
  EXPECT_EQ(run_entry(c, "reference", draw_inputs(c))[0], (Values{1, -2, 3, 1, -2, 3}));
}

TEST(Matmul, OnPaper) {
  Case c = product(2, 2, 3, {}, true);
  // clang-format off
  c.inputs[0] = Input::of<float>({2, 3}, {1, 2, 3,
                                          4, 5, 6});
  c.inputs[1] = Input::of<float>({3, 2}, {1, 10,
                                          2, 20,
                                          3, 30});
  c.inputs[2] = Input::of<float>({2}, {0, 1});
  EXPECT_EQ(run_entry(c, "reference", draw_inputs(c))[0], (Values{14, 141,
                                                                  32, 321}));
  // clang-format on
}

TEST(Matmul, GradientsAreProducts) {
  const Case forward = product(3, 4, 5, {}, true);
  auto options = [](bool a, bool b) {
    return std::make_shared<const MatmulOptions>(MatmulOptions{a, b});
  };
  check_gradient(
      {forward, "matmul", {From::cotangent(0), From::input(1)}, {0}, options(false, true)});
  check_gradient(
      {forward, "matmul", {From::input(0), From::cotangent(0)}, {1}, options(true, false)});
}

}  // namespace
}  // namespace striate::testing
