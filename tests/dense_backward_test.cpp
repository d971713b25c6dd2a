// The gradients of a dense layer, made by one launch on devices.
#include <gtest/gtest.h>
#include <striate/kernels/dense_backward.h>
#include <striate/tests/kernel_table.h>

namespace striate::testing {
namespace {

struct Sizes {
  int64_t rows, in, out;
};

Case backward(const Sizes& s, bool bias, Activation gate = Activation::kNone) {
  const Shape dy = {s.rows, s.out}, x = {s.rows, s.in}, w = {s.in, s.out};
  std::vector<Output> outputs = {x, w};
  if (bias) outputs.push_back(Shape{s.out});
  Case c = Case::of("dense_backward", DenseBackwardOptions{bias}, {dy, x, w}, outputs);
  c.always = s.in == 400;  // the one whose slices the last block of a tile adds, by fours
  if (gate == Activation::kNone) return c;
  c.inputs.push_back({x, Input::Fill::kUniform, -4, 8});
  c.gate = {gate, 0.2, 3};
  return c;
}

TEST(DenseBackward, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const Sizes& sizes : {Sizes{1, 1, 1},
                             {5, 7, 3},
                             {64, 84, 10},
                             {64, 120, 84},
                             {64, 400, 120},
                             {66, 130, 33},
                             {3, 8, 4},
                             {130, 68, 20},
                             {700, 12, 16},
                             {220, 8, 4},
                             {100, 8, 220},
                             {100, 7, 219},
                             {220, 7, 5}})
    for (const bool bias : {false, true}) table.push_back(backward(sizes, bias));
  // The sums are a row of a tile, which may be any of a thread's.
  for (const int64_t in : {1, 2, 3, 16, 17, 18, 19}) table.push_back(backward({3, in, 35}, true));
  run_table(table);
}

TEST(DenseBackward, AppliesGates) {
  std::vector<Case> table;
  for (const Activation activation :
       {Activation::kRelu, Activation::kRelu6, Activation::kLeakyRelu})
    for (const Sizes& sizes :
         {Sizes{20, 7, 3}, {20, 32, 4}, {40, 7, 219}, {40, 8, 220}, {64, 400, 120}, {66, 132, 36}})
      table.push_back(backward(sizes, true, activation));
  run_table(table);
}

TEST(DenseBackward, OnPaper) {
  // clang-format off
  const Values dy = {1, 2,
                     3, 4},
               x = {1, 0, 2,
                    5, 1, 0},
               w = {1, 10,
                    2, 20,
                    3, 30};
  const auto made = run_entry(backward({2, 3, 2}, true), "reference", {dy, x, w});
  EXPECT_EQ(made[0], (Values{21, 42, 63,
                             43, 86, 129}));
  EXPECT_EQ(made[1], (Values{16, 22,
                              3,  4,
                              2,  4}));
  EXPECT_EQ(made[2], (Values{4, 6}));
  // clang-format on
}

}  // namespace
}  // namespace striate::testing
