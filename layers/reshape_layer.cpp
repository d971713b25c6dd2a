#include <striate/kernels/cast.h>
#include <striate/layers/reshape.h>
#include <striate/layers/shape_ops.h>

#include <algorithm>

namespace striate {
namespace {

const RegisterLayer<Flatten> flatten_layer(
    Describe<Flatten>("Flatten", "Make one row of each sample.\nx: [N, ...] -> y: [N, features]"));

Check<std::vector<int64_t>> has_one_hole() {
  return [](const std::vector<int64_t>& sizes) {
    const auto is_size = [](int64_t size) { return size >= 0 || size == kUnknown; };
    return std::all_of(sizes.begin(), sizes.end(), is_size) &&
                   std::count(sizes.begin(), sizes.end(), kUnknown) <= 1
               ? ""
               : "sizes, at most one of them -1";
  };
}

const RegisterLayer<Reshape> reshape_layer(Describe<Reshape>("Reshape",
                                                             "Change the shape of each sample.")
                                               .required("target_shape", &Reshape::target_shape,
                                                         "Sizes without the batch; one may be -1.",
                                                         has_one_hole()));

const RegisterLayer<Rescale> rescale_layer(
    Describe<Rescale>("Rescale", "y = x * scale + offset, for pixels of any number type.")
        .required("scale", &Rescale::scale, "The factor: 1 / 255 for pixels.", is_finite())
        .field("offset", &Rescale::offset, "Added afterwards.", is_finite()));

const RegisterLayer<Add> add_layer(Describe<Add>("Add", "The sum of several values."));
const RegisterLayer<Multiply> multiply_layer(Describe<Multiply>("Multiply",
                                                                "The product of several values."));
const RegisterLayer<Concatenate> concatenate_layer(
    Describe<Concatenate>("Concatenate", "Put values side by side along an axis.")
        .field("axis", &Concatenate::axis, "The axis; negative ones count from the end."));

Value fold(const char* operation, const std::vector<Value>& inputs) {
  if (inputs.size() < 2)
    throw ShapeError("the layer needs at least two inputs", std::to_string(inputs.size()));
  Value sum = inputs[0];
  for (size_t i = 1; i < inputs.size(); ++i) sum = apply(operation, {sum, inputs[i]});
  return sum;
}

}  // namespace

Value Flatten::call(Weights&, const Value& x) const {
  const Shape& shape = x.shape();
  bool known = true;
  for (int i = 1; i < shape.rank(); ++i) known = known && shape[i] != kUnknown;
  const int64_t features = known ? shape.product(1, shape.rank()) : kUnknown;
  return apply("reshape", {x}, ReshapeOptions{{kUnknown, features}});
}

Value Reshape::call(Weights&, const Value& x) const {
  std::vector<int64_t> dims = {kUnknown};
  dims.insert(dims.end(), target_shape.begin(), target_shape.end());
  const Shape sample(x.shape().begin() + 1, x.shape().end());
  const auto free = std::find(dims.begin() + 1, dims.end(), kUnknown);
  if (sample.is_known()) {
    std::vector<int64_t> others(dims.begin() + 1, dims.end());
    std::replace(others.begin(), others.end(), kUnknown, int64_t{1});
    const int64_t fixed = Shape(others).elements();
    const bool fits = free == dims.end() ? fixed == sample.elements()
                                         : fixed > 0 && sample.elements() % fixed == 0;
    if (!fits)
      throw ShapeError(
          "target_shape " + Shape(target_shape).to_string() + " must hold the elements of a sample",
          x.shape().to_string());
    if (free != dims.end()) *free = sample.elements() / fixed;
  }
  return apply("reshape", {x}, ReshapeOptions{Shape(dims)});
}

Value Rescale::call(Weights&, const Value& x) const {
  return apply("rescale", {x}, RescaleOptions{scale, offset});
}

Value Add::call(Weights&, const std::vector<Value>& inputs) const { return fold("add", inputs); }

Value Multiply::call(Weights&, const std::vector<Value>& inputs) const {
  return fold("multiply", inputs);
}

Value Concatenate::call(Weights&, const std::vector<Value>& inputs) const {
  return striate::apply_all("concat", inputs, ConcatOptions{static_cast<int>(axis)})[0];
}

}  // namespace striate
