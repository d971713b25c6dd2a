// The operations' rules: shapes that follow, unknown sizes, and every refusal with its text.
#include <gtest/gtest.h>
#include <striate/core/step.h>
#include <striate/kernels/batch_norm.h>
#include <striate/kernels/cast.h>
#include <striate/kernels/conv2d.h>
#include <striate/kernels/dropout.h>
#include <striate/kernels/loss.h>
#include <striate/kernels/matmul.h>
#include <striate/kernels/pad2d.h>
#include <striate/kernels/pool2d.h>
#include <striate/kernels/reduce.h>
#include <striate/kernels/unary.h>
#include <striate/layers/graph/graph.h>
#include <striate/layers/shape_ops.h>

#include <functional>

namespace striate {
namespace {

Value x_of(Shape shape, DType dtype = DType::kF32) { return input_value({shape, dtype}, "x"); }

/// Expect an error of type E with exactly this text.
template <class E>
void expect_error(const std::string& text, const std::function<void()>& call) {
  try {
    call();
    ADD_FAILURE() << "no error; expected: " << text;
  } catch (const E& error) {
    EXPECT_EQ(text, error.what());
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another type of error: " << error.what();
  }
}

Value conv(Shape x, Shape w, Conv2dOptions options = {}) {
  return apply("conv2d", {x_of(x), x_of(w)}, options);
}

TEST(Conv2d, ShapesFollow) {
  EXPECT_EQ(conv({kUnknown, 28, 28, 1}, {32, 3, 3, 1}).shape(), Shape({kUnknown, 26, 26, 32}));
  EXPECT_EQ(conv({2, kUnknown, 9, 4}, {6, 3, 3, 2}, {.strides = 2, .padding = "same", .groups = 2})
                .shape(),
            Shape({2, kUnknown, 5, 6}));
  // AlexNet's first layer.
  EXPECT_EQ(conv({1, 227, 227, 3}, {96, 11, 11, 3}, {.strides = 4}).shape(),
            Shape({1, 55, 55, 96}));
  EXPECT_EQ(conv({0, 5, 5, kUnknown}, {4, 2, 2, 7}).shape(), Shape({0, 4, 4, 4}));
}

TEST(Conv2d, RefusesByName) {
  expect_error<ShapeError>("[conv2d] images are [N, height, width, channels], got [28, 28, 1].",
                           [] {
                             conv({28, 28, 1}, {8, 3, 3, 1});
                           });
  expect_error<ShapeError>(
      "[conv2d] filters are [filters, height, width, channels / groups], got [3, 3, 1].", [] {
        conv({1, 28, 28, 1}, {3, 3, 1});
      });
  expect_error<ShapeError>("[conv2d] filters must be >= 1, got 0.", [] {
    conv({1, 8, 8, 4}, {0, 3, 3, 4});
  });
  expect_error<ShapeError>("[conv2d] groups must be >= 1, got -1.", [] {
    conv({1, 8, 8, 4}, {8, 3, 3, 4}, {.groups = -1});
  });
  expect_error<ShapeError>(
      "[conv2d] groups must divide the number of filters, got 3 groups and 8 filters.", [] {
        conv({1, 8, 8, 6}, {8, 3, 3, 2}, {.groups = 3});
      });
  expect_error<ShapeError>(
      "[conv2d] groups must divide the number of channels, got 3 groups and 4 channels.", [] {
        conv({1, 8, 8, 4}, {9, 3, 3, 1}, {.groups = 3});
      });
  expect_error<ShapeError>(
      "[conv2d] filters on [1, 8, 8, 4] with 1 group must have 4 channels, got filters "
      "[8, 3, 3, 3].",
      [] {
        conv({1, 8, 8, 4}, {8, 3, 3, 3});
      });
  expect_error<ShapeError>(
      "[conv2d] 'valid' padding needs height >= 5, got input [N, 3, 3, 64]. Use padding \"same\" "
      "or "
      "a smaller window.",
      [] {
        conv({kUnknown, 3, 3, 64}, {8, 5, 5, 64});
      });
  expect_error<ShapeError>(
      "[conv2d] 'valid' padding needs width >= 9, got input [1, 9, 8, 1]. Use padding \"same\" or "
      "a "
      "smaller window.",
      [] {
        conv({1, 9, 8, 1}, {1, 3, 3, 1}, {.dilation_rate = 4});
      });
  expect_error<ShapeError>("[conv2d] strides must be >= 1, got 0.", [] {
    conv({1, 8, 8, 1}, {1, 3, 3, 1}, {.strides = 0});
  });
  expect_error<ShapeError>("[conv2d] dilation rates must be >= 1, got -2.", [] {
    conv({1, 8, 8, 1}, {1, 3, 3, 1}, {.dilation_rate = -2});
  });
  expect_error<ShapeError>("[conv2d] padding must be >= 0, got -1 and -1.", [] {
    conv({1, 8, 8, 1}, {1, 3, 3, 1}, {.padding = -1});
  });
  expect_error<ShapeError>(
      "[conv2d] a tensor has at most 2^62 elements, got [1, 1099511627776, 1099511627776, 64].",
      [] {
        conv({1, int64_t{1} << 40, int64_t{1} << 40, 1}, {64, 1, 1, 1});
      });
  expect_error<ShapeError>("[conv2d] b must be [8], got [7].", [] {
    apply("conv2d", {x_of({1, 5, 5, 2}), x_of({8, 3, 3, 2}), x_of({7})});
  });
  expect_error<ShapeError>(
      "[conv2d] residual must have the shape of the result, [1, 3, 3, 8], got [1, 5, 5, 8].", [] {
        apply("conv2d", {x_of({1, 5, 5, 2}), x_of({8, 3, 3, 2}), Value{}, x_of({1, 5, 5, 8})});
      });
  expect_error<DTypeError>(
      "[conv2d] x must be float32 or float64, got uint8. Convert it with cast(to=\"float32\").",
      [] {
        apply("conv2d", {x_of({1, 5, 5, 2}, DType::kU8), x_of({8, 3, 3, 2})});
      });
  expect_error<DTypeError>(
      "[conv2d] w must have the element type of x, got float64 and float32. Convert one with cast.",
      [] {
        apply("conv2d", {x_of({1, 5, 5, 2}), x_of({8, 3, 3, 2}, DType::kF64)});
      });
  expect_error<ShapeError>("[conv2d] conv2d needs its input 'w'.", [] {
    apply("conv2d", {x_of({1, 5, 5, 2}), Value{}});
  });
  EXPECT_EQ(conv({1, 5, 5, 2}, {8, 3, 3, 2}).shape(), Shape({1, 3, 3, 8}));  // all well after that
}

TEST(Conv2d, ErrorsNameTheLayer) {
  const LayerScope scope(std::make_shared<LayerName>(LayerName{"Conv2D", "block2/conv1"}));
  expect_error<ShapeError>(
      "[Conv2D \"block2/conv1\"] 'valid' padding needs height >= 5, got input [N, 3, 3, 64]. Use "
      "padding \"same\" or a smaller window.",
      [] {
        conv({kUnknown, 3, 3, 64}, {8, 5, 5, 64});
      });
}

TEST(Conv2d, BackwardChecksDy) {
  const Value x = x_of({2, 5, 5, 2}), w = x_of({8, 3, 3, 2});
  expect_error<ShapeError>("[conv2d_backward_input] dy must be [2, 3, 3, 8], got [2, 5, 5, 8].",
                           [&] {
                             apply("conv2d_backward_input", {x_of({2, 5, 5, 8}), w, x});
                           });
  expect_error<ShapeError>("[conv2d_backward_weight] dy must be [2, 3, 3, 8], got [2, 3, 3, 7].",
                           [&] {
                             apply("conv2d_backward_weight", {x, x_of({2, 3, 3, 7}), w});
                           });
  const auto dw =
      apply_all("conv2d_backward_weight", {x, x_of({2, 3, 3, 8}), w}, Conv2dOptions{.bias = true});
  ASSERT_EQ(dw.size(), 2u);
  EXPECT_EQ(dw[0].shape(), w.shape());
  EXPECT_EQ(dw[1].shape(), Shape({8}));
}

TEST(Pool2d, ShapesFollow) {
  const auto y = apply_all("max_pool2d", {x_of({kUnknown, 28, 27, 3})}, Pool2dOptions{});
  EXPECT_EQ(y[0].shape(), Shape({kUnknown, 14, 13, 3}));
  EXPECT_EQ(y[1].dtype(), DType::kU8);
  EXPECT_EQ(
      apply_all("max_pool2d", {x_of({1, 40, 40, 3})}, Pool2dOptions{.pool_size = 17})[1].dtype(),
      DType::kI32);
  EXPECT_EQ(apply("avg_pool2d", {x_of({2, kUnknown, 7, 1})},
                  Pool2dOptions{.pool_size = 3, .strides = 2, .padding = "same"})
                .shape(),
            Shape({2, kUnknown, 4, 1}));
  EXPECT_EQ(apply("global_avg_pool2d", {x_of({kUnknown, kUnknown, 7, 5})}).shape(),
            Shape({kUnknown, 5}));
}

TEST(Pool2d, RefusesByName) {
  expect_error<ShapeError>(
      "[max_pool2d] 'valid' padding needs height >= 4, got input [1, 3, 9, 2]. Use padding "
      "\"same\" "
      "or a smaller window.",
      [] {
        apply("max_pool2d", {x_of({1, 3, 9, 2})}, Pool2dOptions{.pool_size = 4});
      });
  expect_error<ShapeError>("[avg_pool2d] the window's height must be >= 1, got 0.", [] {
    apply("avg_pool2d", {x_of({1, 3, 9, 2})}, Pool2dOptions{.pool_size = 0, .strides = 1});
  });
  expect_error<ShapeError>("[avg_pool2d] strides must be >= 1, got -1.", [] {
    apply("avg_pool2d", {x_of({1, 3, 9, 2})}, Pool2dOptions{.strides = -1});
  });
  expect_error<ShapeError>(
      "[max_pool2d] images are [N, height, width, channels], got [9, 2]. Add "
      "the missing dimension with reshape.",
      [] {
        apply("max_pool2d", {x_of({9, 2})});
      });
  expect_error<DTypeError>(
      "[max_pool2d] x must be float32 or float64, got int32. Convert it with "
      "cast(to=\"float32\").",
      [] {
        apply("max_pool2d", {x_of({1, 4, 4, 2}, DType::kI32)});
      });
  expect_error<ShapeError>(
      "[global_avg_pool2d] an average needs height and width >= 1, got input "
      "[1, 0, 4, 2].",
      [] {
        apply("global_avg_pool2d", {x_of({1, 0, 4, 2})});
      });
  expect_error<DTypeError>(
      "[max_pool2d_gather] winner must be uint8 for this pool size, got int64.", [] {
        apply("max_pool2d_gather", {x_of({1, 4, 4, 2}), x_of({1, 2, 2, 2}, DType::kI64)});
      });
  EXPECT_EQ(apply("max_pool2d", {x_of({1, 4, 4, 2})}).shape(), Shape({1, 2, 2, 2}));
}

TEST(Pad2d, ShapesAndRefusals) {
  EXPECT_EQ(apply("pad2d", {x_of({kUnknown, 3, kUnknown, 1})}, Pad2dOptions{{1, 2, 3, 4}}).shape(),
            Shape({kUnknown, 6, kUnknown, 1}));
  expect_error<ShapeError>(
      "[pad2d] padding must be numbers: one, (vertical, horizontal) or (top, bottom, left, right), "
      "got 'same'.",
      [] {
        apply("pad2d", {x_of({1, 3, 3, 1})}, Pad2dOptions{"same"});
      });
  expect_error<ShapeError>("[pad2d] padding must be from 0 to 2^40, got -1 and 0.", [] {
    apply("pad2d", {x_of({1, 3, 3, 1})}, Pad2dOptions{{-1, 0, 0, 0}});
  });
  expect_error<ShapeError>("[pad2d] mode must be constant, reflect or edge, got 'wrap'.", [] {
    apply("pad2d", {x_of({1, 3, 3, 1})}, Pad2dOptions{1, "wrap"});
  });
  expect_error<ShapeError>("[pad2d] 'reflect' needs padding below the width, got 3 on width 3.",
                           [] {
                             apply("pad2d", {x_of({1, 9, 3, 1})}, Pad2dOptions{3, "reflect"});
                           });
  expect_error<ShapeError>("[pad2d] 'edge' needs height >= 1, got 0.", [] {
    apply("pad2d", {x_of({1, 0, 3, 1})}, Pad2dOptions{3, "edge"});
  });
}

std::vector<Value> norm_inputs(Shape x, int64_t channels) {
  std::vector<Value> inputs = {x_of(x)};
  for (int i = 0; i < 4; ++i) inputs.push_back(x_of({channels}));
  return inputs;
}

TEST(BatchNorm, ShapesAndRefusals) {
  const auto y =
      apply_all("batch_norm_training", norm_inputs({kUnknown, 4, 4, 3}, 3), BatchNormOptions{});
  ASSERT_EQ(y.size(), 5u);
  EXPECT_EQ(y[0].shape(), Shape({kUnknown, 4, 4, 3}));
  EXPECT_EQ(y[4].shape(), Shape({3}));
  expect_error<ShapeError>("[batch_norm] gamma must be [3], got [4].", [] {
    striate::apply("batch_norm", norm_inputs({2, 3}, 4));
  });
  expect_error<ShapeError>(
      "[batch_norm] batch normalisation needs at least two dimensions, got [3].",
      [] { striate::apply("batch_norm", norm_inputs({3}, 3)); });
  expect_error<ShapeError>("[batch_norm] epsilon must be > 0, got 0.0.", [] {
    striate::apply("batch_norm", norm_inputs({2, 3}, 3), BatchNormOptions{.epsilon = 0});
  });
  expect_error<ShapeError>("[batch_norm] momentum must be from 0 to 1, got 1.5.", [] {
    striate::apply("batch_norm", norm_inputs({2, 3}, 3), BatchNormOptions{.momentum = 1.5});
  });
  expect_error<ShapeError>(
      "[batch_norm] batch normalisation takes the activations none and relu, got tanh.", [] {
        striate::apply("batch_norm", norm_inputs({2, 3}, 3),
                       BatchNormOptions{.activation = Activation::kTanh});
      });
  expect_error<DTypeError>(
      "[batch_norm] x must be float32 or float64, got uint8. Convert it with cast(to=\"float32\").",
      [] {
        auto inputs = norm_inputs({2, 3}, 3);
        inputs[0] = x_of({2, 3}, DType::kU8);
        striate::apply("batch_norm", inputs);
      });
}

TEST(Dropout, RefusesARateOutsideTheInterval) {
  EXPECT_EQ(apply("dropout", {x_of({kUnknown, 3})}, DropoutOptions{0.5}).shape(),
            Shape({kUnknown, 3}));
  expect_error<ShapeError>("[dropout] rate must be in [0, 1), got 1.0.", [] {
    apply("dropout", {x_of({2, 3})}, DropoutOptions{1});
  });
  expect_error<ShapeError>("[dropout] dropout needs a batch axis, got [].",
                           [] { apply("dropout", {x_of({})}, DropoutOptions{0.5}); });
}

TEST(Elementwise, ShapesAndRefusals) {
  const auto sum = [](Shape a, Shape b) { return apply("add", {x_of(a), x_of(b)}).shape(); };
  EXPECT_EQ(sum({kUnknown, 4, 3}, {3}), Shape({kUnknown, 4, 3}));
  EXPECT_EQ(sum({5, 1, 3}, {4, 1}), Shape({5, 4, 3}));
  EXPECT_EQ(sum({kUnknown, 1}, {7, kUnknown}), Shape({7, kUnknown}));
  EXPECT_EQ(sum({0, 3}, {1, 3}), Shape({0, 3}));
  EXPECT_EQ(sum({}, {2}), Shape({2}));
  EXPECT_EQ(apply("greater", {x_of({3}), x_of({})}).dtype(), DType::kBool);
  EXPECT_EQ(apply("where", {x_of({4, 1}, DType::kBool), x_of({3}), x_of({})}).shape(),
            Shape({4, 3}));
  EXPECT_EQ(apply("relu", {x_of({kUnknown, 2})}).shape(), Shape({kUnknown, 2}));
  EXPECT_EQ(apply("rescale", {x_of({2}, DType::kU8)}, RescaleOptions{1.0 / 255}).dtype(),
            DType::kF32);
  EXPECT_EQ(apply("cast", {x_of({2})}, CastOptions{DType::kI64}).dtype(), DType::kI64);
  expect_error<ShapeError>(
      "[add] shapes must be equal or 1 at each place, counted from the right, "
      "got [2, 3] and [2].",
      [] {
        apply("add", {x_of({2, 3}), x_of({2})});
      });
  expect_error<DTypeError>(
      "[add] a and b must have the same element type, got float32 and int64. "
      "Convert one with cast.",
      [] {
        apply("add", {x_of({2}), x_of({2}, DType::kI64)});
      });
  expect_error<ShapeError>(
      "[multiply] a tensor has at most 2^62 elements, got [2147483648, "
      "4294967296].",
      [] {
        apply("multiply", {x_of({int64_t{1} << 31, 1}), x_of({int64_t{1} << 32})});
      });
  expect_error<DTypeError>(
      "[exp] x must be float32 or float64, got int32. Convert it with cast(to=\"float32\").",
      [] { apply("exp", {x_of({2}, DType::kI32)}); });
  expect_error<DTypeError>(
      "[rescale] x must be uint8 or float32, got int32. Convert it with "
      "cast(to=\"float32\").",
      [] { apply("rescale", {x_of({2}, DType::kI32)}); });
}

TEST(Reduce, ShapesAndRefusals) {
  const auto sum = [](Shape x, std::vector<int> axes, bool keepdims = false) {
    return apply("reduce_sum", {x_of(x)}, ReduceOptions{axes, keepdims}).shape();
  };
  EXPECT_EQ(sum({2, 3, 4}, {}), Shape({}));
  EXPECT_EQ(sum({kUnknown, 3, 4}, {-1, 1}), Shape({kUnknown}));
  EXPECT_EQ(sum({kUnknown, 3, 4}, {0, 2}, true), Shape({1, 3, 1}));
  EXPECT_EQ(apply("argmax", {x_of({kUnknown, 10})}, ReduceOptions{{-1}}).dtype(), DType::kI64);
  expect_error<ShapeError>("[reduce_sum] the axis must be from -2 to 1, got 2.", [&] {
    sum({2, 3}, {2});
  });
  expect_error<ShapeError>("[reduce_sum] an axis may be named once, got -1.", [&] {
    sum({2, 3}, {1, -1});
  });
  expect_error<ShapeError>("[argmax] argmax takes one axis, got 2 axes.", [] {
    apply("argmax", {x_of({2, 3})}, ReduceOptions{{0, 1}});
  });
  expect_error<ShapeError>("[argmax] argmax needs an axis of size >= 1, got [2, 0].", [] {
    apply("argmax", {x_of({2, 0})}, ReduceOptions{{1}});
  });
  expect_error<ShapeError>("[broadcast_to] a value cannot be repeated to [1, 3], got [2, 3].", [] {
    apply("broadcast_to", {x_of({2, 3}), x_of({1, 3})});
  });
}

TEST(ShapeOps, ReshapeFindsSizes) {
  const auto reshape = [](Shape x, Shape y) {
    return apply("reshape", {x_of(x)}, ReshapeOptions{y}).shape();
  };
  EXPECT_EQ(reshape({2, 3, 4}, {6, kUnknown}), Shape({6, 4}));
  EXPECT_EQ(reshape({kUnknown, 7, 7, 2}, {kUnknown, 98}), Shape({kUnknown, 98}));
  EXPECT_EQ(reshape({kUnknown, 7, 7, 2}, {kUnknown, kUnknown}), Shape({kUnknown, 98}));
  EXPECT_EQ(reshape({0, 7, 7, 2}, {kUnknown, kUnknown}), Shape({0, 98}));
  EXPECT_EQ(reshape({kUnknown, kUnknown, 2}, {kUnknown, kUnknown}), Shape({kUnknown, kUnknown}));
  expect_error<ShapeError>(
      "[reshape] reshape must keep the number of elements: [2, 3] has 6, got [4].", [&] {
        reshape({2, 3}, {4});
      });
  expect_error<ShapeError>(
      "[reshape] reshape must keep the number of elements: [2, 3] has 6, got [4, ?].", [&] {
        reshape({2, 3}, {4, kUnknown});
      });
  expect_error<ShapeError>("[reshape] reshape can find one size, and the batch, got [2, ?, ?].",
                           [&] {
                             reshape({2, 3}, {2, kUnknown, kUnknown});
                           });
}

TEST(ShapeOps, OthersAndTheirRefusals) {
  EXPECT_EQ(apply("concat", {x_of({kUnknown, 2}), x_of({kUnknown, 3})}, ConcatOptions{1}).shape(),
            Shape({kUnknown, 5}));
  EXPECT_EQ(apply("slice", {x_of({kUnknown, 5})}, SliceOptions{{0, 1}, {-1, 2}}).shape(),
            Shape({kUnknown, 2}));
  EXPECT_EQ(apply("transpose", {x_of({2, 3, 4})}).shape(), Shape({4, 3, 2}));
  EXPECT_EQ(apply("transpose", {x_of({2, 3, 4})}, TransposeOptions{{0, 2, -2}}).shape(),
            Shape({2, 4, 3}));
  expect_error<ShapeError>(
      "[concat] concat along axis 1 needs values that agree at the other axes, "
      "got [2, 2] and [3, 2].",
      [] {
        apply("concat", {x_of({2, 2}), x_of({3, 2})});
      });
  expect_error<DTypeError>(
      "[concat] concat needs values of one element type, got float32 and "
      "uint8. Convert them with cast.",
      [] {
        apply("concat", {x_of({2}), x_of({2}, DType::kU8)});
      });
  expect_error<ShapeError>("[concat] concat needs at least one value.",
                           [] { apply("concat", {}); });
  expect_error<ShapeError>(
      "[slice] the slice must lie inside [2, 5], got begin 4, size 2 at axis 1.", [] {
        apply("slice", {x_of({2, 5})}, SliceOptions{{0, 4}, {2, 2}});
      });
  expect_error<ShapeError>("[slice] begin and size must have 2 numbers, got 1 and 2.", [] {
    apply("slice", {x_of({2, 5})}, SliceOptions{{0}, {2, 2}});
  });
  expect_error<ShapeError>("[transpose] order must name each of 3 axes once, got (0, 1, 1).", [] {
    apply("transpose", {x_of({2, 3, 4})}, TransposeOptions{{0, 1, 1}});
  });
}

TEST(Matmul, ShapesAndRefusals) {
  EXPECT_EQ(apply("matmul", {x_of({kUnknown, 5}), x_of({5, 3}), x_of({3})}).shape(),
            Shape({kUnknown, 3}));
  EXPECT_EQ(apply("matmul", {x_of({5, 2}), x_of({3, 5})},
                  MatmulOptions{.transpose_a = true, .transpose_b = true})
                .shape(),
            Shape({2, 3}));
  expect_error<ShapeError>(
      "[matmul] matmul needs axis 1 of a and axis 0 of b to agree, got [2, 4] and [5, 3].", [] {
        apply("matmul", {x_of({2, 4}), x_of({5, 3})});
      });
  expect_error<ShapeError>("[matmul] a must be a matrix [M, K], got [2, 3, 4].", [] {
    apply("matmul", {x_of({2, 3, 4}), x_of({4, 3})});
  });
  expect_error<ShapeError>("[matmul] bias must be [3], got [2].", [] {
    apply("matmul", {x_of({2, 5}), x_of({5, 3}), x_of({2})});
  });
}

TEST(Softmax, RefusesANumber) {
  EXPECT_EQ(apply("log_softmax", {x_of({kUnknown, 3})}).shape(), Shape({kUnknown, 3}));
  expect_error<ShapeError>("[softmax] softmax needs an axis of classes, got [].",
                           [] { apply("softmax", {x_of({})}); });
}

TEST(Loss, ShapesAndRefusals) {
  const Value logits = x_of({kUnknown, 10});
  const auto loss = apply_all("sparse_categorical_crossentropy",
                              {logits, x_of({kUnknown}, DType::kU8)}, LossOptions{});
  EXPECT_EQ(loss[0].shape(), Shape({}));
  EXPECT_EQ(loss[1].shape(), Shape({kUnknown, 10}));
  EXPECT_EQ(apply("top_k_correct", {logits, x_of({kUnknown}, DType::kI64)}, TopKOptions{5}).shape(),
            Shape({kUnknown}));
  expect_error<ShapeError>(
      "[sparse_categorical_crossentropy] labels must be [N], got [N, 10]. For targets of one "
      "number "
      "per class use categorical_crossentropy.",
      [&] {
        apply("sparse_categorical_crossentropy", {logits, x_of({kUnknown, 10})});
      });
  expect_error<DTypeError>(
      "[sparse_categorical_crossentropy] labels must be uint8, int32 or int64, got float32. For "
      "targets of one number per class use categorical_crossentropy.",
      [&] {
        apply("sparse_categorical_crossentropy", {logits, x_of({kUnknown})});
      });
  expect_error<ShapeError>(
      "[categorical_crossentropy] targets must be [N, 10], got [N]. For integer labels use "
      "sparse_categorical_crossentropy.",
      [&] {
        apply("categorical_crossentropy", {logits, x_of({kUnknown}, DType::kU8)});
      });
  expect_error<ShapeError>("[mean_squared_error] targets must be [N, 10], got [N, 9].", [&] {
    apply("mean_squared_error", {logits, x_of({kUnknown, 9})});
  });
  expect_error<ShapeError>(
      "[binary_crossentropy] label_smoothing must be from 0 to 1, got 2.0.", [&] {
        apply("binary_crossentropy", {logits, logits}, LossOptions{.label_smoothing = 2});
      });
  expect_error<ShapeError>("[top_k_correct] k must be >= 1, got 0.", [&] {
    apply("top_k_correct", {logits, x_of({kUnknown}, DType::kI64)}, TopKOptions{0});
  });
}

TEST(Gradient, MissingOnesAreNamed) {
  const Value x = x_of({2, 3});
  const Value y = apply("softmax", {x});
  const Value dx = gradient(y, {x})[0];
  ASSERT_TRUE(dx);
  expect_error<Error>("the operation 'softmax_backward' has no gradient.",
                      [&] { gradient(dx, {x}); });
  std::vector<Value> inputs = norm_inputs({2, 3}, 3);
  expect_error<Error>("the operation 'batch_norm' has no gradient.",
                      [&] { gradient(striate::apply("batch_norm", inputs), {inputs[0]}); });
  const auto loss = apply_all("mean_squared_error", {x, x_of({2, 3})}, LossOptions{});
  const Value dloss = gradient(loss[0], {x})[0];
  EXPECT_EQ(dloss, loss[1]);  // not even multiplied by 1
  expect_error<Error>("the output 'dy' of 'mean_squared_error' has no gradient.",
                      [&] { gradient(dloss, {x}); });
  EXPECT_FALSE(gradient(y, {x_of({2, 3})})[0]);
}

TEST(Gradient, OfUnknownSizesAgreesInShape) {
  const Value x = x_of({kUnknown, kUnknown, 4, 3}), b = x_of({3});
  const Value sum = apply("reduce_mean", {apply("add", {x, b})}, ReduceOptions{{1, 2}, false});
  const Value flat = apply("reshape", {sum}, ReshapeOptions{{kUnknown, 3}});
  const auto d = gradient(apply("square", {flat}), {x, b});
  EXPECT_EQ(d[0].shape(), x.shape());
  EXPECT_EQ(d[1].shape(), b.shape());
}

TEST(Operations, AreDescribedAndHaveAReference) {
  for (const std::string& name : operation_names()) {
    SCOPED_TRACE(name);
    const Operation& op = operation(name);
    EXPECT_FALSE(op.doc.empty());
    EXPECT_NE(op.doc.find('\n'), std::string::npos) << "the shape line is missing";
    EXPECT_FALSE(op.inputs.empty());
    EXPECT_FALSE(op.outputs.empty());
    EXPECT_TRUE(op.infer);
    EXPECT_TRUE(op.options.make());
    for (const Field& field : op.options.fields) EXPECT_FALSE(field.doc.empty()) << field.name;
    const auto entries = kernels::entries(name, DeviceType::kCpu);
    const bool has_reference = !entries.empty() && entries.back()->name == "reference";
    const bool lowered_away = name == "batch_norm" || name == "identity" ||
                              name == "reshape_like" || name == "reduce_mean_backward" ||
                              name == "gradient";
    EXPECT_NE(has_reference, lowered_away);
  }
  for (const char* name :
       {"conv2d", "max_pool2d", "batch_norm", "dropout", "relu", "add", "matmul"})
    EXPECT_TRUE(operation(name).is_public) << name;
  for (const char* name : {"batch_norm_training", "relu_backward", "adam", "reorder"})
    EXPECT_FALSE(operation(name).is_public) << name;
  for (const std::string& name : kernels::operations_with_entries()) {
    if (kernels::entries(name, DeviceType::kCpu).empty())
      continue;  // a device's plans have their own
    EXPECT_NO_THROW(operation(name));
  }
}

}  // namespace
}  // namespace striate
