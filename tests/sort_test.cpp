#include <gtest/gtest.h>
#include <striate/kernels/loss.h>
#include <striate/kernels/sort.h>
#include <striate/tests/kernel_table.h>

#include <limits>

namespace striate::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
const std::vector<float> kRow = {3, -kInfinity, 0, 7, kNan, -0.0f, 7, -2, kInfinity, 1e-40f};

Case sort_case(const Input& x, bool descending) {
  return Case::of("sort", SortOptions{descending}, {x}, {x.shape});
}

Case top_k_case(const Input& x, int64_t k) {
  Shape y = x.shape;
  y[-1] = k;
  return Case::of("top_k", LargestOptions{k}, {x}, {Output(y), Output(y, DType::kI32)});
}

Case correct_case(const Input& x, int k) {
  return Case::of("top_k_correct", TopKOptions{k},
                  {x, Input({x.shape[0]}, DType::kI64, Input::Fill::kIndices, -1,
                            static_cast<double>(x.shape[1]) + 1)},
                  {Shape{x.shape[0]}});
}

TEST(Sort, EveryEntryAgreesWithTheReference) {
  const Input special = Input::of<float>({2, 5}, kRow);
  std::vector<Case> table;
  for (const Shape& shape : std::vector<Shape>{{1}, {0, 4}, {3, 1}, {7, 10}, {2, 3, 33}, {2, 1500}})
    for (bool descending : {false, true}) table.push_back(sort_case(Input(shape), descending));
  // Whole numbers below 4: most are equal to others.
  const Input ties({5, 40}, DType::kF32, Input::Fill::kIndices, 0, 4);
  for (const Input& x : {special, ties, Input({3, 600})}) {
    table.push_back(sort_case(x, false));
    table.push_back(sort_case(x, true));
    for (int k : {1, 2, 5}) {
      table.push_back(top_k_case(x, k));
      table.push_back(correct_case(x, k));
    }
  }
  run_table(table);
}

TEST(Sort, TheOrderIsTheOneSaid) {
  const Case c = top_k_case(Input::of<float>({10}, kRow), 10);
  const auto outputs = run_entry(c, "reference", draw_inputs(c));
  EXPECT_EQ(outputs[1], (Values{4, 8, 3, 6, 0, 9, 2, 5, 7, 1}));
  EXPECT_EQ(outputs[0][1], kInfinity);
}

}  // namespace
}  // namespace striate::testing
