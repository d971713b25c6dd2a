#include <striate/kernels/cast.h>
#include <striate/layers/graph/precision.h>
#include <striate/layers/graph/rules.h>

#include <algorithm>
#include <map>
#include <set>

namespace striate {
namespace {

thread_local bool allows_16_bits = false;

class MixedPrecision {
 public:
  MixedPrecision(const std::vector<Value>& outputs, DType products)
      : outputs_(outputs), products_(products) {
    for (const Value& output : outputs) ends_.insert(output.node.get());
  }

  std::vector<Value> run() {
    const Allow16Bits allow(true);
    for (const auto& node : reachable(outputs_)) copy(*node);
    std::vector<Value> outputs;
    for (const Value& output : outputs_) outputs.push_back(as(made(output), output.dtype()));
    return outputs;
  }

 private:
  Value made(const Value& value) const {
    const auto found = made_.find(value);
    return found == made_.end() ? value : found->second;
  }

  void copy(const Node& node) {
    if (node.inputs.empty()) return;  // inputs, constants and variables stay what they are
    const LayerScope scope(node);
    std::vector<Value> inputs;
    for (const Value& input : node.inputs) inputs.push_back(input ? made(input) : Value{});
    convert(node, inputs);
    const auto outputs = emit(*node.operation, node.options, std::move(inputs));
    for (size_t i = 0; i < outputs.size(); ++i)
      made_[node.output(static_cast<int>(i))] = outputs[i];
  }

  /// Return a value in another type; the same conversion is made once.
  Value as(const Value& value, DType type) {
    if (!is_narrow_float(value) || value.dtype() == type) return value;
    Value& converted = converted_[{value, type}];
    if (!converted && value.node->operation->name == "constant" && value.shape().rank() == 0)
      converted = number(value.node->constant.item(), type);
    if (!converted) converted = apply("cast", {value}, CastOptions{type});
    return converted;
  }

  /// Give an operation the types that it is to take.
  void convert(const Node& node, std::vector<Value>& inputs) {
    static const std::set<std::string> kProducts = {"conv2d", "conv2d_backward_input",
                                                    "conv2d_backward_weight", "matmul"};
    static const std::set<std::string> kFloat32 = {"softmax", "log_softmax", "reduce_sum",
                                                   "reduce_mean"};
    const std::string& name = node.operation->name;
    if (name == "gradient" || name == "cast") return;
    // The vectors of batch normalisation are float32 in any case.
    const auto counts = [&](const Value& input) {
      return input && is_narrow_float(input) && (name != "batch_norm" || input.shape().rank() > 1);
    };
    const auto any = [&](const auto& is) {
      return std::any_of(inputs.begin(), inputs.end(),
                         [&](const Value& input) { return counts(input) && is(input); });
    };
    DType type = products_;
    if (!kProducts.count(name)) {
      if (!any([](const Value& input) { return input.dtype() != DType::kF32; })) return;
      // Float32 where types meet, but a number without dimensions takes the others' type. What the
      // model returns is computed in float32.
      if (kFloat32.count(name) || ends_.count(&node) || any([](const Value& input) {
            return input.dtype() == DType::kF32 && input.shape().rank() > 0;
          }))
        type = DType::kF32;
    }
    for (Value& input : inputs)
      if (counts(input)) input = as(input, type);
  }

  const std::vector<Value>& outputs_;
  DType products_;
  std::set<const Node*> ends_;
  std::map<Value, Value> made_;
  std::map<std::pair<Value, DType>, Value> converted_;
};

}  // namespace

Allow16Bits::Allow16Bits(bool allowed) : before_(allows_16_bits) { allows_16_bits = allowed; }
Allow16Bits::~Allow16Bits() { allows_16_bits = before_; }
bool Allow16Bits::is_allowed() { return allows_16_bits; }

std::vector<Value> with_products_in(const std::vector<Value>& outputs, DType products) {
  return MixedPrecision(outputs, products).run();
}

}  // namespace striate
