// Softmax and its logarithm in the graph.
#include <striate/kernels/softmax.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

std::vector<Type> infer(const Signature& s) {
  if (s.shape(0).rank() < 1)
    throw ShapeError("softmax needs an axis of classes", s.shape(0).to_string());
  need_floats(s, {"x"});
  return {checked_type(s.shape(0), s.dtype(0))};
}

std::vector<Type> infer_backward(const Signature& s) {
  need_floats(s, {"dy", "y"});
  need_shape("dy must have the shape of y,", s.shape(0), s.shape(1));
  return {checked_type(s.shape(1), s.dtype(0))};
}

std::vector<Value> backward(const Node& node, const std::vector<Value>& dys) {
  return {apply(node.operation->name + "_backward", {dys[0], node.output()})};
}

const RegisterOperation softmax({
    .name = "softmax",
    .doc = "Make probabilities of the last axis.\n"
           "y = exp(x - max x) / sum exp(x - max x)\n"
           "x: [..., C] -> y: [..., C]",
    .inputs = {"x"},
    .infer = infer,
    .gradient = backward,
});

const RegisterOperation log_softmax({
    .name = "log_softmax",
    .doc = "Make logarithms of probabilities of the last axis.\n"
           "y = x - max x - log sum exp(x - max x)\n"
           "x: [..., C] -> y: [..., C]",
    .inputs = {"x"},
    .infer = infer,
    .gradient = backward,
});

const RegisterOperation softmax_backward({
    .name = "softmax_backward",
    .doc = "dx = y (dy - sum dy y)\ndy, y: [..., C] -> dx: [..., C]",
    .inputs = {"dy", "y"},
    .outputs = {"dx"},
    .infer = infer_backward,
    .is_public = false,
});

const RegisterOperation log_softmax_backward({
    .name = "log_softmax_backward",
    .doc = "dx = dy - exp(y) sum dy\ndy, y: [..., C] -> dx: [..., C]",
    .inputs = {"dy", "y"},
    .outputs = {"dx"},
    .infer = infer_backward,
    .is_public = false,
});

}  // namespace
}  // namespace striate
