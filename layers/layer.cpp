#include <striate/layers/layer.h>

#include <map>

namespace striate {
namespace {

struct Types {
  std::map<std::string, std::unique_ptr<LayerType>> by_name;
  std::map<std::type_index, LayerType*> by_options;
};

Types& types() {
  static Types all;
  return all;
}

thread_local std::string prefix;

const RegisterOperation identity({
    .name = "identity",
    .doc = "Return x itself.\nx -> y of the same shape",
    .inputs = {"x"},
    .infer = [](const Signature& s) -> std::vector<Type> { return {*s.inputs[0]}; },
    .gradient = [](const Node&, const std::vector<Value>& dy) -> std::vector<Value> { return dy; },
    .lower = [](const Node&, const std::vector<Value>& inputs, Lowering&) { return inputs; },
    .is_public = false,
});

}  // namespace

Value Weights::find(const std::string& name, const Shape& shape, const Json& initializer,
                    int64_t fan_in, int64_t fan_out, bool trainable) {
  const std::string& layer = state_.name->path;
  const std::string path = layer.empty() ? name : layer + "/" + name;
  for (const auto& variable : state_.weights) {
    if (variable->path != path) continue;
    if (variable->type.shape != shape)
      throw ShapeError("the layer was first applied where its weight '" + name +
                           "' has the shape " + variable->type.shape.to_string(),
                       "an input that needs " + shape.to_string(),
                       "Apply it to inputs with the same channels, or make another layer");
    return variable_value(variable);
  }
  if (!shape.is_known())
    throw ShapeError("the weight '" + name + "' needs known channels", shape.to_string());
  shape.elements();  // throws when the product overflows
  auto variable = std::make_shared<Variable>();
  variable->path = path;
  variable->type = {shape, DType::kF32};
  variable->initializer = initializer;
  variable->fan_in = fan_in;
  variable->fan_out = fan_out;
  variable->trainable = trainable;
  variable->frozen = state_.frozen;
  state_.weights.push_back(variable);
  return variable_value(variable);
}

Value Weights::weight(const std::string& name, const Shape& shape, const Json& initializer,
                      int64_t fan_in, int64_t fan_out) {
  return find(name, shape, initializer, fan_in, fan_out, true);
}

Value Weights::state(const std::string& name, const Shape& shape, const Json& initializer) {
  return find(name, shape, initializer, 0, 0, false);
}

const LayerType& layer_type(const std::string& name) {
  const auto found = types().by_name.find(name);
  if (found != types().by_name.end()) return *found->second;
  throw Error("there is no layer type '" + name + "'");
}

const LayerType& layer_type(std::type_index options) { return *types().by_options.at(options); }

std::vector<const LayerType*> layer_types() {
  std::vector<const LayerType*> all;
  for (const auto& [name, type] : types().by_name) all.push_back(type.get());
  return all;
}

void register_layer(std::type_index options, LayerType type) {
  const std::string name = type.schema.name;
  auto& slot = types().by_name[name];
  slot = std::make_unique<LayerType>(std::move(type));
  types().by_options[options] = slot.get();
}

Layer::Layer(const LayerType& type, std::shared_ptr<void> options, const std::string& name) {
  state_ = std::make_shared<LayerState>();
  state_->type = &type;
  state_->name = std::make_shared<LayerName>(LayerName{type.schema.name, name});
  state_->is_named = !name.empty();
  // Options made in C++ pass the same checks as those from JSON.
  try {
    state_->options = type.schema.read(type.schema.write(options.get(), true));
  } catch (Error& error) {
    error.set_layer(state_->name->to_string());
    throw;
  }
}

Layer Layer::make(const std::string& type, const Json& options, const std::string& name) {
  const LayerType& found = layer_type(type);
  try {
    return Layer(found, found.schema.read(options), name);
  } catch (Error& error) {
    error.set_layer(LayerName{type, name}.to_string());
    throw;
  }
}

Value Layer::operator()(const Value& x) const { return (*this)(std::vector<Value>{x})[0]; }

std::vector<Value> Layer::operator()(const std::vector<Value>& inputs) const {
  if (!prefix.empty() && state_->weights.empty() && path().rfind(prefix, 0) != 0)
    set_path(prefix + path());
  const LayerScope scope(state_->name);
  auto call = std::make_shared<Call>();
  call->layer = *this;
  call->inputs = inputs;
  std::vector<Value> outputs;
  try {
    const int wanted = state_->type->inputs;
    if (wanted >= 0 && static_cast<int>(inputs.size()) != wanted)
      throw ShapeError("the layer takes " + std::to_string(wanted) + " input",
                       std::to_string(inputs.size()));
    for (const Value& input : inputs)
      if (!input) throw ShapeError("a layer is applied to values of a graph", "nothing");
    Weights weights(*state_);
    for (Value& output : state_->type->call(state_->options.get(), weights, inputs)) {
      // A layer that hands its input on still gets a node of its own, so that the call is recorded.
      bool fresh = !output.node->call && !output.node->inputs.empty();
      for (const Value& input : inputs) fresh = fresh && !(input.node == output.node);
      outputs.push_back(fresh ? output : apply("identity", {output}));
    }
  } catch (Error& error) {
    error.set_layer(state_->name->to_string());
    throw;
  }
  call->id = outputs[0].node->id;
  call->set_outputs(outputs);
  for (const Value& output : outputs) output.node->call = call;
  return outputs;
}

void Layer::set_path(const std::string& new_path) const {
  const std::string before = path();
  for (const auto& variable : state_->weights) {
    const std::string rest =
        before.empty() ? variable->path : variable->path.substr(before.size() + 1);
    variable->path = new_path.empty() ? rest : new_path + "/" + rest;
  }
  state_->name->path = new_path;
}

Json Layer::config(bool all) const {
  return state_->type->schema.write(state_->options.get(), all);
}

void Layer::freeze(bool frozen) const {
  state_->frozen = frozen;
  for (const auto& variable : state_->weights) variable->freeze(frozen);
}

PathScope::PathScope(const std::string& name) : before_(prefix) { prefix = before_ + name + "/"; }

PathScope::~PathScope() { prefix = before_; }

Input::operator Value() const {
  std::vector<int64_t> dims = {kUnknown};
  dims.insert(dims.end(), shape.begin(), shape.end());
  for (int64_t d : shape)
    if (d == 0) throw ShapeError("an input's sizes must be >= 1", shape.to_string());
  return input_value({Shape(dims), dtype}, name);
}

Value Input::call(Weights&, const std::vector<Value>& inputs) const {
  if (!inputs.empty())
    throw ShapeError("an Input stands first", std::to_string(inputs.size()) + " inputs");
  return *this;
}

namespace {
const RegisterLayer<Input> input_layer(
    Describe<Input>("Input", "The input of a model, without the batch size.")
        .required("shape", &Input::shape, "Sizes of one sample, None for a free height or width.")
        .field("dtype", &Input::dtype, "Element type inside the model.")
        .field("name", &Input::name, "Name in errors and files."));
}

}  // namespace striate
