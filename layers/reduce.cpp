// Sums, means and maxima over axes in the graph, and broadcasting with its gradient.
#include <striate/kernels/reduce.h>
#include <striate/kernels/unary.h>
#include <striate/layers/graph/rules.h>

#include <algorithm>

namespace striate {
namespace {

Schema schema() {
  return Describe<ReduceOptions>("reduce", "")
      .field("axes", &ReduceOptions::axes, "The axes; negative ones from the end; empty: all.")
      .field("keepdims", &ReduceOptions::keepdims, "Keep the reduced axes with size 1.");
}

/// Return which axes are reduced. Throws ShapeError for one that is absent or named twice.
std::vector<bool> reduced(const ReduceOptions& options, int rank) {
  std::vector<bool> axes(static_cast<size_t>(rank), options.axes.empty());
  for (int axis : options.axes) {
    const auto place = static_cast<size_t>(need_axis(axis, rank));
    if (axes[place]) throw ShapeError("an axis may be named once", std::to_string(axis));
    axes[place] = true;
  }
  return axes;
}

Shape reduced_shape(const Shape& x, const ReduceOptions& options) {
  const std::vector<bool> axes = reduced(options, x.rank());
  std::vector<int64_t> sizes;
  for (int i = 0; i < x.rank(); ++i)
    if (!axes[static_cast<size_t>(i)])
      sizes.push_back(x[i]);
    else if (options.keepdims)
      sizes.push_back(1);
  return Shape(sizes);
}

/// Check that a value of shape `from` can be repeated along axes to have the shape `to`.
void need_repeats(const Shape& from, const Shape& to) {
  if (from.rank() > to.rank() || !compatible(broadcast_shape(from, to), to))
    throw ShapeError("a value cannot be repeated to " + to.to_string(), from.to_string());
}

std::vector<Type> infer(const Signature& s) {
  const Shape y = reduced_shape(s.shape(0), s.get<ReduceOptions>());
  need_floats(s, {"x"});
  return {checked_type(y, s.dtype(0))};
}

/// Return dy repeated along the axes that made it from x.
Value repeated(const Value& dy, const Value& x, const ReduceOptions& options) {
  // Only the shape of this sum counts: it is never computed.
  const Value kept = apply("reduce_sum", {x}, ReduceOptions{options.axes, true});
  return apply("broadcast_to", {reshape_to(dy, kept), x});
}

const RegisterOperation reduce_sum({
    .name = "reduce_sum",
    .doc = "Sum over axes.\nx: any shape -> y: x's without the axes",
    .inputs = {"x"},
    .options = schema(),
    .infer = infer,
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      return {repeated(dys[0], node.inputs[0], node.get<ReduceOptions>())};
    },
});

/// Return the gradient of a mean where the sizes are known.
Value spread(const Value& dy, const Value& x, const ReduceOptions& options) {
  const double count = static_cast<double>(x.shape().elements()) /
                       static_cast<double>(std::max<int64_t>(dy.shape().elements(), 1));
  return repeated(apply("scale", {dy}, UnaryOptions{1 / count}), x, options);
}

const RegisterOperation reduce_mean({
    .name = "reduce_mean",
    .doc = "Take the mean over axes.\nx: any shape -> y: x's without the axes",
    .inputs = {"x"},
    .options = schema(),
    .infer = infer,
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      const Value& x = node.inputs[0];
      const auto& options = node.get<ReduceOptions>();
      if (x.shape().is_known()) return {spread(dys[0], x, options)};
      return {apply("reduce_mean_backward", {dys[0], x}, options)};
    },
});

const RegisterOperation reduce_mean_backward({
    .name = "reduce_mean_backward",
    .doc = "Spread dy evenly over the axes; becomes other operations once the sizes are known.\n"
           "dy: x's shape without the axes, like x: any shape -> dx: the same",
    .inputs = {"dy", "like x"},
    .outputs = {"dx"},
    .options = schema(),
    .infer = [](const Signature& s) -> std::vector<Type> {
      need_floats(s, {"dy"});
      need_shape("dy must be", s.shape(0), reduced_shape(s.shape(1), s.get<ReduceOptions>()));
      return {checked_type(s.shape(1), s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& ddx) -> std::vector<Value> {
      return {apply("reduce_mean", {ddx[0]}, node.get<ReduceOptions>()), {}};
    },
    .lower = [](const Node& node, const std::vector<Value>& inputs, Lowering&)
        -> std::vector<Value> { return {spread(inputs[0], inputs[1], node.get<ReduceOptions>())}; },
    .is_public = false,
});

const RegisterOperation reduce_max({
    .name = "reduce_max",
    .doc = "Take the maximum over axes; of equal elements the first takes the gradient.\n"
           "x: any shape -> y: x's without the axes",
    .inputs = {"x"},
    .options = schema(),
    .infer = infer,
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      return {apply("reduce_max_backward", {dys[0], node.inputs[0], node.output()},
                    node.get<ReduceOptions>())};
    },
});

const RegisterOperation reduce_max_backward({
    .name = "reduce_max_backward",
    .doc = "Give dy to the first element equal to y.\n"
           "dy, y: x's shape without the axes, x: any shape -> dx: the same",
    .inputs = {"dy", "x", "y"},
    .outputs = {"dx"},
    .options = schema(),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const Shape y = reduced_shape(s.shape(1), s.get<ReduceOptions>());
      need_floats(s, {"dy", "x", "y"});
      need_shape("dy must be", s.shape(0), y);
      need_shape("y must be", s.shape(2), y);
      return {checked_type(s.shape(1), s.dtype(1))};
    },
    .is_public = false,
});

const RegisterOperation argmax({
    .name = "argmax",
    .doc = "Find the place of the largest element along one axis: the first of equals, the first "
           "NaN.\n"
           "x: any shape -> y: int64, x's without the axis",
    .inputs = {"x"},
    .options = schema(),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const Shape& x = s.shape(0);
      const auto& options = s.get<ReduceOptions>();
      if (options.axes.size() != 1 && x.rank() != 1)
        throw ShapeError("argmax takes one axis", std::to_string(options.axes.size()) + " axes");
      const Shape y = reduced_shape(x, options);
      if (x[options.axes.empty() ? 0 : options.axes[0]] == 0)
        throw ShapeError("argmax needs an axis of size >= 1", x.to_string());
      need_floats(s, {"x"});
      return {checked_type(y, DType::kI64)};
    },
});

const RegisterOperation sum_to_operation({
    .name = "sum_to",
    .doc = "Sum the axes along which a value of y's shape would be repeated to become x.\n"
           "x: any shape, like y: one that broadcasts to it -> y",
    .inputs = {"x", "like y"},
    .infer = [](const Signature& s) -> std::vector<Type> {
      need_floats(s, {"x"});
      need_repeats(s.shape(1), s.shape(0));
      return {checked_type(s.shape(1), s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      return {apply("broadcast_to", {dys[0], node.inputs[0]}), {}};
    },
    .lower = [](const Node& node, const std::vector<Value>& inputs,
                Lowering&) -> std::vector<Value> {
      if (inputs[0].shape() == inputs[1].shape()) return {inputs[0]};
      return emit(*node.operation, node.options, inputs);
    },
    .is_public = false,
});

const RegisterOperation broadcast_to({
    .name = "broadcast_to",
    .doc = "Repeat x until it has the shape of y.\n"
           "x: a shape that broadcasts to y's, like y: any shape -> y",
    .inputs = {"x", "like y"},
    .infer = [](const Signature& s) -> std::vector<Type> {
      need_repeats(s.shape(0), s.shape(1));
      return {checked_type(s.shape(1), s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      return {sum_to(dys[0], node.inputs[0]), {}};
    },
    .lower = [](const Node& node, const std::vector<Value>& inputs,
                Lowering&) -> std::vector<Value> {
      if (inputs[0].shape() == inputs[1].shape()) return {inputs[0]};
      return emit(*node.operation, node.options, inputs);
    },
});

}  // namespace
}  // namespace striate
