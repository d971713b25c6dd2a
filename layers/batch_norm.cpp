// Batch normalisation in the graph: one operation for the user, two for programs.
//
// `batch_norm` becomes `batch_norm_training` in a training program, where it also assigns the
// moving statistics, and `batch_norm_inference` elsewhere and where the statistics are frozen.
// Gradients are those of the two; the moving statistics count as constants.
#include <striate/kernels/batch_norm.h>
#include <striate/kernels/unary.h>
#include <striate/layers/graph/rules.h>
#include <striate/layers/graph/variable.h>

namespace striate {
namespace {

Schema schema() {
  return Describe<BatchNormOptions>("batch_norm", "")
      .field("epsilon", &BatchNormOptions::epsilon, "Added to the variance, against division by 0.",
             not_negative())
      .field("momentum", &BatchNormOptions::momentum,
             "Share of the old moving statistics that a training step keeps.", between(0, 1))
      .field("activation", &BatchNormOptions::activation, "none or relu, applied last.");
}

const std::vector<std::string> kInputs = {"x",           "gamma",           "beta",
                                          "moving_mean", "moving_variance", "[residual]"};

/// Check x, then the inputs [1, 5) as [C] by name; they are float32 where x has 16 bits.
void check(const Signature& s, const std::vector<std::string>& names) {
  const auto& options = s.get<BatchNormOptions>();
  if (!(options.epsilon > 0)) throw ShapeError("epsilon must be > 0", Json(options.epsilon).dump());
  if (!(options.momentum >= 0 && options.momentum <= 1))
    throw ShapeError("momentum must be from 0 to 1", Json(options.momentum).dump());
  if (options.activation != Activation::kNone && options.activation != Activation::kRelu)
    throw ShapeError("batch normalisation takes the activations none and relu",
                     name_of(options.activation));
  const Shape& x = s.shape(0);
  if (x.rank() < 2)
    throw ShapeError("batch normalisation needs at least two dimensions", x.to_string());
  std::vector<std::string> images = names, of_channels = names;
  for (size_t i = 0; i < names.size(); ++i)
    (i == 0 || i > 4 || names[i] == "dy" ? of_channels : images)[i].clear();
  if (size_of(s.dtype(0)) == 2) {
    need_floats(s, images);
    need_floats(s, of_channels);
  } else {
    need_floats(s, names);
  }
  for (size_t i = 1; i < 5; ++i)
    if (names[i] != "dy") need_shape(names[i] + " must be", s.shape(i), {x[-1]});
}

void check_forward(const Signature& s) {
  check(s, {"x", "gamma", "beta", "moving_mean", "moving_variance", "residual"});
  if (s.has(5)) need_shape("residual must have the shape of x,", s.shape(5), s.shape(0));
}

std::vector<Type> infer_one(const Signature& s) {
  check_forward(s);
  return {checked_type(s.shape(0), s.dtype(0))};
}

/// Make the rule of a backward operation; its inputs in order.
auto backward_rule(std::vector<std::string> names) {
  return [names](const Signature& s) -> std::vector<Type> {
    check(s, names);
    need_shape("dy must have the shape of x,", s.shape(4), s.shape(0));
    const Type of_channels = {Shape({s.shape(0)[-1]}), s.dtype(1)};
    return {checked_type(s.shape(0), s.dtype(0)), of_channels, of_channels};
  };
}

BatchNormOptions without_activation(const Node& node) {
  BatchNormOptions options = node.get<BatchNormOptions>();
  options.activation = Activation::kNone;
  return options;
}

Value before_relu(const Node& node, const Value& dy) {
  return before_activation(node.get<BatchNormOptions>().activation, 0, dy, node.output());
}

bool has_residual(const Node& node) { return node.inputs.size() > 5 && node.inputs[5]; }

/// Return the gradients of all inputs from {dx, dgamma, dbeta}.
std::vector<Value> gradients(const Node& node, const std::vector<Value>& backward,
                             const Value& dy) {
  return {backward[0], backward[1], backward[2], {}, {}, has_residual(node) ? dy : Value{}};
}

std::vector<Value> lower(const Node& node, const std::vector<Value>& inputs, Lowering& lowering) {
  const auto& options = node.get<BatchNormOptions>();
  // The symbolic inputs name the variables; `inputs` are their values at this place of the step.
  const auto &mean = node.inputs[3].node->variable, &variance = node.inputs[4].node->variable;
  if (!lowering.training() || !mean || !variance || mean->frozen)
    return apply_all("batch_norm_inference", inputs, options);
  const auto outputs = apply_all("batch_norm_training", inputs, options);
  lowering.assign(mean, outputs[3]);
  lowering.assign(variance, outputs[4]);
  return {outputs[0]};
}

const RegisterOperation batch_norm({
    .name = "batch_norm",
    .doc =
        "Normalise each channel (Ioffe and Szegedy 2015): by the batch's mean and variance in a\n"
        "training program, which updates moving_mean and moving_variance, else by these.\n"
        "y = act((x - mean) / sqrt(variance + epsilon) * gamma + beta + residual)\n"
        "x: [..., C], all else but residual: [C] -> y: [..., C]",
    .inputs = kInputs,
    .options = schema(),
    .infer = infer_one,
    .lower = lower,
});

const RegisterOperation training({
    .name = "batch_norm_training",
    .doc =
        "Normalise by the batch's mean and biased variance; return them and the new moving ones.\n"
        "x: [..., C], all else but residual: [C] -> y: [..., C], four of [C]",
    .inputs = kInputs,
    .outputs = {"y", "mean", "inv_std", "new_moving_mean", "new_moving_variance"},
    .options = schema(),
    .infer = [](const Signature& s) -> std::vector<Type> {
      check_forward(s);
      const Type of_channels = {Shape({s.shape(0)[-1]}), s.dtype(1)};
      return {checked_type(s.shape(0), s.dtype(0)), of_channels, of_channels, of_channels,
              of_channels};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      need_no_gradient(node, dys, 1);
      const Value dy = before_relu(node, dys[0]);
      return gradients(
          node,
          apply_all("batch_norm_training_backward",
                    {node.inputs[0], node.inputs[1], node.output(1), node.output(2), dy},
                    without_activation(node)),
          dy);
    },
    .is_public = false,
});

const RegisterOperation training_backward({
    .name = "batch_norm_training_backward",
    .doc = "Return the gradients of batch_norm_training with respect to x, gamma and beta.\n"
           "x, dy: [..., C], gamma, mean, inv_std: [C] -> dx: [..., C], dgamma, dbeta: [C]",
    .inputs = {"x", "gamma", "mean", "inv_std", "dy"},
    .outputs = {"dx", "dgamma", "dbeta"},
    .options = schema(),
    .infer = backward_rule({"x", "gamma", "mean", "inv_std", "dy"}),
    .is_public = false,
});

const RegisterOperation inference({
    .name = "batch_norm_inference",
    .doc = "Normalise by the moving mean and variance.\n"
           "x: [..., C], all else but residual: [C] -> y: [..., C]",
    .inputs = kInputs,
    .options = schema(),
    .infer = infer_one,
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      const Value dy = before_relu(node, dys[0]);
      return gradients(
          node,
          apply_all("batch_norm_inference_backward",
                    {node.inputs[0], node.inputs[1], node.inputs[3], node.inputs[4], dy},
                    without_activation(node)),
          dy);
    },
    .is_public = false,
});

const RegisterOperation inference_backward({
    .name = "batch_norm_inference_backward",
    .doc = "Return the gradients of batch_norm_inference with respect to x, gamma and beta.\n"
           "dx = dy gamma s, dgamma = sum dy (x - mean) s, dbeta = sum dy, s = 1 / sqrt(variance + "
           "epsilon)\n"
           "x, dy: [..., C], all else: [C] -> dx: [..., C], dgamma, dbeta: [C]",
    .inputs = {"x", "gamma", "moving_mean", "moving_variance", "dy"},
    .outputs = {"dx", "dgamma", "dbeta"},
    .options = schema(),
    .infer = backward_rule({"x", "gamma", "moving_mean", "moving_variance", "dy"}),
    .gradient = [](const Node& node, const std::vector<Value>& dd) -> std::vector<Value> {
      const BatchNormOptions options = without_activation(node);
      const Value &x = node.inputs[0], &gamma = node.inputs[1], &mean = node.inputs[2],
                  &variance = node.inputs[3], &dy = node.inputs[4];
      const Value scale =
          apply("rsqrt", {apply("shift", {variance}, UnaryOptions{options.epsilon})});
      Value of_x, of_gamma, of_dy;
      if (dd[0]) {
        of_dy = apply("multiply", {dd[0], apply("multiply", {gamma, scale})});
        of_gamma =
            apply("multiply", {apply("sum_to", {apply("multiply", {dd[0], dy}), gamma}), scale});
      }
      if (dd[1]) of_x = apply("multiply", {dy, apply("multiply", {dd[1], scale})});
      if (dd[1] || dd[2]) {
        // What reaches dy through dgamma and dbeta is a normalisation with them for gamma and beta.
        const Value zeros = apply("scale", {gamma}, UnaryOptions{0});
        const Value sum =
            apply("batch_norm_inference",
                  {x, dd[1] ? dd[1] : zeros, dd[2] ? dd[2] : zeros, mean, variance}, options);
        of_dy = of_dy ? apply("add", {of_dy, sum}) : sum;
      }
      return {of_x, of_gamma, {}, {}, of_dy};
    },
    .is_public = false,
});

}  // namespace
}  // namespace striate
