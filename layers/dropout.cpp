// Dropout in the graph: a mask in training programs, nothing elsewhere.
#include <striate/core/step.h>
#include <striate/kernels/dropout.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

Schema schema() {
  return Describe<DropoutOptions>("dropout", "")
      .required("rate", &DropoutOptions::rate, "Probability that an element is dropped, in [0, 1).",
                in_unit_interval());
}

std::vector<Type> infer(const Signature& s) {
  const double rate = s.get<DropoutOptions>().rate;
  if (!(rate >= 0 && rate < 1)) throw ShapeError("rate must be in [0, 1)", Json(rate).dump());
  if (s.shape(0).rank() < 1) throw ShapeError("dropout needs a batch axis", s.shape(0).to_string());
  need_floats(s, {"x"});
  if (s.has(1)) need_shape("step_block must be", s.shape(1), {int64_t{sizeof(StepBlock)}});
  return {checked_type(s.shape(0), s.dtype(0))};
}

/// Return the mask of `node` times dy: the mask is drawn again, from the same layer's path.
std::vector<Value> masked(const Node& node, const std::vector<Value>& dys) {
  if (node.inputs.size() < 2 || !node.inputs[1])
    throw Error("the gradient of dropout exists only in a training program");
  return {apply("dropout_backward", {dys[0], node.inputs[1]}, node.get<DropoutOptions>()), {}};
}

const RegisterOperation dropout({
    .name = "dropout",
    .doc =
        "Drop elements at random in a training program (Srivastava et al. 2014), else return x.\n"
        "y = x / (1 - rate) where kept, 0 elsewhere\n"
        "x: [N, ...] -> y: [N, ...]; step_block is filled in by the program",
    .inputs = {"x", "[step_block]"},
    .options = schema(),
    .infer = infer,
    .gradient = masked,
    .lower = [](const Node& node, const std::vector<Value>& inputs,
                Lowering& lowering) -> std::vector<Value> {
      const auto& options = node.get<DropoutOptions>();
      if (inputs.size() > 1 && inputs[1]) return emit(*node.operation, node.options, inputs);
      if (!lowering.training() || options.rate == 0) return {inputs[0]};
      return {apply("dropout", {inputs[0], lowering.step_block()}, options)};
    },
});

const RegisterOperation dropout_backward({
    .name = "dropout_backward",
    .doc = "Return the gradient of dropout with respect to x.\n"
           "dy: [N, ...] -> dx: [N, ...]",
    .inputs = {"dy", "step_block"},
    .outputs = {"dx"},
    .options = schema(),
    .infer = infer,
    .gradient = masked,
    .is_public = false,
});

}  // namespace
}  // namespace striate
