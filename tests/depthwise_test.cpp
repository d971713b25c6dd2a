// The `depthwise` convolution kernels against the reference: windows, strides, dilations, paddings,
// ends, several bands and parts, and both vector widths.
#include <gtest/gtest.h>
#include <striate/kernels/conv2d.h>
#include <striate/kernels/instruction_set.h>
#include <striate/tests/kernel_table.h>

namespace striate::testing {
namespace {

struct Sizes {
  int64_t n, h, w, c;
  Size2 window = 3, strides = 1;
  Padding padding = 1;
  Size2 dilation = 1;
  Activation activation = Activation::kNone;
  bool bias = true, residual = false;
};

std::vector<Case> cases_of(const Sizes& s) {
  Conv2dOptions options;
  options.strides = s.strides;
  options.padding = s.padding;
  options.dilation_rate = s.dilation;
  options.activation = s.activation;
  options.groups = s.c;
  const Shape x{s.n, s.h, s.w, s.c}, w{s.c, s.window.height, s.window.width, 1};
  const Window window = resolve_window(x, s.window, s.strides, s.padding, s.dilation);
  const Shape y{s.n, window.out_height, window.out_width, s.c};
  std::vector<Case> cases = {Case::of("conv2d", options,
                                      {x, w, s.bias ? Input({s.c}) : Input::absent({s.c}),
                                       s.residual ? Input(y) : Input::absent(y)},
                                      {y})};
  options.activation = Activation::kNone;
  options.bias = s.bias;
  std::vector<Output> gradients = {w};
  if (s.bias) gradients.push_back(Shape{s.c});
  cases.push_back(Case::of("conv2d_backward_input", options, {y, w, Input::like(x)}, {x}));
  cases.push_back(Case::of("conv2d_backward_weight", options, {x, y, Input::like(w)}, gradients));
  return cases;
}

class DepthwiseOn : public ::testing::TestWithParam<kernels::InstructionSet> {
 protected:
  void SetUp() override { before_ = kernels::limit_instruction_set(GetParam()); }
  void TearDown() override { kernels::limit_instruction_set(before_); }
  kernels::InstructionSet before_ = kernels::InstructionSet::kBaseline;
};

TEST_P(DepthwiseOn, AgreesWithTheReference) {
  std::vector<Case> table;
  for (const Sizes& s :
       std::vector<Sizes>{{2, 7, 9, 16},
                          {1, 9, 30, 40, 3, 1, "same", 1, Activation::kRelu6, true, true},
                          {2, 20, 21, 7, 3, 2, "same", 1, Activation::kLeakyRelu, true, false},
                          {1, 19, 18, 24, 5, 1, 2, 1, Activation::kTanh, false, true},
                          {3, 11, 12, 9, 5, 2, Padding(1, 2, 0, 3)},
                          {1, 12, 25, 16, Size2(2, 3), Size2(3, 2), Padding()},
                          {1, 14, 15, 33, 3, 1, 2, 2},
                          {1, 14, 15, 8, 3, 2, Padding(), 2},
                          {1, 1, 1, 8, 3, 1, 1},
                          {1, 2, 2, 8, 3, 1, 4},
                          {0, 5, 5, 8},
                          {18, 6, 6, 2}})
    for (Case& c : cases_of(s)) table.push_back(std::move(c));
  const bool vectors = kernels::instruction_set() != kernels::InstructionSet::kBaseline;
  for (const EntryCount& count : run_table(table)) {
    if (vectors && count.entry == "depthwise") {
      EXPECT_EQ(count.declined, 0) << count.reason;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Widths, DepthwiseOn,
                         ::testing::Values(kernels::InstructionSet::kAvx512,
                                           kernels::InstructionSet::kAvx2),
                         [](const auto& info) {
                           return info.param == kernels::InstructionSet::kAvx2 ? "Avx2" : "Avx512";
                         });

}  // namespace
}  // namespace striate::testing
