// Operations that move elements and compute nothing, in the graph.
#include <striate/layers/graph/rules.h>
#include <striate/layers/shape_ops.h>

#include <algorithm>

namespace striate {
namespace {

/// Return the shape that options ask of x; unknown sizes follow as far as x's are known.
Shape reshaped(const Shape& x, Shape wanted) {
  const auto unknown = std::count(wanted.begin(), wanted.end(), kUnknown);
  if (unknown > 2 || (unknown == 2 && wanted[0] != kUnknown))
    throw ShapeError("reshape can find one size, and the batch", wanted.to_string());
  if (unknown == 2) {
    if (x.rank() < 1) throw ShapeError("reshape needs a batch axis", x.to_string());
    wanted[0] = x[0];
  }
  // The batch, which may be unknown or empty, is the same on both sides; the rest must agree.
  const int first = unknown == 2 ? 1 : 0;
  const Shape from(x.begin() + first, x.end());
  Shape to(wanted.begin() + first, wanted.end());
  if (!from.is_known()) return wanted;
  int64_t* hole = nullptr;
  for (int i = 0; i < to.rank(); ++i)
    if (to[i] == kUnknown) hole = &to[i];
  const int64_t total = from.elements();
  if (hole) *hole = 1;
  const int64_t rest = to.elements();
  const auto fail = [&] {
    throw ShapeError("reshape must keep the number of elements: " + x.to_string() + " has " +
                         std::to_string(total),
                     wanted.to_string());
  };
  if (hole) {
    if (rest == 0 || total % rest) fail();
    *hole = total / rest;
  } else if (rest != total) {
    fail();
  }
  std::copy(to.begin(), to.end(), &wanted[first]);
  return wanted;
}

const RegisterOperation reshape({
    .name = "reshape",
    .doc =
        "Give the elements, in row-major order, another shape.\n"
        "x: any shape -> y: shape, where one size may be None: it follows from the others; of two\n"
        "the first is the batch",
    .inputs = {"x"},
    .options = Describe<ReshapeOptions>("reshape", "")
                   .required("shape", &ReshapeOptions::shape,
                             "The new sizes, None for one to find."),
    .infer = [](const Signature& s) -> std::vector<Type> {
      return {checked_type(reshaped(s.shape(0), s.get<ReshapeOptions>().shape), s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      return {reshape_to(dys[0], node.inputs[0])};
    },
    .lower = [](const Node& node, const std::vector<Value>& inputs,
                Lowering&) -> std::vector<Value> {
      const Value y = emit(*node.operation, node.options, inputs)[0];
      return {y.shape() == inputs[0].shape() ? inputs[0] : y};
    },
});

const RegisterOperation reshape_like({
    .name = "reshape_like",
    .doc = "Give the elements the shape of y; becomes reshape once that is known.\n"
           "x: any shape, like y: of as many elements -> y",
    .inputs = {"x", "like y"},
    .infer = [](const Signature& s) -> std::vector<Type> {
      if (s.shape(0).is_known() && s.shape(1).is_known()) reshaped(s.shape(0), s.shape(1));
      return {checked_type(s.shape(1), s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      return {reshape_to(dys[0], node.inputs[0]), {}};
    },
    .lower = [](const Node&, const std::vector<Value>& inputs, Lowering&) -> std::vector<Value> {
      return {reshape_to(inputs[0], inputs[1])};
    },
    .is_public = false,
});

const RegisterOperation identity({
    .name = "identity",
    .doc = "Return x.\nx: any shape -> y: the same",
    .inputs = {"x"},
    .infer = [](const Signature& s) -> std::vector<Type> { return {*s.inputs[0]}; },
    .gradient = [](const Node&, const std::vector<Value>& dys) -> std::vector<Value> {
      return {dys[0]};
    },
    .lower = [](const Node&, const std::vector<Value>& inputs, Lowering&) -> std::vector<Value> {
      return {inputs[0]};
    },
    .is_public = false,
});

const RegisterOperation concat({
    .name = "concat",
    .doc = "Join values along an axis; their other sizes must agree.\n"
           "x: any number of shapes -> y: the axis holds the sum of theirs",
    .inputs = {"x..."},
    .options = Describe<ConcatOptions>("concat", "")
                   .field("axis", &ConcatOptions::axis, "The axis; negative ones from the end."),
    .infer = [](const Signature& s) -> std::vector<Type> {
      if (s.inputs.empty()) throw ShapeError("concat needs at least one value");
      Shape y = s.shape(0);
      const int axis = need_axis(s.get<ConcatOptions>().axis, y.rank());
      for (size_t i = 1; i < s.inputs.size(); ++i) {
        const Shape& x = s.shape(i);
        if (s.dtype(i) != s.dtype(0))
          throw DTypeError("concat needs values of one element type",
                           std::string(name_of(s.dtype(0))) + " and " + name_of(s.dtype(i)),
                           "Convert them with cast");
        Shape wanted = y;
        if (x.rank() == y.rank()) wanted[axis] = x[axis];
        if (!compatible(x, wanted))
          throw ShapeError("concat along axis " + std::to_string(axis) +
                               " needs values that agree at the other axes",
                           s.shape(0).to_string() + " and " + x.to_string());
        for (int d = 0; d < y.rank(); ++d)
          if (d == axis)
            y[d] = y[d] == kUnknown || x[d] == kUnknown ? kUnknown : y[d] + x[d];
          else if (y[d] == kUnknown)
            y[d] = x[d];
      }
      return {checked_type(y, s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      const Shape& y = dys[0].shape();
      const int axis = need_axis(node.get<ConcatOptions>().axis, y.rank());
      std::vector<Value> gradients;
      SliceOptions part;
      part.begin.assign(static_cast<size_t>(y.rank()), 0);
      part.size.assign(static_cast<size_t>(y.rank()), kUnknown);
      for (const Value& x : node.inputs) {
        const int64_t size = x.shape()[axis];
        if (size == kUnknown)
          throw ShapeError("the gradient of concat needs known sizes along its axis",
                           x.shape().to_string());
        part.size[static_cast<size_t>(axis)] = size;
        gradients.push_back(apply("slice", {dys[0]}, part));
        part.begin[static_cast<size_t>(axis)] += size;
      }
      return gradients;
    },
});

Schema slice_schema() {
  return Describe<SliceOptions>("slice", "")
      .required("begin", &SliceOptions::begin, "First place, one number for each axis.")
      .required("size", &SliceOptions::size, "Sizes of the box; -1: up to the end.");
}

Shape sliced(const Shape& x, const SliceOptions& options) {
  if (options.begin.size() != static_cast<size_t>(x.rank()) ||
      options.size.size() != options.begin.size())
    throw ShapeError(
        "begin and size must have " + std::to_string(x.rank()) + " numbers",
        std::to_string(options.begin.size()) + " and " + std::to_string(options.size.size()));
  Shape y = x;
  for (int i = 0; i < x.rank(); ++i) {
    const int64_t begin = options.begin[static_cast<size_t>(i)];
    int64_t size = options.size[static_cast<size_t>(i)];
    const bool to_end = size == kUnknown;
    if (to_end && x[i] != kUnknown) size = x[i] - begin;
    const bool fits = begin >= 0 && (size >= 0 || (to_end && x[i] == kUnknown)) &&
                      (x[i] == kUnknown || (begin <= x[i] && size <= x[i] - begin));
    if (!fits)
      throw ShapeError("the slice must lie inside " + x.to_string(),
                       "begin " + std::to_string(begin) + ", size " +
                           std::to_string(options.size[static_cast<size_t>(i)]) + " at axis " +
                           std::to_string(i));
    y[i] = size;
  }
  return y;
}

const RegisterOperation slice({
    .name = "slice",
    .doc = "Take a box out of x.\n"
           "y[i, ...] = x[begin[0] + i, ...]\n"
           "x: any shape -> y: size",
    .inputs = {"x"},
    .options = slice_schema(),
    .infer = [](const Signature& s) -> std::vector<Type> {
      return {checked_type(sliced(s.shape(0), s.get<SliceOptions>()), s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      return {apply("slice_backward", {dys[0], node.inputs[0]}, node.get<SliceOptions>())};
    },
});

const RegisterOperation slice_backward({
    .name = "slice_backward",
    .doc = "Put dy into a box of zeros.\ndy: size, like x: any shape -> dx: the same",
    .inputs = {"dy", "like x"},
    .outputs = {"dx"},
    .options = slice_schema(),
    .infer = [](const Signature& s) -> std::vector<Type> {
      need_shape("dy must be", s.shape(0), sliced(s.shape(1), s.get<SliceOptions>()));
      return {checked_type(s.shape(1), s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& ddx) -> std::vector<Value> {
      return {apply("slice", {ddx[0]}, node.get<SliceOptions>()), {}};
    },
    .is_public = false,
});

/// Return the order as axes counted from 0. Throws ShapeError unless it names each axis once.
std::vector<int> full_order(const TransposeOptions& options, int rank) {
  std::vector<int> order = options.order;
  if (order.empty())
    for (int i = rank; i-- > 0;) order.push_back(i);
  std::vector<bool> seen(static_cast<size_t>(rank));
  bool good = order.size() == seen.size();
  for (size_t i = 0; good && i < order.size(); ++i) {
    order[i] = need_axis(order[i], rank);
    good = !seen[static_cast<size_t>(order[i])];
    seen[static_cast<size_t>(order[i])] = true;
  }
  if (good) return order;
  std::string text;
  for (int axis : options.order) text += (text.empty() ? "(" : ", ") + std::to_string(axis);
  throw ShapeError("order must name each of " + std::to_string(rank) + " axes once", text + ")");
}

const RegisterOperation transpose({
    .name = "transpose",
    .doc = "Reorder the axes: axis i of y is axis order[i] of x.\nx: any shape -> y",
    .inputs = {"x"},
    .options = Describe<TransposeOptions>("transpose", "")
                   .field("order", &TransposeOptions::order, "Axes of x; empty: all reversed."),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const Shape& x = s.shape(0);
      const std::vector<int> order = full_order(s.get<TransposeOptions>(), x.rank());
      Shape y = x;
      for (int i = 0; i < x.rank(); ++i) y[i] = x[order[static_cast<size_t>(i)]];
      return {checked_type(y, s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      const std::vector<int> order =
          full_order(node.get<TransposeOptions>(), dys[0].shape().rank());
      TransposeOptions inverse{std::vector<int>(order.size())};
      for (size_t i = 0; i < order.size(); ++i)
        inverse.order[static_cast<size_t>(order[i])] = static_cast<int>(i);
      return {apply("transpose", {dys[0]}, inverse)};
    },
});

}  // namespace
}  // namespace striate
