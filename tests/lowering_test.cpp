// What operations become when a program is made: training or not, frozen or not, sizes known.
#include <gtest/gtest.h>
#include <striate/core/step.h>
#include <striate/kernels/batch_norm.h>
#include <striate/kernels/conv2d.h>
#include <striate/kernels/dropout.h>
#include <striate/kernels/instruction_set.h>
#include <striate/kernels/loss.h>
#include <striate/kernels/pool2d.h>
#include <striate/kernels/reduce.h>
#include <striate/layers/graph/lower.h>
#include <striate/layers/graph/program.h>
#include <striate/layers/shape_ops.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "variable.h"

namespace striate {
namespace {

/// A batch norm's variables, and the operation applied to x.
struct Norm {
  std::shared_ptr<Variable> gamma = variable("bn/gamma", {3}), beta = variable("bn/beta", {3}),
                            mean = variable("bn/moving_mean", {3}),
                            variance = variable("bn/moving_variance", {3});

  Value operator()(const Value& x) const {
    return apply("batch_norm",
                 std::vector<Value>{x, variable_value(gamma), variable_value(beta),
                                    variable_value(mean), variable_value(variance)},
                 BatchNormOptions{});
  }
};

const Type kBatch = {Shape{4, 3}, DType::kF32};

Value batch() { return input_value({Shape{kUnknown, 3}, DType::kF32}, "x"); }

std::vector<std::string> names(const LoweredGraph& graph) {
  std::vector<std::string> all;
  for (const auto& node : graph.order)
    if (!node->inputs.empty()) all.push_back(node->operation->name);
  return all;
}

using Names = std::vector<std::string>;

TEST(Lowering, BatchNormUpdatesItsStatisticsOnlyInTraining) {
  const Value x = batch();
  const Norm norm;
  const Value y = norm(x);
  const LoweredGraph training = lower({x}, {kBatch}, {y}, {}, true);
  EXPECT_EQ(names(training), Names{"batch_norm_training"});
  ASSERT_EQ(training.state.size(), 2u);
  EXPECT_EQ(training.state[0].variable, norm.mean);
  EXPECT_EQ(training.state[0].value.index, 3);
  EXPECT_EQ(training.state[1].variable, norm.variance);
  EXPECT_EQ(training.state[1].value.index, 4);
  EXPECT_EQ(training.outputs[0].shape(), Shape({4, 3}));

  const LoweredGraph inference = lower({x}, {kBatch}, {y}, {}, false);
  EXPECT_EQ(names(inference), Names{"batch_norm_inference"});
  EXPECT_TRUE(inference.state.empty());

  norm.mean->frozen = norm.variance->frozen = true;
  const LoweredGraph frozen = lower({x}, {kBatch}, {y}, {}, true);
  EXPECT_EQ(names(frozen), Names{"batch_norm_inference"});
  EXPECT_TRUE(frozen.state.empty());
}

TEST(Lowering, SharedBatchNormChainsItsStatistics) {
  const Value a = batch(), b = batch();
  const Norm norm;
  const LoweredGraph graph = lower({a, b}, {kBatch, kBatch}, {norm(a), norm(b)}, {}, true);
  EXPECT_EQ(names(graph), Names(2, "batch_norm_training"));
  ASSERT_EQ(graph.state.size(), 2u);
  const Node &first = *graph.outputs[0].node, &second = *graph.outputs[1].node;
  EXPECT_EQ(second.inputs[3], first.output(3));
  EXPECT_EQ(second.inputs[4], first.output(4));
  EXPECT_EQ(graph.state[0].value, second.output(3));
}

TEST(Lowering, BatchNormOnConstantsIsInference) {
  const Value x = batch();
  const auto numbers = [] { return constant_value(Tensor::from<float>({3}, {1, 2, 3})); };
  const Value y =
      apply("batch_norm", std::vector<Value>{x, numbers(), numbers(), numbers(), numbers()},
            BatchNormOptions{});
  EXPECT_EQ(names(lower({x}, {kBatch}, {y}, {}, true)), Names{"batch_norm_inference"});
}

TEST(Lowering, DropoutIsGoneOutsideTraining) {
  const Value x = batch();
  const Value y = apply("dropout", {x}, DropoutOptions{0.5});
  const LoweredGraph training = lower({x}, {kBatch}, {y}, {}, true);
  ASSERT_EQ(names(training), Names{"dropout"});
  EXPECT_EQ(training.outputs[0].node->inputs[1], training.step_block);
  const LoweredGraph inference = lower({x}, {kBatch}, {y}, {}, false);
  EXPECT_EQ(inference.outputs[0], inference.inputs[0]);
  EXPECT_FALSE(inference.step_block);
  const LoweredGraph none =
      lower({x}, {kBatch}, {apply("dropout", {x}, DropoutOptions{0})}, {}, true);
  EXPECT_EQ(none.outputs[0], none.inputs[0]);
}

TEST(Lowering, LossesReadTheStepBlock) {
  const Value x = batch(), labels = input_value({Shape{kUnknown}, DType::kI32}, "labels");
  const Value loss = apply("sparse_categorical_crossentropy", {x, labels}, LossOptions{});
  const LoweredGraph graph =
      lower({x, labels}, {kBatch, {Shape{4}, DType::kI32}}, {loss}, {}, false);
  ASSERT_EQ(graph.outputs[0].node->inputs.size(), 3u);
  EXPECT_EQ(graph.outputs[0].node->inputs[2], graph.step_block);
  EXPECT_EQ(graph.step_block.shape(), Shape({static_cast<int64_t>(sizeof(StepBlock))}));
}

TEST(Lowering, GradientsOfUnknownSizesBecomeKernels) {
  const Value x = batch();
  const Value mean = apply("reduce_mean", {x}, ReduceOptions{{-1}, false});
  const Value dx = gradient(mean, {x})[0];
  EXPECT_EQ(dx.node->operation->name, "reduce_mean_backward");
  const LoweredGraph graph = lower({x}, {kBatch}, {dx}, {}, false);
  EXPECT_EQ(names(graph), (Names{"broadcast_to", "scale", "reshape", "broadcast_to"}));
  EXPECT_EQ(graph.outputs[0].shape(), Shape({4, 3}));
}

TEST(Lowering, NothingIsLeftOfCopies) {
  const Value x = batch();
  const Value same = apply("reshape", {apply("identity", {x})}, ReshapeOptions{{kUnknown, 3}});
  const LoweredGraph graph = lower({x}, {kBatch}, {same}, {}, false);
  EXPECT_EQ(graph.outputs[0], graph.inputs[0]);
}

Names fused_names(const Value& x, const Type& type, const Value& y, bool training) {
  LoweredGraph graph = lower({x}, {type}, {y}, {}, training);
  fuse(graph, {}, training);
  return names(graph);
}

TEST(Fusion, MergesActivationsAndResiduals) {
  const Type type = {Shape{2, 4, 4, 3}, DType::kF32};
  const Value x = input_value(type);
  const Value w = variable_value(variable("w", {3, 1, 1, 3}));
  const auto conv = [&](const Value& v) { return apply("conv2d", {v, w}); };
  const auto relu = [](const Value& v) { return apply("relu", {v}); };
  for (bool training : {false, true}) {
    EXPECT_EQ(fused_names(x, type, relu(conv(x)), training), Names{"conv2d"});
    EXPECT_EQ(fused_names(x, type, relu(apply("add", {x, conv(x)})), training), Names{"conv2d"});
    EXPECT_EQ(fused_names(x, type, relu(conv(relu(conv(x)))), training), Names(2, "conv2d"));
  }
  const Value shared = conv(x);  // read twice, so it must stay
  EXPECT_EQ(fused_names(x, type, apply("add", {relu(shared), shared}), false),
            (Names{"conv2d", "relu", "add"}));
  const Norm norm;
  EXPECT_EQ(fused_names(x, type, relu(apply("add", {x, norm(conv(x))})), true),
            (Names{"conv2d", "batch_norm_training"}));
}

// Where Winograd's method is the quickest; others do no relu on the CPU, and keep a pass of its own.
TEST(Fusion, WinogradsMethodDoesTheGradientOfReluToo) {
  const bool has_winograd = kernels::instruction_set() >= kernels::InstructionSet::kAvx2;
  const Type type = {Shape{2, 16, 16, 32}, DType::kF32};
  Tensor images(type.shape, DType::kF32);
  for (int64_t i = 0; i < images.elements(); ++i)
    images.data_as<float>()[i] = static_cast<float>((i * 7919 % 23) - 11) / 16;
  for (const int64_t window : {3, 5}) {
    const Value x = input_value(type);
    const Value w = variable_value(variable("w", {32, window, window, 32}));
    Conv2dOptions same;
    same.padding = "same";
    const Value score =
        apply("reduce_sum", {apply("conv2d", {apply("relu", {x}), w}, same)}, ReduceOptions{});
    const Value dx = gradient(score, {x})[0];
    const Names names = fused_names(x, type, dx, true);
    const bool is_fused = has_winograd && window == 3;
    EXPECT_EQ(std::count(names.begin(), names.end(), "relu_backward"), is_fused ? 0 : 1) << window;
    Program program({x}, {type}, {dx}, {}, {});
    const Tensor got = program.run({images})[0];
    for (int64_t i = 0; i < images.elements(); ++i)
      ASSERT_TRUE(images.data_as<float>()[i] > 0 || got.data_as<float>()[i] == 0) << i;
  }
}

TEST(Fusion, MaxPoolingDoesTheGradientOfReluToo) {
  const Type type = {Shape{2, 7, 7, 3}, DType::kF32};
  const Value x = input_value(type);
  const Pool2dOptions windows = {.pool_size = 3, .strides = 2};
  Tensor images(type.shape, DType::kF32);
  for (int64_t i = 0; i < images.elements(); ++i)
    images.data_as<float>()[i] = static_cast<float>((i * 7919 % 23) - 19);
  images.data_as<float>()[40] = std::nanf("");
  for (const char* activation : {"relu", "relu6"}) {
    const std::vector<Value> pooled = apply_all("max_pool2d", {apply(activation, {x})}, windows);
    const Value score = apply("reduce_sum", {apply("exp", {pooled[0]})}, ReduceOptions{});
    const Value dx = gradient(score, {x})[0];
    const Names names = fused_names(x, type, dx, true);
    EXPECT_EQ(std::count(names.begin(), names.end(), "relu_backward"), 0);
    // With the pooling's gradient read twice it stays, and the numbers are the same.
    Program before({x}, {type}, {dx, dx.node->inputs[0]}, {}, {});
    Program after({x}, {type}, {dx}, {}, {});
    const std::vector<Tensor> both = before.run({images});
    const Tensor a = both[0], b = after.run({images})[0];
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.bytes()), 0);
    EXPECT_NE(std::memcmp(a.data(), both[1].data(), a.bytes()), 0);  // something was stopped
    // A winner that somebody else reads stays a place in the window.
    Program read({x}, {type}, {dx, pooled[1]}, {}, {});
    const std::vector<Tensor> found = read.run({images});
    EXPECT_EQ(std::memcmp(found[0].data(), a.data(), a.bytes()), 0);
    const uint8_t* winners = found[1].data_as<uint8_t>();
    EXPECT_LT(*std::max_element(winners, winners + found[1].elements()), 9);
  }
}

TEST(Fusion, ABatchNormFoldedIntoAConvolutionGivesTheSameNumbers) {
  const Type type = {Shape{2, 4, 4, 2}, DType::kF32}, middle = {Shape{2, 4, 4, 3}, DType::kF32};
  const Value x = input_value(type), between = input_value(middle);
  const auto w = variable("w", {3, 3, 3, 2});
  const Norm norm;
  const auto fill = [](const std::shared_ptr<Variable>& v, float first) {
    std::vector<float> values;
    for (int64_t i = 0; i < v->type.shape.elements(); ++i)
      values.push_back(first + 0.1f * static_cast<float>(i % 7));
    v->assign(Tensor::from<float>(v->type.shape, values));
  };
  fill(w, -0.3f), fill(norm.gamma, 0.5f), fill(norm.beta, -0.2f);
  fill(norm.mean, 0.1f), fill(norm.variance, 0.7f);
  const auto conv = [&](const Value& v) {
    return apply("conv2d", {v, variable_value(w)}, Conv2dOptions{.padding = "same"});
  };
  const auto end = [&](const Value& v) { return apply("relu", {norm(v)}); };
  const Names folded = fused_names(x, type, end(conv(x)), false);
  EXPECT_EQ(std::count(folded.begin(), folded.end(), "batch_norm_inference"), 0);

  std::vector<float> pixels;
  for (int i = 0; i < 64; ++i) pixels.push_back(0.05f * static_cast<float>(i * 7 % 31) - 0.6f);
  const Tensor picture = Tensor::from<float>(type.shape, pixels);
  const auto whole = Program({x}, {type}, {end(conv(x))}, {}, {}).run({picture})[0];
  const auto first = Program({x}, {type}, {conv(x)}, {}, {}).run({picture})[0];
  const auto second = Program({between}, {middle}, {end(between)}, {}, {}).run({first})[0];
  const auto a = whole.to_vector<float>(), b = second.to_vector<float>();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5f) << i;
}

TEST(Lowering, ChecksTheShapesOfTheBatch) {
  const Value x = batch(), other = batch();
  const Value sum = apply("add", {x, other});
  EXPECT_NO_THROW(lower({x, other}, {kBatch, kBatch}, {sum}, {}, false));
  try {
    lower({x, other}, {kBatch, {Shape{5, 3}, DType::kF32}}, {sum}, {}, false);
    ADD_FAILURE() << "no error";
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(),
                 "[add] shapes must be equal or 1 at each place, counted from the right, got "
                 "[4, 3] and [5, 3].");
  }
}

}  // namespace
}  // namespace striate
