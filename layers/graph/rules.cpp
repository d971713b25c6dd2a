#include <striate/kernels/unary.h>
#include <striate/layers/graph/precision.h>
#include <striate/layers/graph/rules.h>
#include <striate/layers/shape_ops.h>

#include <algorithm>

namespace striate {
namespace {

void need_types(const Signature& signature, const std::vector<std::string>& names,
                const std::vector<DType>& allowed) {
  std::string first_name;
  DType first = DType::kF32;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty() || !signature.has(i)) continue;
    const DType dtype = signature.dtype(i);
    if (std::find(allowed.begin(), allowed.end(), dtype) == allowed.end())
      throw DTypeError(names[i] + " must be float32 or float64", name_of(dtype),
                       "Convert it with cast(to=\"float32\")");
    if (first_name.empty()) {
      first_name = names[i];
      first = dtype;
    } else if (dtype != first) {
      throw DTypeError(names[i] + " must have the element type of " + first_name,
                       std::string(name_of(dtype)) + " and " + name_of(first),
                       "Convert one with cast");
    }
  }
}

}  // namespace

void need_floats(const Signature& signature, const std::vector<std::string>& names) {
  if (Allow16Bits::is_allowed()) return need_floats_or_halves(signature, names);
  need_types(signature, names, {DType::kF32, DType::kF64});
}

void need_floats_or_halves(const Signature& signature, const std::vector<std::string>& names) {
  need_types(signature, names, {DType::kF32, DType::kF64, DType::kF16, DType::kBF16});
}

bool is_narrow_float(const Value& value) {
  return value.dtype() == DType::kF32 || value.dtype() == DType::kF16 ||
         value.dtype() == DType::kBF16;
}

void need_rank(const Shape& shape, int rank, const std::string& rule) {
  if (shape.rank() != rank) throw ShapeError(rule, shape.to_string());
}

void need_shape(const std::string& what, const Shape& shape, const Shape& wanted) {
  if (!compatible(shape, wanted))
    throw ShapeError(what + " " + wanted.to_string(), shape.to_string());
}

int need_axis(int axis, int rank) {
  if (axis < -rank || axis >= rank)
    throw ShapeError(
        "the axis must be from " + std::to_string(-rank) + " to " + std::to_string(rank - 1),
        std::to_string(axis));
  return axis < 0 ? axis + rank : axis;
}

Type checked_type(const Shape& shape, DType dtype) {
  Shape least = shape;
  for (int i = 0; i < least.rank(); ++i)
    if (least[i] == kUnknown) least[i] = 1;
  least.elements();
  return {shape, dtype};
}

Shape broadcast_shape(const Shape& a, const Shape& b) {
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  Shape result = longer;
  for (int i = 1; i <= shorter.rank(); ++i) {
    const int64_t m = longer[-i], n = shorter[-i];
    if (m != n && m != 1 && n != 1 && m != kUnknown && n != kUnknown)
      throw ShapeError("shapes must be equal or 1 at each place, counted from the right",
                       a.to_string() + " and " + b.to_string());
    result[-i] = m == 1 || (m == kUnknown && n != 1) ? n : m;
  }
  return result;
}

Value number(double value, DType dtype) {
  if (size_of(dtype) == 2) {
    const auto single = static_cast<float>(value);
    const uint16_t bits = dtype == DType::kF16 ? float_to_half(single) : float_to_bfloat16(single);
    const Tensor tensor(Shape{}, dtype);
    tensor.copy_from_host(&bits);
    return constant_value(tensor);
  }
  return constant_value(dtype == DType::kF64
                            ? Tensor::from<double>({}, {value})
                            : Tensor::from<float>({}, {static_cast<float>(value)}));
}

Value before_activation(Activation activation, double slope, const Value& dy, const Value& y) {
  if (activation == Activation::kNone) return dy;
  return apply(std::string(name_of(activation)) + "_backward", {dy, y}, UnaryOptions{slope});
}

Value sum_to(const Value& gradient, const Value& input) {
  // Equal shapes with unknown sizes may differ once they are known; then sum_to is a copy at most.
  if (gradient.shape() == input.shape() && input.shape().is_known()) return gradient;
  return apply("sum_to", {gradient, input});
}

Value reshape_to(const Value& x, const Value& like) {
  if (x.shape() == like.shape() && x.shape().is_known()) return x;
  if (like.shape().is_known()) return apply("reshape", {x}, ReshapeOptions{like.shape()});
  return apply("reshape_like", {x, like});
}

void need_no_gradient(const Node& node, const std::vector<Value>& gradients, size_t first) {
  for (size_t i = first; i < gradients.size(); ++i)
    if (gradients[i])
      throw Error("the output '" + node.operation->outputs[i] + "' of '" + node.operation->name +
                  "' has no gradient");
}

}  // namespace striate
