// Optimizer steps in the graph: one operation for all weights. Made by Optimizer::emit alone.
#include <striate/core/step.h>
#include <striate/kernels/optimizer.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

/// Check `sets` groups of `tensors` values that agree in shape and type; return the types of all
/// groups but the second, the gradients.
std::vector<Type> updated(const Signature& s, int tensors, int sets) {
  const auto n = static_cast<size_t>(tensors);
  if (tensors < 1 || s.inputs.size() != 2 + n * static_cast<size_t>(sets))
    throw ShapeError("an optimizer step takes " + std::to_string(sets) + " values per weight",
                     std::to_string(s.inputs.size() - std::min<size_t>(s.inputs.size(), 2)) +
                         " for " + std::to_string(tensors) + " weights");
  need_shape("step_block must be", s.shape(0), {int64_t{sizeof(StepBlock)}});
  if (s.has(1)) need_shape("clip_scale must be", s.shape(1), {1});
  std::vector<Type> types;
  for (size_t i = 0; i < n * static_cast<size_t>(sets); ++i) {
    const Type &weight = *s.inputs[2 + i % n], &value = *s.inputs[2 + i];
    need_shape("each value of a weight must be", value.shape, weight.shape);
    if (value.dtype != weight.dtype || weight.dtype != DType::kF32)
      throw DTypeError("optimizers update float32 weights", name_of(value.dtype));
    if (i / n != 1) types.push_back(value);
  }
  return types;
}

/// Check step_block, x [K, M], dy [K, N] and `values` values of one weight [M, N]; return the types
/// of the latter.
std::vector<Type> updated_dense(const Signature& s, int tensors, int values) {
  const auto count = static_cast<size_t>(values);
  if (tensors != 1 || s.inputs.size() != 3 + count)
    throw ShapeError(
        "a dense update takes one weight and its " + std::to_string(values) + " values",
        std::to_string(s.inputs.size()) + " inputs");
  need_shape("step_block must be", s.shape(0), {int64_t{sizeof(StepBlock)}});
  need_rank(s.shape(1), 2, "x is [K, M]");
  need_rank(s.shape(2), 2, "dy is [K, N]");
  need_shape("dy must be", s.shape(2), {s.shape(1)[0], s.shape(2)[1]});
  std::vector<Type> types;
  for (size_t i = 3; i < s.inputs.size(); ++i) {
    need_shape("each value of a weight must be", s.shape(i), {s.shape(1)[1], s.shape(2)[1]});
    if (s.dtype(i) != DType::kF32 || s.dtype(1) != DType::kF32 || s.dtype(2) != DType::kF32)
      throw DTypeError("optimizers update float32 weights", name_of(s.dtype(i)));
    types.push_back(*s.inputs[i]);
  }
  return types;
}

Schema sgd_options(const char* name) {
  return Describe<SgdOptions>(name, "")
      .required("tensors", &SgdOptions::tensors, "Weights in this call.")
      .field("index", &SgdOptions::index, "Place of the learning rate.")
      .field("momentum", &SgdOptions::momentum, "Part of the last step kept.")
      .field("nesterov", &SgdOptions::nesterov, "Look ahead by the momentum.")
      .field("weight_decay", &SgdOptions::weight_decay, "Decoupled decay.");
}

Schema adam_options(const char* name) {
  return Describe<AdamOptions>(name, "")
      .required("tensors", &AdamOptions::tensors, "Weights in this call.")
      .field("index", &AdamOptions::index, "Place of the learning rate.")
      .field("beta_1", &AdamOptions::beta_1, "Decay of the mean.")
      .field("beta_2", &AdamOptions::beta_2, "Decay of the mean of squares.")
      .field("epsilon", &AdamOptions::epsilon, "Keeps the division finite.")
      .field("weight_decay", &AdamOptions::weight_decay, "Decoupled decay.");
}

const RegisterOperation sgd({
    .name = "sgd",
    .doc = "Step against the gradient, with momentum (Polyak 1964).\n"
           "v = momentum v - lr g, w += v\n"
           "step_block, [clip_scale], w..., g..., v... -> w..., v...",
    .inputs = {"step_block", "[clip_scale]", "tensors..."},
    .outputs = {"tensors..."},
    .options = sgd_options("sgd"),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const auto& options = s.get<SgdOptions>();
      return updated(s, options.tensors, options.momentum > 0 ? 3 : 2);
    },
    .is_public = false,
});

const RegisterOperation adam({
    .name = "adam",
    .doc = "Step by the ratio of the gradients' moments (Kingma and Ba 2015).\n"
           "step_block, [clip_scale], w..., g..., m..., v... -> w..., m..., v...",
    .inputs = {"step_block", "[clip_scale]", "tensors..."},
    .outputs = {"tensors..."},
    .options = adam_options("adam"),
    .infer = [](const Signature& s) -> std::vector<Type> {
      return updated(s, s.get<AdamOptions>().tensors, 4);
    },
    .is_public = false,
});

const RegisterOperation dense_sgd({
    .name = "dense_sgd",
    .doc = "Step a dense layer's weights by their gradient x^T dy, as sgd does.\n"
           "step_block, x: [K, M], dy: [K, N], w: [M, N], [v] -> w, [v]",
    .inputs = {"step_block", "x", "dy", "tensors..."},
    .outputs = {"tensors..."},
    .options = sgd_options("dense_sgd"),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const auto& options = s.get<SgdOptions>();
      return updated_dense(s, options.tensors, options.momentum > 0 ? 2 : 1);
    },
    .is_public = false,
});

const RegisterOperation dense_adam({
    .name = "dense_adam",
    .doc = "Step a dense layer's weights by their gradient x^T dy, as adam does.\n"
           "step_block, x: [K, M], dy: [K, N], w: [M, N], m, v -> w, m, v",
    .inputs = {"step_block", "x", "dy", "tensors..."},
    .outputs = {"tensors..."},
    .options = adam_options("dense_adam"),
    .infer = [](const Signature& s) -> std::vector<Type> {
      return updated_dense(s, s.get<AdamOptions>().tensors, 3);
    },
    .is_public = false,
});

const RegisterOperation squared_norm({
    .name = "squared_norm",
    .doc = "Sum the squares of all elements of all values, in a fixed order.\ng... -> [1]",
    .inputs = {"g..."},
    .infer = [](const Signature& s) -> std::vector<Type> {
      need_floats(s, std::vector<std::string>(s.inputs.size(), "g"));
      return {{Shape{1}, DType::kF32}};
    },
    .is_public = false,
});

const RegisterOperation clip_scale({
    .name = "clip_scale",
    .doc = "Return the factor that limits the norm of all gradients (Pascanu et al. 2013).\n"
           "y = min(1, norm / sqrt(squared_norm))\n"
           "squared_norm: [1] -> y: [1]",
    .inputs = {"squared_norm"},
    .options = Describe<ClipOptions>("clip_scale", "")
                   .required("norm", &ClipOptions::norm, "The largest norm."),
    .infer = [](const Signature& s) -> std::vector<Type> {
      need_shape("squared_norm must be", s.shape(0), {1});
      return {*s.inputs[0]};
    },
    .is_public = false,
});

}  // namespace
}  // namespace striate
