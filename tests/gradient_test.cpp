// The gradients that operations emit, against central differences in float64 on the reference.
//
// A case is a function of symbolic values. Its result y is weighted with a dy to a sum L, and the
// gradients of L are compared with (L(x + h) - L(x - h)) / 2h at each element. The second order
// takes the first gradients, dy being one more input, as the function.
#include <gtest/gtest.h>
#include <striate/core/parallel.h>
#include <striate/core/random.h>
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
#include <striate/layers/graph/program.h>
#include <striate/layers/graph/rules.h>
#include <striate/layers/shape_ops.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace striate {
namespace {

using Values = std::vector<Value>;
using Function = std::function<Value(const Values&)>;

/// Forces the reference while it lives, on one thread: the problems are tiny.
struct OnReference {
  std::string rules = kernels::force("*=reference");
  int team = threads();
  OnReference() { set_threads(1); }
  ~OnReference() {
    kernels::force(rules);
    set_threads(team);
  }
};

/// Return distinct numbers in a random order that `seed` fixes, none near 0 and others for each
/// seed below 10: no ties, no kinks. All are positive when `positive`.
Tensor numbers(const Shape& shape, uint64_t seed, bool positive) {
  const int64_t count = shape.elements();
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) {
    const double place =
        (static_cast<double>(i) + 0.1 * static_cast<double>(seed)) / static_cast<double>(count);
    values.push_back(positive || i % 2 ? 0.1 + place : -0.1 - place);
  }
  const RandomStream stream{seed, 7, 0};
  for (int64_t i = count - 1; i > 0; --i)
    std::swap(values[static_cast<size_t>(i)],
              values[stream.words(static_cast<uint64_t>(i), 0)[0] % static_cast<size_t>(i + 1)]);
  return Tensor::from<double>(shape, values);
}

/// Return a value of which only the shape counts.
Value of_shape(const Shape& shape) { return constant_value(Tensor::zeros(shape, DType::kF64)); }

struct Check {
  bool positive = false;       // inputs above 0
  bool unknown_batch = false;  // the first size of the first input is known only to the program
  double tolerance = 1e-7;     // of the largest gradient
};

/// Compare the gradients of sum(f(x) * dy) with respect to every x, and dy, with differences.
void check(const std::vector<Shape>& shapes, const Function& f, Check options = {}) {
  const OnReference forced;
  Values inputs;
  std::vector<Tensor> tensors;
  for (const Shape& shape : shapes) {
    Shape symbolic = shape;
    if (options.unknown_batch && inputs.empty()) symbolic[0] = kUnknown;
    inputs.push_back(input_value({symbolic, DType::kF64}));
    tensors.push_back(numbers(shape, inputs.size(), options.positive));
  }
  const Value y = f(inputs);
  Value sum = y;
  if (y.shape().rank() > 0) {
    const Tensor probe = Program(inputs,
                                 [&] {
                                   std::vector<Type> types;
                                   for (const Tensor& t : tensors)
                                     types.push_back({t.shape(), t.dtype()});
                                   return types;
                                 }(),
                                 {y}, {}, {})
                             .run(tensors)[0];
    inputs.push_back(input_value({y.shape(), DType::kF64}, "dy"));
    tensors.push_back(numbers(probe.shape(), 9, false));
    sum = apply("reduce_sum", {apply("multiply", {y, inputs.back()})});
  }
  Values outputs = {sum};
  std::vector<int> place;  // of each gradient among the outputs; -1: there is none
  for (const Value& d : gradient(sum, inputs)) {
    place.push_back(d ? static_cast<int>(outputs.size()) : -1);
    if (d) outputs.push_back(d);
  }
  std::vector<Type> types;
  for (const Tensor& t : tensors) types.push_back({t.shape(), t.dtype()});
  Program both(inputs, types, outputs, {}, {});
  Program forward(inputs, types, {sum}, {}, {});
  const auto results = both.run(tensors);
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::vector<double> expected(static_cast<size_t>(tensors[i].elements()), 0.0);
    if (place[i] >= 0) {
      ASSERT_EQ(results[static_cast<size_t>(place[i])].shape(), tensors[i].shape());
      expected = results[static_cast<size_t>(place[i])].to_vector<double>();
    }
    double largest = 1e-3;
    for (double v : expected) largest = std::max(largest, std::abs(v));
    auto* x = tensors[i].data_as<double>();
    const size_t stride = std::max<size_t>(1, expected.size() / 24);
    for (size_t e = 0; e < expected.size(); e += stride) {
      const double at = x[e];
      double best = std::numeric_limits<double>::infinity(), slope = 0;
      for (double h : {1e-3, 1e-4, 1e-5}) {
        x[e] = at + h;
        const double above = forward.run(tensors)[0].item();
        x[e] = at - h;
        const double difference = (above - forward.run(tensors)[0].item()) / (2 * h);
        x[e] = at;
        if (std::abs(difference - expected[e]) < best) {
          best = std::abs(difference - expected[e]);
          slope = difference;
        }
      }
      EXPECT_LE(best, options.tolerance * largest)
          << "input " << i << " element " << e << ": gradient " << expected[e] << ", difference "
          << slope;
    }
  }
}

/// Check the gradients of f, then those of its gradients with respect to x and dy.
void check_twice(const std::vector<Shape>& shapes, const Shape& y, const Function& f,
                 Check options = {}) {
  check(shapes, f, options);
  std::vector<Shape> with_dy = shapes;
  with_dy.push_back(y);
  for (size_t i = 0; i < shapes.size(); ++i) {
    SCOPED_TRACE("second order, gradient of input " + std::to_string(i));
    const Function first = [&, i](const Values& v) {
      const Values x(v.begin(), v.end() - 1);
      const Value result = f(x);
      EXPECT_EQ(result.shape().rank(), y.rank());
      return gradient(apply("reduce_sum", {apply("multiply", {result, v.back()})}), {x[i]})[0];
    };
    check(with_dy, first, options);
  }
}

Function operation_of(const std::string& name) {
  return [name](const Values& v) { return apply(name, v); };
}
template <class Options>
Function operation_of(const std::string& name, Options options) {
  return [name, options](const Values& v) { return apply(name, v, options); };
}

/// Return one number that all outputs of an operation take part in.
Value sum_of_squares(const Values& outputs) {
  Value sum = number(0, DType::kF64);
  for (const Value& y : outputs)
    sum = apply("add", {sum, apply("reduce_sum", {apply("square", {y})})});
  return sum;
}

const Activation kActivations[] = {Activation::kNone,      Activation::kRelu,    Activation::kRelu6,
                                   Activation::kLeakyRelu, Activation::kSigmoid, Activation::kTanh};

TEST(Gradients, Conv2d) {
  check_twice({{2, 4, 5, 2}, {3, 3, 2, 2}}, {2, 2, 4, 3}, operation_of("conv2d"));
  check_twice({{1, 5, 6, 4}, {4, 3, 3, 2}, {4}}, {1, 3, 3, 4},
              operation_of("conv2d", Conv2dOptions{.strides = 2, .padding = "same", .groups = 2}));
  check_twice(
      {{1, 5, 5, 2}, {2, 2, 2, 1}, {2}, {1, 6, 4, 2}}, {1, 6, 4, 2},
      operation_of("conv2d",
                   Conv2dOptions{.padding = {2, 1, 1, 0}, .dilation_rate = 2, .groups = 2}));
  check({{2, 4, 4, 2}, {2, 3, 3, 2}, {2}}, operation_of("conv2d"), {.unknown_batch = true});
}

TEST(Gradients, Conv2dWithActivation) {
  for (Activation activation : kActivations) {
    SCOPED_TRACE(name_of(activation));
    check_twice({{1, 4, 4, 1}, {2, 3, 3, 1}, {2}}, {1, 2, 2, 2},
                operation_of("conv2d", Conv2dOptions{.activation = activation}));
  }
}

TEST(Gradients, Conv2dBackward) {
  const Conv2dOptions options{.strides = 2, .padding = 1, .bias = true};
  check({{1, 3, 3, 2}, {2, 3, 3, 2}}, [&](const Values& v) {
    return apply("conv2d_backward_input", {v[0], v[1], of_shape({1, 5, 5, 2})}, options);
  });
  for (int output = 0; output < 2; ++output)
    check({{1, 5, 5, 2}, {1, 3, 3, 2}}, [&](const Values& v) {
      return apply_all("conv2d_backward_weight", {v[0], v[1], of_shape({2, 3, 3, 2})},
                       options)[static_cast<size_t>(output)];
    });
  check({{1, 5, 5, 2}, {1, 3, 3, 2}}, [&](const Values& v) {
    return sum_of_squares(
        apply_all("conv2d_backward_weight", {v[0], v[1], of_shape({2, 3, 3, 2})}, options));
  });
}

TEST(Gradients, Pooling) {
  const Pool2dOptions apart, overlapping{.pool_size = 3, .strides = 2, .padding = "same"};
  Pool2dOptions counted = overlapping;
  counted.count_padding = true;
  for (const char* name : {"max_pool2d", "avg_pool2d"}) {
    SCOPED_TRACE(name);
    check_twice({{2, 4, 5, 2}}, {2, 2, 2, 2}, operation_of(name, apart));
    check_twice({{1, 5, 6, 2}}, {1, 3, 3, 2}, operation_of(name, overlapping));
    check({{2, 5, 6, 2}}, operation_of(name, overlapping), {.unknown_batch = true});
  }
  check_twice({{1, 5, 6, 2}}, {1, 3, 3, 2}, operation_of("avg_pool2d", counted));
  check_twice({{2, 3, 4, 3}}, {2, 3}, operation_of("global_avg_pool2d"));
}

TEST(Gradients, Pad2d) {
  for (const char* mode : {"constant", "reflect", "edge"})
    check_twice({{1, 4, 3, 2}}, {1, 8, 4, 2},
                operation_of("pad2d", Pad2dOptions{{1, 3, 0, 1}, mode, 5}));
}

TEST(Gradients, BatchNorm) {
  for (Activation activation : {Activation::kNone, Activation::kRelu}) {
    const BatchNormOptions options{.epsilon = 0.01, .activation = activation};
    const Shape c = {3}, x = {4, 2, 2, 3};
    check({x, c, c, x},
          [&](const Values& v) {
            const Value statistics = apply("square", {v[1]});  // any values: they are not used
            return apply("batch_norm_training", {v[0], v[1], v[2], statistics, statistics, v[3]},
                         options);
          },
          {.tolerance = 1e-6});
    const Tensor mean = numbers(c, 5, false), variance = numbers(c, 6, true);
    check_twice({x, c, c, x}, x, [&](const Values& v) {
      return apply("batch_norm_inference",
                   {v[0], v[1], v[2], constant_value(mean), constant_value(variance), v[3]},
                   options);
    });
  }
  const Tensor mean = numbers({3}, 5, false), variance = numbers({3}, 6, true);
  check({{4, 3}, {3}, {4, 3}}, [&](const Values& v) {
    return sum_of_squares(apply_all(
        "batch_norm_inference_backward",
        {v[0], v[1], constant_value(mean), constant_value(variance), v[2]}, BatchNormOptions{}));
  });
}

TEST(Gradients, Dropout) {
  StepBlock block;
  block.seed = 5;
  std::vector<uint8_t> bytes(sizeof(block));
  std::memcpy(bytes.data(), &block, sizeof(block));
  const Tensor step = Tensor::from<uint8_t>({static_cast<int64_t>(bytes.size())}, bytes);
  check_twice({{3, 7}}, {3, 7}, [&](const Values& v) {
    return apply("dropout", {v[0], constant_value(step)}, DropoutOptions{0.4});
  });
}

TEST(Gradients, UnaryFunctions) {
  for (const std::string& name : kernels::unary_operations()) {
    SCOPED_TRACE(name);
    const bool needs_positive = name == "log" || name == "sqrt" || name == "rsqrt";
    const Check options{.positive = needs_positive, .tolerance = 1e-6};
    if (name == "sign")
      check({{2, 5}}, operation_of(name), options);  // 0 everywhere
    else
      check_twice({{2, 5}}, {2, 5}, operation_of(name, UnaryOptions{0.7}), options);
  }
}

TEST(Gradients, BinaryFunctions) {
  for (const char* name :
       {"add", "subtract", "multiply", "divide", "maximum", "minimum", "power"}) {
    SCOPED_TRACE(name);
    const Check options{.positive = std::string(name) == "power", .tolerance = 1e-6};
    check_twice({{2, 3}, {2, 3}}, {2, 3}, operation_of(name), options);
    check_twice({{2, 1, 3}, {4, 1}}, {2, 4, 3}, operation_of(name), options);
    check_twice({{3}, {}}, {3}, operation_of(name), options);
    const Check unknown{.positive = true, .unknown_batch = true, .tolerance = 1e-6};
    check({{4, 3}, {3}}, operation_of(name), unknown);
  }
}

TEST(Gradients, Where) {
  const Tensor condition = Tensor::from<uint8_t>({2, 1}, {1, 0});
  check_twice({{3}, {2, 3}}, {2, 3}, [&](const Values& v) {
    return apply("where", {constant_value(condition), v[0], v[1]});
  });
  // A comparison on the way passes no gradient and is no error.
  check({{5}, {5}}, [](const Values& v) {
    return apply("where", {apply("greater", {v[0], v[1]}), v[0], apply("square", {v[1]})});
  });
}

TEST(Gradients, Cast) {
  const OnReference forced;
  const Value x = input_value({{3}, DType::kF64});
  const Value narrow = apply("cast", {x}, CastOptions{DType::kF32});
  const Value y = apply("cast", {apply("rescale", {narrow}, RescaleOptions{0.25, 1})},
                        CastOptions{DType::kF64});
  Program program({x}, {{{3}, DType::kF64}}, {y, gradient(y, {x})[0]}, {}, {});
  const auto results = program.run({Tensor::from<double>({3}, {1, -2, 4})});
  EXPECT_EQ(results[0].to_vector<double>(), std::vector<double>({1.25, 0.5, 2}));
  EXPECT_EQ(results[1].to_vector<double>(), std::vector<double>({0.25, 0.25, 0.25}));
  EXPECT_FALSE(gradient(
      apply("cast", {apply("cast", {x}, CastOptions{DType::kI32})}, CastOptions{DType::kF64}),
      {x})[0]);
}

TEST(Gradients, Reductions) {
  const std::vector<std::vector<int>> choices = {{}, {0}, {-1}, {0, 2}, {1, 2}};
  for (const char* name : {"reduce_sum", "reduce_mean"})
    for (const auto& axes : choices)
      for (bool keepdims : {false, true}) {
        SCOPED_TRACE(name);
        const ReduceOptions options{axes, keepdims};
        check({{2, 3, 4}}, operation_of(name, options), {.unknown_batch = true});
        if (!axes.empty()) {
          const Shape y = apply(name, {of_shape({2, 3, 4})}, options).shape();
          check_twice({{2, 3, 4}}, y, operation_of(name, options));
        }
      }
  for (const auto& axes : choices)
    check({{2, 3, 4}}, operation_of("reduce_max", ReduceOptions{axes}));
  const Value small = of_shape({3, 1}), large = of_shape({2, 3, 4});
  check_twice({{2, 3, 4}}, {3, 1}, [&](const Values& v) { return apply("sum_to", {v[0], small}); });
  check_twice({{3, 1}}, {2, 3, 4}, [&](const Values& v) {
    return apply("broadcast_to", {v[0], large});
  });
}

TEST(Gradients, Softmax) {
  check({{2, 3, 4}}, operation_of("softmax"), {.unknown_batch = true});
  check({{2, 3, 4}}, operation_of("log_softmax"));
}

TEST(Gradients, ShapeOperations) {
  check_twice({{2, 3, 1}, {2, 2, 1}}, {2, 5, 1}, operation_of("concat", ConcatOptions{1}));
  check({{2, 3}, {2, 2}}, operation_of("concat", ConcatOptions{-1}), {.unknown_batch = false});
  check_twice({{3, 4}}, {2, 2}, operation_of("slice", SliceOptions{{1, 1}, {-1, 2}}));
  check({{3, 4}}, operation_of("slice", SliceOptions{{0, 1}, {-1, 2}}), {.unknown_batch = true});
  check_twice({{2, 3, 4}}, {6, 4}, operation_of("reshape", ReshapeOptions{{kUnknown, 4}}));
  check({{2, 3, 4}}, operation_of("reshape", ReshapeOptions{{kUnknown, 12}}),
        {.unknown_batch = true});
  check_twice({{2, 3, 4}}, {4, 2, 3}, operation_of("transpose", TransposeOptions{{2, 0, 1}}));
}

TEST(Gradients, Matmul) {
  for (bool a : {false, true})
    for (bool b : {false, true}) {
      const Shape left = a ? Shape{3, 2} : Shape{2, 3}, right = b ? Shape{4, 3} : Shape{3, 4};
      check_twice({left, right, {4}}, {2, 4},
                  operation_of("matmul", MatmulOptions{.transpose_a = a, .transpose_b = b}));
    }
  for (Activation activation : kActivations)
    check_twice({{2, 3}, {3, 4}, {4}}, {2, 4},
                operation_of("matmul", MatmulOptions{.activation = activation}));
}

TEST(Gradients, Losses) {
  const Tensor labels = Tensor::from<int32_t>({3}, {2, 0, 3});
  const Tensor targets =
      Tensor::from<double>({3, 4}, {0.1, 0.2, 0.3, 0.4, 1, 0, 0, 0, 0.25, 0.25, 0.25, 0.25});
  for (double smoothing : {0.0, 0.1})
    for (bool from_logits : {true, false}) {
      const LossOptions options{from_logits, smoothing};
      // Probabilities: positive, and below 1.
      const auto scaled = [&](const Value& x) {
        return from_logits ? x : apply("scale", {x}, UnaryOptions{0.7});
      };
      const Check how{.positive = !from_logits, .tolerance = 1e-6};
      check(
          {{3, 4}},
          [&](const Values& v) {
            return apply("sparse_categorical_crossentropy", {scaled(v[0]), constant_value(labels)},
                         options);
          },
          how);
      for (const char* name : {"categorical_crossentropy", "binary_crossentropy"})
        check(
            {{3, 4}},
            [&](const Values& v) {
              return apply(name, {scaled(v[0]), constant_value(targets)}, options);
            },
            how);
    }
  check({{3, 4}, {3, 4}}, operation_of("mean_squared_error", LossOptions{}));
  // A loss that is part of a sum: its gradient is multiplied by what comes in.
  check({{3, 4}, {3, 4}}, [](const Values& v) {
    return apply("scale", {apply("mean_squared_error", v, LossOptions{})}, UnaryOptions{3});
  });
}

// Programs merge these operations; the gradients are those of the single ones.
TEST(Gradients, ThroughMergedOperations) {
  const Shape x = {2, 4, 4, 2}, c = {3}, y = {2, 2, 2, 3};
  const auto relu = [](const Value& v) { return apply("relu", {v}); };
  const auto add = [](const Value& a, const Value& b) { return apply("add", {a, b}); };
  check_twice({x, {3, 3, 3, 2}, c, y}, y, [&](const Values& v) {
    return relu(add(v[3], apply("conv2d", {v[0], v[1], v[2]})));
  });
  check_twice({x, {3, 3, 3, 2}}, y, [&](const Values& v) {
    return apply("leaky_relu", {apply("conv2d", {v[0], v[1]})}, UnaryOptions{0.2});
  });
  check_twice({{2, 3}, {3, 4}, {4}}, {2, 4}, [&](const Values& v) {
    return apply("tanh", {apply("matmul", {v[0], v[1], v[2]})});
  });
  const Tensor statistics = numbers(c, 6, true);
  for (const char* name : {"batch_norm_inference", "batch_norm_training"}) {
    const Function block = [&](const Values& v) {
      const Value s = constant_value(statistics);
      return relu(add(apply(name, Values{v[0], v[1], v[2], s, s}, BatchNormOptions{}), v[3]));
    };
    check({y, c, c, y}, block, {.tolerance = 1e-6});
  }
}

TEST(Gradients, OfAValueUsedTwiceAdds) {
  check_twice({{2, 3}}, {2, 3}, [](const Values& v) {
    const Value squared = apply("square", {v[0]});
    return apply("add", {apply("multiply", {squared, v[0]}), apply("tanh", {squared})});
  });
}

}  // namespace
}  // namespace striate
