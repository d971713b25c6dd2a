// Conversion between element types in the graph.
#include <striate/kernels/cast.h>
#include <striate/kernels/unary.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

const RegisterOperation cast({
    .name = "cast",
    .doc = "Convert elements; floating to integer truncates and saturates, NaN becomes 0.\n"
           "x: any shape -> y: the same",
    .inputs = {"x"},
    .options = Describe<CastOptions>("cast", "")
                   .required("to", &CastOptions::to,
                             "float32, float16, bfloat16, uint8, int32, int64, bool or float64."),
    .infer = [](const Signature& s) -> std::vector<Type> {
      return {checked_type(s.shape(0), s.get<CastOptions>().to)};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      const DType from = node.inputs[0].dtype();
      if (!is_floating(from) || !is_floating(node.outputs[0].dtype)) return {{}};
      return {apply("cast", {dys[0]}, CastOptions{from})};
    },
    .lower = [](const Node& node, const std::vector<Value>& inputs,
                Lowering&) -> std::vector<Value> {
      const auto& options = node.get<CastOptions>();
      if (options.to == inputs[0].dtype()) return {inputs[0]};
      return {apply("cast", {inputs[0]}, options)};
    },
});

const RegisterOperation rescale({
    .name = "rescale",
    .doc = "Make numbers of pixels: y = x scale + offset.\n"
           "x: uint8 or float32, any shape -> y: float32, the same",
    .inputs = {"x"},
    .options = Describe<RescaleOptions>("rescale", "")
                   .required("scale", &RescaleOptions::scale, "The factor, such as 1/255.",
                             is_finite())
                   .field("offset", &RescaleOptions::offset, "Added afterwards.", is_finite()),
    .infer = [](const Signature& s) -> std::vector<Type> {
      if (s.dtype(0) != DType::kU8 && s.dtype(0) != DType::kF32)
        throw DTypeError("x must be uint8 or float32", name_of(s.dtype(0)),
                         "Convert it with cast(to=\"float32\")");
      return {checked_type(s.shape(0), DType::kF32)};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      if (!is_floating(node.inputs[0].dtype())) return {{}};
      return {apply("scale", {dys[0]}, UnaryOptions{node.get<RescaleOptions>().scale})};
    },
});

}  // namespace
}  // namespace striate
