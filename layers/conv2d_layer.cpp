#include <striate/kernels/conv2d.h>
#include <striate/layers/activation.h>
#include <striate/layers/conv2d.h>
#include <striate/layers/initializer.h>

namespace striate {
namespace {

template <class T>
Describe<T> with_shared(Describe<T> schema) {
  return schema
      .field("strides", &T::strides, "Step of the window: one number or (height, width).",
             positive_size())
      .field("padding", &T::padding, "'valid', 'same', or numbers.")
      .field("dilation_rate", &T::dilation_rate, "Distance of the window's elements.",
             positive_size())
      .field("activation", &T::activation, "Applied to the result.", is_activation())
      .field("use_bias", &T::use_bias, "Add a trained number per filter.")
      .field("kernel_initializer", &T::kernel_initializer, "First values of the filters.",
             is_initializer())
      .field("bias_initializer", &T::bias_initializer, "First values of the bias.",
             is_initializer());
}

const RegisterLayer<Conv2D> conv2d_layer(
    with_shared(Describe<Conv2D>("Conv2D",
                                 "Convolve images with trained filters (cross-correlation).\n"
                                 "x: [N, H, W, C] -> y: [N, P, Q, filters]")
                    .required("filters", &Conv2D::filters, "Number of output channels.",
                              at_least(1))
                    .required("kernel_size", &Conv2D::kernel_size,
                              "The window: one number or (height, width).", positive_size()))
        .field("groups", &Conv2D::groups, "Parts of the channels that are convolved apart.",
               at_least(1)));

const RegisterLayer<DepthwiseConv2D> depthwise_layer(
    with_shared(Describe<DepthwiseConv2D>("DepthwiseConv2D",
                                          "Convolve each channel with filters of its own.\n"
                                          "x: [N, H, W, C] -> y: [N, P, Q, C * depth_multiplier]")
                    .required("kernel_size", &DepthwiseConv2D::kernel_size,
                              "The window: one number or (height, width).", positive_size()))
        .field("depth_multiplier", &DepthwiseConv2D::depth_multiplier, "Filters per channel.",
               at_least(1)));

void need_image(const Value& x) {
  if (x.shape().rank() != 4 || x.shape()[3] == kUnknown)
    throw ShapeError("the input must be images [N, height, width, channels]", x.shape().to_string(),
                     "Add the missing dimension with Reshape");
}

/// The convolution that both layers are; groups of 0 mean one a channel.
template <class T>
Value convolve(const T& layer, Weights& weights, const Value& x, int64_t filters, int64_t groups) {
  const int64_t channels = x.shape()[3];
  if (channels % groups)
    throw ShapeError("groups must divide the number of channels",
                     std::to_string(groups) + " groups and input " + x.shape().to_string());
  Conv2dOptions options;
  options.strides = layer.strides;
  options.padding = layer.padding;
  options.dilation_rate = layer.dilation_rate;
  options.groups = groups;
  const Shape shape = {filters, layer.kernel_size.height, layer.kernel_size.width,
                       channels / groups};
  const Value kernel = weights.weight("kernel", shape, layer.kernel_initializer);
  Value bias;
  if (layer.use_bias) bias = weights.weight("bias", {filters}, layer.bias_initializer);
  return activate(layer.activation, apply("conv2d", {x, kernel, bias}, options));
}

}  // namespace

Value Conv2D::call(Weights& weights, const Value& x) const {
  need_image(x);
  return convolve(*this, weights, x, filters, groups);
}

Value DepthwiseConv2D::call(Weights& weights, const Value& x) const {
  need_image(x);
  const int64_t channels = x.shape()[3];
  return convolve(*this, weights, x, channels * depth_multiplier, channels);
}

}  // namespace striate
