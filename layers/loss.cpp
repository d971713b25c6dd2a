// Losses and the count of right answers in the graph.
//
// A loss is a sum over the samples divided by the step's divisor, which a program fills in: the
// rows of the whole batch, however many shards it is cut into. The kernel computes the gradient
// with it.
#include <striate/core/step.h>
#include <striate/kernels/loss.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

Schema schema(bool crossentropy) {
  Describe<LossOptions> schema("loss", "");
  if (crossentropy)
    schema
        .field("from_logits", &LossOptions::from_logits,
               "The first input holds logits; otherwise probabilities.")
        .field("label_smoothing", &LossOptions::label_smoothing,
               "Share of each target that is spread over all classes.", between(0, 1));
  return schema;
}

std::vector<Type> outputs(const Signature& s) {
  const double smoothing = s.get<LossOptions>().label_smoothing;
  if (!(smoothing >= 0 && smoothing <= 1))
    throw ShapeError("label_smoothing must be from 0 to 1", Json(smoothing).dump());
  if (s.has(2)) need_shape("step_block must be", s.shape(2), {int64_t{sizeof(StepBlock)}});
  std::vector<Type> types = {{Shape{}, s.dtype(0)}, checked_type(s.shape(0), s.dtype(0))};
  if (s.get<LossOptions>().top_k > 0) types.push_back({Shape{}, DType::kF32});
  return types;
}

void need_classes(const Shape& logits) {
  if (logits.rank() < 2) throw ShapeError("logits are [N, ..., classes]", logits.to_string());
  if (logits[-1] == 0) throw ShapeError("logits need at least one class", logits.to_string());
}

bool is_integer(DType dtype) {
  return dtype == DType::kU8 || dtype == DType::kI32 || dtype == DType::kI64;
}

/// Check integer labels: one for each row of the logits.
void need_labels(const Signature& s) {
  const Shape &logits = s.shape(0), &labels = s.shape(1);
  const std::string fix = "For targets of one number per class use categorical_crossentropy";
  const bool one_hot = labels.rank() == logits.rank() && labels[-1] != 1;
  const Shape wanted(logits.begin(), logits.end() - 1);
  if (!compatible(labels, wanted))
    throw ShapeError("labels must be " + wanted.to_string(), labels.to_string(),
                     one_hot ? fix : "");
  if (!is_integer(s.dtype(1)))
    throw DTypeError("labels must be uint8, int32 or int64", name_of(s.dtype(1)), fix);
}

std::vector<Type> infer_sparse(const Signature& s) {
  need_classes(s.shape(0));
  need_floats(s, {"logits"});
  need_labels(s);
  return outputs(s);
}

std::vector<Type> infer_dense(const Signature& s) {
  if (s.shape(0).rank() < 1) throw ShapeError("a loss needs a batch axis", s.shape(0).to_string());
  if (!compatible(s.shape(0), s.shape(1)))
    throw ShapeError("targets must be " + s.shape(0).to_string(), s.shape(1).to_string(),
                     s.shape(1).rank() + 1 == s.shape(0).rank()
                         ? "For integer labels use sparse_categorical_crossentropy"
                         : "");
  need_floats(s, {"predictions", "targets"});
  return outputs(s);
}

std::vector<Value> with_step_block(const Node& node, const std::vector<Value>& inputs,
                                   Lowering& lowering) {
  if (inputs.size() > 2 && inputs[2]) return emit(*node.operation, node.options, inputs);
  return emit(*node.operation, node.options, {inputs[0], inputs[1], lowering.step_block()});
}

bool is_one(const Value& value) {
  const Node& node = *value.node;
  return node.operation->name == "constant" && value.shape().rank() == 0 &&
         node.constant.item() == 1;
}

/// The gradient is there already; targets count as constants.
std::vector<Value> of_predictions(const Node& node, const std::vector<Value>& dys) {
  need_no_gradient(node, dys, 1);
  return {is_one(dys[0]) ? node.output(1) : apply("multiply", {node.output(1), dys[0]})};
}

const RegisterOperation sparse_categorical_crossentropy({
    .name = "sparse_categorical_crossentropy",
    .doc = "Softmax cross-entropy with integer labels: the mean of -log softmax(logits)[label].\n"
           "logits: [N, ..., C], labels: [N, ...] -> loss: [], its gradient: [N, ..., C]\n"
           "step_block is filled in by the program",
    .inputs = {"logits", "labels", "[step_block]"},
    .outputs = {"loss", "dlogits", "[share]"},
    .options = schema(true),
    .infer = infer_sparse,
    .gradient = of_predictions,
    .lower = with_step_block,
    .is_loss = true,
});

const RegisterOperation categorical_crossentropy({
    .name = "categorical_crossentropy",
    .doc =
        "Softmax cross-entropy with a number per class: the mean of -sum t log softmax(logits).\n"
        "logits, targets: [N, ..., C] -> loss: [], its gradient: [N, ..., C]; targets count as\n"
        "constants; step_block is filled in by the program",
    .inputs = {"logits", "targets", "[step_block]"},
    .outputs = {"loss", "dlogits"},
    .options = schema(true),
    .infer = [](const Signature& s) -> std::vector<Type> {
      need_classes(s.shape(0));
      return infer_dense(s);
    },
    .gradient = of_predictions,
    .lower = with_step_block,
    .is_loss = true,
});

const RegisterOperation binary_crossentropy({
    .name = "binary_crossentropy",
    .doc =
        "Cross-entropy of two classes: the mean of -t log s(logits) - (1 - t) log(1 - s(logits)).\n"
        "logits, targets: [N, ...] -> loss: [], its gradient: [N, ...]; targets count as\n"
        "constants; step_block is filled in by the program",
    .inputs = {"logits", "targets", "[step_block]"},
    .outputs = {"loss", "dlogits"},
    .options = schema(true),
    .infer = infer_dense,
    .gradient = of_predictions,
    .lower = with_step_block,
    .is_loss = true,
});

const RegisterOperation mean_squared_error({
    .name = "mean_squared_error",
    .doc = "The mean of (y - target)^2.\n"
           "y, targets: [N, ...] -> loss: [], its gradient: [N, ...]\n"
           "step_block is filled in by the program",
    .inputs = {"y", "targets", "[step_block]"},
    .outputs = {"loss", "dy"},
    .options = schema(false),
    .infer = infer_dense,
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      const Value dy = of_predictions(node, dys)[0];
      return {dy, apply("negative", {dy})};
    },
    .lower = with_step_block,
    .is_loss = true,
});

const RegisterOperation top_k_correct({
    .name = "top_k_correct",
    .doc = "Tell for each row whether fewer than k classes have a larger score than the label's.\n"
           "logits: [N, C], labels: [N] -> correct: float32 [N], 1 or 0",
    .inputs = {"logits", "labels"},
    .outputs = {"correct"},
    .options = Describe<TopKOptions>("top_k_correct", "")
                   .field("k", &TopKOptions::k, "Largest scores among which the label may be."),
    .infer = [](const Signature& s) -> std::vector<Type> {
      need_rank(s.shape(0), 2, "logits are [N, classes]");
      need_classes(s.shape(0));
      need_floats(s, {"logits"});
      need_labels(s);
      const int k = s.get<TopKOptions>().k;
      if (k < 1) throw ShapeError("k must be >= 1", std::to_string(k));
      return {{Shape({s.shape(0)[0]}), DType::kF32}};
    },
});

}  // namespace
}  // namespace striate
