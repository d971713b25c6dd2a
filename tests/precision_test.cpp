// What a graph becomes in mixed precision: which values have 16 bits, and what stays float32.
#include <gtest/gtest.h>
#include <striate/core/error.h>
#include <striate/kernels/batch_norm.h>
#include <striate/kernels/conv2d.h>
#include <striate/kernels/loss.h>
#include <striate/layers/graph/lower.h>
#include <striate/layers/graph/precision.h>
#include <striate/layers/optimizer.h>
#include <striate/layers/shape_ops.h>

#include <map>

#include "variable.h"

namespace striate {
namespace {

/// softmax(relu(norm(conv(x))) * w), and its weights.
struct Network {
  std::shared_ptr<Variable> filters = variable("filters", {8, 3, 3, 4}),
                            gamma = variable("gamma", {8}), beta = variable("beta", {8}),
                            mean = variable("mean", {8}), spread = variable("spread", {8}),
                            w = variable("w", {32, 3});
  Value x = input_value({Shape{kUnknown, 4, 4, 4}, DType::kF32}, "x");
  Value y = [this] {
    const Value conv = apply("conv2d", {x, variable_value(filters)});
    const Value normed = apply("batch_norm",
                               std::vector<Value>{conv, variable_value(gamma), variable_value(beta),
                                                  variable_value(mean), variable_value(spread)},
                               BatchNormOptions{});
    const Value half = apply("multiply", {apply("relu", {normed}), scalar(0.5f)});
    const Value rows = apply("reshape", {half}, ReshapeOptions{{kUnknown, 32}});
    return apply("softmax", {apply("matmul", {rows, variable_value(w)})});
  }();
};

/// Return the element types that the operations of a graph make, by their names.
std::map<std::string, DType> types_of(const std::vector<Value>& values) {
  std::map<std::string, DType> types;
  for (const auto& node : reachable(values)) types[node->operation->name] = node->outputs[0].dtype;
  return types;
}

TEST(MixedPrecision, ProductsAndWhatFollowsThemHave16Bits) {
  const Network network;
  const std::vector<Value> mixed = with_products_in({network.y}, DType::kBF16);
  const auto types = types_of(mixed);
  for (const char* name : {"conv2d", "batch_norm", "relu", "multiply", "reshape", "matmul"})
    EXPECT_EQ(types.at(name), DType::kBF16) << name;
  EXPECT_EQ(types.at("softmax"), DType::kF32);
  EXPECT_EQ(types.at("variable"), DType::kF32);
  EXPECT_EQ(mixed[0].dtype(), DType::kF32);
  EXPECT_EQ(mixed[0].shape(), network.y.shape());
  for (const auto& node : reachable(mixed)) {
    if (node->operation->name == "batch_norm") {
      for (size_t i = 1; i < 5; ++i) EXPECT_EQ(node->inputs[i].dtype(), DType::kF32) << i;
    }
    if (node->operation->name == "multiply") {
      EXPECT_EQ(node->inputs[1].node->operation->name, "constant");  // 0.5 needs no cast
    }
  }
  // The graph of the user is what it was.
  EXPECT_EQ(types_of({network.y}).at("conv2d"), DType::kF32);
}

TEST(MixedPrecision, WeightsAndTheirUpdatesAreFloat32) {
  const Network network;
  const Value y = with_products_in({network.y}, DType::kBF16)[0];
  const Value labels = input_value({Shape{kUnknown}, DType::kI32}, "labels");
  LossOptions options;
  options.from_logits = false;
  const Value loss = apply("sparse_categorical_crossentropy", {y, labels}, options);
  const Update update = {Optimizer::make(SGD{}), loss, {network.filters, network.gamma, network.w}};
  const std::vector<Type> inputs = {{Shape{5, 4, 4, 4}, DType::kF32}, {Shape{5}, DType::kI32}};
  // Without leave the rules of operations refuse 16 bits: the CPU has no kernels for them.
  EXPECT_THROW(lower({network.x, labels}, inputs, {loss}, {update}, true), DTypeError);
  const Allow16Bits allow(true);
  const LoweredGraph graph = lower({network.x, labels}, inputs, {loss}, {update}, true);
  EXPECT_EQ(graph.outputs[0].dtype(), DType::kF32);
  ASSERT_EQ(graph.gradients.size(), 3u);
  for (const auto* assignments : {&graph.gradients, &graph.updates, &graph.state})
    for (const Assignment& a : *assignments) EXPECT_EQ(a.value.dtype(), DType::kF32);
  std::map<std::string, int> halves;
  for (const auto& node : graph.order)
    if (node->outputs[0].dtype == DType::kBF16) ++halves[node->operation->name];
  EXPECT_EQ(halves.at("conv2d_backward_weight"), 1);
  EXPECT_EQ(halves.at("matmul"), 3);
  EXPECT_EQ(halves.at("batch_norm_training_backward"), 1);
}

TEST(MixedPrecision, LeaveEnds) {
  EXPECT_FALSE(Allow16Bits::is_allowed());
  {
    const Allow16Bits allow(true);
    const Allow16Bits not_here(false);
    EXPECT_FALSE(Allow16Bits::is_allowed());
  }
  EXPECT_FALSE(Allow16Bits::is_allowed());
}

}  // namespace
}  // namespace striate
