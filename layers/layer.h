// Layers: options with a rule that makes weights and emits operations; shared handles on them.
#pragma once

#include <striate/layers/graph/graph.h>
#include <striate/layers/graph/options.h>
#include <striate/layers/graph/variable.h>

#include <functional>
#include <memory>
#include <string>
#include <typeindex>
#include <utility>
#include <vector>

namespace striate {

class Layer;
struct LayerType;

/// What a layer owns besides its options.
struct LayerState {
  const LayerType* type = nullptr;
  std::shared_ptr<void> options;
  std::shared_ptr<LayerName> name;
  bool is_named = false;  // by the user; otherwise its model names it
  std::vector<std::shared_ptr<Variable>> weights;
  bool frozen = false;
};

/// Handed to a layer's rule: makes the weights at the first call, finds them at later ones.
class Weights {
 public:
  explicit Weights(LayerState& state) : state_(state) {}

  /// Return the trainable weight `name`. `initializer` as in layers/initializer.h; the fans default
  /// to those of a filter [out, ..., in] and of a matrix [in, out].
  Value weight(const std::string& name, const Shape& shape, const Json& initializer,
               int64_t fan_in = 0, int64_t fan_out = 0);
  /// Return the untrained state `name`.
  Value state(const std::string& name, const Shape& shape, const Json& initializer);

 private:
  Value find(const std::string& name, const Shape& shape, const Json& initializer, int64_t fan_in,
             int64_t fan_out, bool trainable);

  LayerState& state_;
};

/// A registered kind of layer.
struct LayerType {
  Schema schema;
  std::function<std::vector<Value>(const void* options, Weights&, const std::vector<Value>&)> call;
  int inputs = 1;  // -1: any number
};

const LayerType& layer_type(const std::string& name);
const LayerType& layer_type(std::type_index options);
std::vector<const LayerType*> layer_types();

void register_layer(std::type_index options, LayerType type);

/// Adds a layer type when its static object is made. T is the options struct; it has
/// `Value call(Weights&, const Value&) const`, or takes and returns vectors of values.
template <class T>
struct RegisterLayer {
  explicit RegisterLayer(Schema schema) {
    LayerType type;
    type.schema = std::move(schema);
    if constexpr (requires(const T& t, Weights& w, const Value& x) { t.call(w, x); }) {
      type.call = [](const void* options, Weights& weights, const std::vector<Value>& inputs) {
        return std::vector<Value>{static_cast<const T*>(options)->call(weights, inputs[0])};
      };
    } else {
      type.inputs = -1;
      type.call = [](const void* options, Weights& weights, const std::vector<Value>& inputs) {
        return std::vector<Value>{static_cast<const T*>(options)->call(weights, inputs)};
      };
    }
    register_layer(std::type_index(typeid(T)), std::move(type));
  }
};

/// A shared handle on a layer. `Layer conv = Conv2D{.filters = 8, .kernel_size = 3};`
class Layer {
 public:
  Layer() = default;
  /// Make a layer from its options struct. Throws ShapeError for an option that its check refuses.
  template <class Options, class = decltype(&Options::call)>
  Layer(Options options, const std::string& name = "")  // NOLINT: options become a layer
      : Layer(layer_type(std::type_index(typeid(Options))),
              std::make_shared<Options>(std::move(options)), name) {}
  /// Make a layer from its type and options as JSON. Throws ShapeError for unknown ones.
  static Layer make(const std::string& type, const Json& options, const std::string& name = "");

  /// Apply to symbolic values. Throws the rules' errors, this layer named.
  Value operator()(const Value& x) const;
  std::vector<Value> operator()(const std::vector<Value>& inputs) const;

  const std::string& type() const { return state_->type->schema.name; }
  const std::string& path() const { return state_->name->path; }
  /// Rename the layer and its weights.
  void set_path(const std::string& path) const;
  bool is_named() const { return state_->is_named; }
  /// Return the options that differ from their defaults, or all.
  Json config(bool all = false) const;
  const std::vector<std::shared_ptr<Variable>>& weights() const { return state_->weights; }
  /// Stop (or allow) the training of its weights and statistics.
  void freeze(bool frozen = true) const;
  bool is_frozen() const { return state_->frozen; }
  const LayerState& state() const { return *state_; }

  explicit operator bool() const { return state_ != nullptr; }
  friend bool operator==(const Layer& a, const Layer& b) { return a.state_ == b.state_; }
  friend bool operator<(const Layer& a, const Layer& b) { return a.state_ < b.state_; }

 private:
  Layer(const LayerType& type, std::shared_ptr<void> options, const std::string& name);

  std::shared_ptr<LayerState> state_;
};

/// One use of a layer: what a model file records.
struct Call {
  Layer layer;
  std::vector<Value> inputs;
  uint64_t id = 0;

  void set_outputs(const std::vector<Value>& outputs) {
    for (const Value& output : outputs) outputs_.emplace_back(output.node, output.index);
  }
  /// Return the outputs; an empty Value for one that nobody uses any more.
  std::vector<Value> outputs() const {
    std::vector<Value> values;
    for (const auto& [node, index] : outputs_) {
      const auto alive = node.lock();
      values.push_back(alive ? Value{alive, index} : Value{});
    }
    return values;
  }
  /// Return the first output that is used.
  Value used_output() const {
    for (const Value& output : outputs())
      if (output) return output;
    return {};
  }

 private:
  std::vector<std::pair<std::weak_ptr<Node>, int>> outputs_;  // they own the call
};

/// Puts `prefix/` before the paths of the layers first called while it lives: a composed layer.
class PathScope {
 public:
  explicit PathScope(const std::string& prefix);
  ~PathScope();
  PathScope(const PathScope&) = delete;
  PathScope& operator=(const PathScope&) = delete;

 private:
  std::string before_;
};

/// The input of a model: `Input({28, 28, 1})`; the batch size is left out.
struct Input {
  Shape shape;
  DType dtype = DType::kF32;
  std::string name = "input";

  operator Value() const;  // NOLINT: an input is a value
  Value call(Weights&, const std::vector<Value>& inputs) const;
};

}  // namespace striate
