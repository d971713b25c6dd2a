#include <gtest/gtest.h>
#include <striate/core/error.h>
#include <striate/kernels/chain.h>
#include <striate/kernels/unary.h>
#include <striate/layers/graph/chains.h>
#include <striate/tests/kernel_table.h>

#include <cmath>
#include <limits>

namespace striate::testing {
namespace {

using kernels::ChainStep;

Case chain_case(const std::string& steps, const std::vector<Shape>& shapes) {
  std::vector<Input> inputs;
  for (const Shape& shape : shapes) inputs.push_back(Input(shape, Input::Fill::kUniform, 0.1, 2));
  return Case::of("chain", ChainOptions{steps, DType::kF32}, inputs, {shapes[0]},
                  kTranscendentalLimit);
}

TEST(Chain, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const Shape& shape : std::vector<Shape>{{1}, {0, 3}, {5}, {3, 5, 7}, {2, 64, 33}}) {
    table.push_back(chain_case("shift 0 -1;relu 0 1", {shape}));
    table.push_back(
        chain_case("scale 0 0.5;add 1 1;subtract -2 1;leaky_relu 0 0.25;multiply 3 1;square 0 1",
                   {shape, shape, shape, {}}));
  }
  const auto functions = kernels::unary_operations(),
             gradients = kernels::unary_backward_operations();
  for (const std::string& name : functions)
    table.push_back(chain_case(name + " 0 0.75;negative 0 1", {{2, 9}}));
  for (const std::string& name : gradients)
    table.push_back(chain_case("shift 0 -0.9;" + name + " 1 0.75", {{2, 9}, {2, 9}}));
  for (const char* name : {"add", "subtract", "multiply", "divide", "maximum", "minimum"})
    for (const char* place : {" 1 1", " -1 1"})
      table.push_back(chain_case(std::string(name) + place + ";abs 0 1", {{2, 9}, {2, 9}}));
  run_table(table);
}

// Infinities, NaN, zeros and numbers that functions make infinite or zero.
TEST(Chain, ValuesBeyondTheUsual) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<Case> table;
  for (const std::string& name : kernels::unary_operations()) {
    Case c = chain_case(name + " 0 0.75;negative 0 1", {{12}});
    c.inputs[0] = Input::of<float>(
        {12}, {infinity, -infinity, NAN, 0, -0.0f, 1, -1, 0.25f, -30, NAN, -infinity, infinity});
    table.push_back(c);
  }
  run_table(table);
}

// Each input may have a type of its own, in vectors, behind the last one, and as a single number.
TEST(Chain, InputsOfDifferentTypes) {
  std::vector<Case> table;
  const DType types[] = {DType::kF32, DType::kF16, DType::kBF16};
  for (const DType first : types)
    for (const DType second : types)
      for (const DType result : types)
        for (const Shape& other : {Shape{3, 5, 7}, Shape{}}) {
          Case c = chain_case("shift 0 -1;multiply 1 1", {{3, 5, 7}, other});
          c.inputs[0].dtype = first, c.inputs[1].dtype = second;
          c.outputs[0].dtype = result;
          if (result != DType::kF32) c.limit = 0x1p-16;
          table.push_back(c);
        }
  run_table(table);
}

TEST(Chain, StepsAreReadAsTheyWereWritten) {
  const std::vector<ChainStep> steps = {{"scale", 0, 0.1f}, {"subtract", -2, 1}};
  EXPECT_EQ(kernels::to_string(steps), "scale 0 0.100000001;subtract -2 1");
  const auto read = kernels::chain_steps(kernels::to_string(steps));
  EXPECT_EQ(read[0].alpha, 0.1f);
  EXPECT_EQ(read[1].other, -2);
  EXPECT_THROW(kernels::chain_steps("power 1 1"), KernelError);
  EXPECT_THROW(kernels::chain_steps("relu 0"), KernelError);
}

/// Return the operations of a program for a CUDA device, whether there is one or not.
std::vector<std::string> fused(const std::vector<Value>& inputs, const Value& output) {
  std::vector<Type> types;
  for (const Value& input : inputs) types.push_back(input.type());
  LoweredGraph graph = lower(inputs, types, {output}, {}, false);
  fuse_chains(graph);
  std::vector<std::string> names;
  for (const auto& node : graph.order)
    if (!node->inputs.empty()) names.push_back(node->operation->name);
  return names;
}

TEST(Chain, NeighboursThatNobodyElseReadsBecomeOne) {
  using Names = std::vector<std::string>;
  const Value x = input_value({{4, 3}, DType::kF32}), y = input_value({{4, 3}, DType::kF32});
  const Value row = input_value({{3}, DType::kF32});
  const auto binary = [](const char* name, const Value& a, const Value& b) {
    return apply(name, {a, b});
  };
  const Value sum = binary("add", x, y);
  EXPECT_EQ(fused({x, y}, apply("relu", {binary("subtract", scalar(1), sum)})), Names{"chain"});
  // A value with two readers stays; a row that is broadcast is no element.
  EXPECT_EQ(fused({x, y}, binary("multiply", sum, apply("exp", {sum}))), (Names{"add", "chain"}));
  EXPECT_EQ(fused({x, row}, apply("relu", {binary("add", x, row)})), (Names{"add", "relu"}));
  // More than four inputs or eight steps do not fit one chain.
  Value long_chain = x;
  for (int i = 0; i < 9; ++i) long_chain = apply("square", {long_chain});
  EXPECT_EQ(fused({x}, long_chain), (Names{"chain", "square"}));
}

}  // namespace
}  // namespace striate::testing
