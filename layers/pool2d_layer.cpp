#include <striate/kernels/pool2d.h>
#include <striate/layers/pool2d.h>
#include <striate/layers/shape_ops.h>

namespace striate {
namespace {

template <class T>
Describe<T> with_window(Describe<T> schema) {
  return schema
      .field("pool_size", &T::pool_size, "The window: one number or (height, width).",
             positive_size())
      .field("strides", &T::strides, "Step of the window; None: the pool size.",
             positive_size_if_given())
      .field("padding", &T::padding, "'valid', 'same', or numbers.");
}

const RegisterLayer<MaxPool2D> max_layer(
    with_window(Describe<MaxPool2D>("MaxPool2D",
                                    "The maximum of each window and channel.\n"
                                    "x: [N, H, W, C] -> y: [N, P, Q, C]")));

const RegisterLayer<AveragePool2D> average_layer(
    with_window(Describe<AveragePool2D>("AveragePool2D",
                                        "The mean of each window and channel.\n"
                                        "x: [N, H, W, C] -> y: [N, P, Q, C]"))
        .field("count_padding", &AveragePool2D::count_padding,
               "Divide by the whole window where it reaches into the padding."));

const RegisterLayer<GlobalAveragePool2D> global_layer(
    Describe<GlobalAveragePool2D>("GlobalAveragePool2D",
                                  "The mean of each channel.\nx: [N, H, W, C] -> y: [N, C]")
        .field("keepdims", &GlobalAveragePool2D::keepdims, "Give [N, 1, 1, C]."));

}  // namespace

Value MaxPool2D::call(Weights&, const Value& x) const {
  return apply("max_pool2d", {x}, Pool2dOptions{pool_size, strides, padding, false});
}

Value AveragePool2D::call(Weights&, const Value& x) const {
  return apply("avg_pool2d", {x}, Pool2dOptions{pool_size, strides, padding, count_padding});
}

Value GlobalAveragePool2D::call(Weights&, const Value& x) const {
  const Value y = apply("global_avg_pool2d", {x});
  if (!keepdims) return y;
  return apply("reshape", {y}, ReshapeOptions{{kUnknown, 1, 1, y.shape()[1]}});
}

}  // namespace striate
