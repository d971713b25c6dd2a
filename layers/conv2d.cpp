// Convolution in the graph: rules and gradients of conv2d and of its two backward operations.
#include <striate/kernels/conv2d.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

Schema schema(bool backward) {
  Describe<Conv2dOptions> schema("conv2d", "");
  schema
      .field("strides", &Conv2dOptions::strides,
             "Step of the window: one number or (height, width).")
      .field("padding", &Conv2dOptions::padding,
             "'valid', 'same', one number, (vertical, horizontal) or (top, bottom, left, right).")
      .field("dilation_rate", &Conv2dOptions::dilation_rate, "Distance of the window's elements.")
      .field("groups", &Conv2dOptions::groups,
             "Parts of the channels that are convolved apart; the number of channels: depthwise.");
  if (backward)
    return schema.field("bias", &Conv2dOptions::bias, "Return the gradient of b as well.");
  return schema
      .field("activation", &Conv2dOptions::activation,
             "none, relu, relu6, leaky_relu, sigmoid or tanh.")
      .field("negative_slope", &Conv2dOptions::negative_slope, "Slope of leaky_relu below 0.");
}

/// Return the shape of y for an image x and filters w.
Shape output_shape(const Shape& x, const Shape& w, const Conv2dOptions& options) {
  need_rank(x, 4, "images are [N, height, width, channels]");
  need_rank(w, 4, "filters are [filters, height, width, channels / groups]");
  if (!w.is_known()) throw ShapeError("the shape of the filters must be known", w.to_string());
  const int64_t groups = options.groups;
  if (groups < 1) throw ShapeError("groups must be >= 1", std::to_string(groups));
  if (w[0] < 1) throw ShapeError("filters must be >= 1", std::to_string(w[0]));
  if (w[3] < 1) throw ShapeError("channels must be >= 1", "filters " + w.to_string());
  if (w[0] % groups)
    throw ShapeError("groups must divide the number of filters",
                     std::to_string(groups) + " groups and " + std::to_string(w[0]) + " filters");
  if (x[3] != kUnknown) {
    if (x[3] % groups)
      throw ShapeError(
          "groups must divide the number of channels",
          std::to_string(groups) + " groups and " + std::to_string(x[3]) + " channels");
    if (w[3] != x[3] / groups)
      throw ShapeError("filters on " + x.to_string() + " with " + std::to_string(groups) +
                           (groups == 1 ? " group" : " groups") + " must have " +
                           std::to_string(x[3] / groups) + " channels",
                       "filters " + w.to_string());
  }
  const Window window =
      resolve_window(x, {w[1], w[2]}, options.strides, options.padding, options.dilation_rate);
  return {x[0], window.out_height, window.out_width, w[0]};
}

std::vector<Type> infer_forward(const Signature& s) {
  const Shape y = output_shape(s.shape(0), s.shape(1), s.get<Conv2dOptions>());
  need_floats_or_halves(s, {"x", "w", "b", "residual"});
  if (s.has(2)) need_shape("b must be", s.shape(2), {y[3]});
  if (s.has(3)) need_shape("residual must have the shape of the result,", s.shape(3), y);
  return {checked_type(y, s.dtype(0))};
}

Conv2dOptions without_activation(const Node& node, bool bias) {
  Conv2dOptions options = node.get<Conv2dOptions>();
  options.activation = Activation::kNone;
  options.bias = bias;
  return options;
}

const RegisterOperation forward({
    .name = "conv2d",
    .doc =
        "Convolve images with filters (cross-correlation), add a bias and a residual.\n"
        "y[n,p,q,k] = act(b[k] + residual[n,p,q,k] + sum w[k,r,s,c] x[n, p stride + r dilation - "
        "top, q stride + s dilation - left, c])\n"
        "x: [N, H, W, C], w: [K, R, S, C / groups], b: [K] -> y: [N, P, Q, K]",
    .inputs = {"x", "w", "[b]", "[residual]"},
    .options = schema(false),
    .infer = infer_forward,
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      const auto has = [&](size_t i) { return i < node.inputs.size() && node.inputs[i]; };
      const auto& options = node.get<Conv2dOptions>();
      const Value &x = node.inputs[0], &w = node.inputs[1];
      const Value dy =
          before_activation(options.activation, options.negative_slope, dys[0], node.output());
      const Value dx = apply("conv2d_backward_input", {dy, w, x}, without_activation(node, false));
      const auto dw =
          apply_all("conv2d_backward_weight", {x, dy, w}, without_activation(node, has(2)));
      return {dx, dw[0], has(2) ? dw[1] : Value{}, has(3) ? dy : Value{}};
    },
});

const RegisterOperation backward_input({
    .name = "conv2d_backward_input",
    .doc = "Return the gradient of conv2d with respect to x; also the transposed convolution.\n"
           "dy: [N, P, Q, K], w: [K, R, S, C / groups], like x: [N, H, W, C] -> dx: [N, H, W, C]",
    .inputs = {"dy", "w", "like x"},
    .outputs = {"dx"},
    .options = schema(true),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const Shape y = output_shape(s.shape(2), s.shape(1), s.get<Conv2dOptions>());
      need_floats_or_halves(s, {"dy", "w"});
      need_shape("dy must be", s.shape(0), y);
      return {checked_type(s.shape(2), s.dtype(0))};
    },
    // Linear in dy and in w.
    .gradient = [](const Node& node, const std::vector<Value>& ddx) -> std::vector<Value> {
      const Conv2dOptions options = without_activation(node, false);
      const Value &dy = node.inputs[0], &w = node.inputs[1];
      return {apply("conv2d", {ddx[0], w}, options),
              apply("conv2d_backward_weight", {ddx[0], dy, w}, options),
              {}};
    },
});

const RegisterOperation backward_weight({
    .name = "conv2d_backward_weight",
    .doc = "Return the gradients of conv2d with respect to w and, with bias=True, to b.\n"
           "x: [N, H, W, C], dy: [N, P, Q, K], like w: [K, R, S, C / groups] -> dw like w, db: [K]",
    .inputs = {"x", "dy", "like w"},
    .outputs = {"dw", "[db]"},
    .options = schema(true),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const auto& options = s.get<Conv2dOptions>();
      const Shape y = output_shape(s.shape(0), s.shape(2), options);
      need_floats_or_halves(s, {"x", "dy"});
      need_shape("dy must be", s.shape(1), y);
      std::vector<Type> types = {checked_type(s.shape(2), s.dtype(0))};
      if (options.bias) types.push_back({Shape({y[3]}), s.dtype(0)});
      return types;
    },
    // Linear in x and in dy; ddb adds to every place of dy, as a bias does.
    .gradient = [](const Node& node, const std::vector<Value>& dd) -> std::vector<Value> {
      const Conv2dOptions options = without_activation(node, false);
      const Value &x = node.inputs[0], &dy = node.inputs[1];
      const Value ddb = dd.size() > 1 ? dd[1] : Value{};
      if (!dd[0]) return {{}, apply("broadcast_to", {ddb, dy}), {}};
      return {
          apply("conv2d_backward_input", {dy, dd[0], x}, options),
          apply("conv2d", ddb ? std::vector<Value>{x, dd[0], ddb} : std::vector<Value>{x, dd[0]},
                options),
          {}};
    },
});

}  // namespace
}  // namespace striate
