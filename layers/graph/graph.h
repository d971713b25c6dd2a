// The graph: nodes are operations, values are their outputs; nothing here touches data.
#pragma once

#include <striate/core/dtype.h>
#include <striate/core/json.h>
#include <striate/core/shape.h>
#include <striate/core/tensor.h>
#include <striate/kernels/activation.h>
#include <striate/layers/graph/options.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace striate {

struct Node;
struct Operation;
struct Variable;
struct Call;

/// The shape and element type of a value. Unknown sizes are kUnknown until a program is made.
struct Type {
  Shape shape;
  DType dtype = DType::kF32;
};

/// One output of one node. A default one stands for an input that is left out.
struct Value {
  std::shared_ptr<Node> node;
  int index = 0;

  explicit operator bool() const { return node != nullptr; }
  const Type& type() const;
  const Shape& shape() const { return type().shape; }
  DType dtype() const { return type().dtype; }
  friend bool operator==(const Value& a, const Value& b) {
    return a.node == b.node && a.index == b.index;
  }
  /// Order by creation, so that maps of values do not depend on addresses.
  friend bool operator<(const Value& a, const Value& b);
};

/// What a layer is called: nodes point to it, so that a layer can be named after it was applied.
struct LayerName {
  std::string type;  // `Conv2D`
  std::string path;  // `block2/conv1`

  /// Print as `Conv2D "block2/conv1"`.
  std::string to_string() const { return path.empty() ? type : type + " \"" + path + "\""; }
};

/// One operation applied to values.
struct Node : std::enable_shared_from_this<Node> {
  const Operation* operation = nullptr;
  std::shared_ptr<const void> options;
  std::vector<Value> inputs;
  std::vector<Type> outputs;
  uint64_t id = 0;                        // grows with creation: inputs have smaller ones
  std::shared_ptr<const LayerName> name;  // of the layer that it belongs to; null outside layers
  std::shared_ptr<Variable> variable;     // of the operations `variable` and `assign`
  Tensor constant;                        // of the operation `constant`
  std::shared_ptr<Call> call;             // the layer call that it is an output of
  kernels::Gate gate = {};                // of fused nodes

  std::string layer() const { return name ? name->to_string() : ""; }
  std::string path() const { return name ? name->path : ""; }
  template <class Options>
  const Options& get() const {
    return *static_cast<const Options*>(options.get());
  }
  Value output(int index = 0) const { return {const_cast<Node*>(this)->shared_from_this(), index}; }
};

inline const Type& Value::type() const { return node->outputs[static_cast<size_t>(index)]; }

/// What `infer` sees: the options and the types of the inputs (null for one left out).
struct Signature {
  const void* options = nullptr;
  std::vector<const Type*> inputs;

  template <class Options>
  const Options& get() const {
    return *static_cast<const Options*>(options);
  }
  const Shape& shape(size_t i) const { return inputs[i]->shape; }
  DType dtype(size_t i) const { return inputs[i]->dtype; }
  bool has(size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
};

/// What `lower` may use when a program is made.
class Lowering {
 public:
  virtual ~Lowering() = default;
  /// True in a training program.
  virtual bool training() const = 0;
  /// Store `value` in the variable at the end of the step; later reads in this step see it.
  virtual void assign(const std::shared_ptr<Variable>& variable, const Value& value) = 0;
  /// Return the u8 value that holds the StepBlock.
  virtual Value step_block() = 0;
};

/// An operation: its rules, its gradient and, by the same name, its list of kernels.
struct Operation {
  std::string name, doc;
  /// Names of the inputs: `x`, `[b]` (may be left out), `like x` (only its shape counts),
  /// `x...` (any number, last). The public function's parameters follow from them.
  std::vector<std::string> inputs;
  std::vector<std::string> outputs = {"y"};
  Schema options = Describe<NoOptions>("", "");
  /// Return the outputs' types. All user errors are thrown here.
  std::function<std::vector<Type>(const Signature&)> infer;
  /// Return a gradient per input (an empty Value: none) from one per output (likewise).
  /// Absent: a named error when somebody differentiates through it.
  std::function<std::vector<Value>(const Node&, const std::vector<Value>& output_gradients)>
      gradient = {};
  /// Replace the node when a program is made, by values one per output: dropout and batch norm
  /// differ between training and inference. Absent: it is copied.
  std::function<std::vector<Value>(const Node&, const std::vector<Value>& inputs, Lowering&)>
      lower = {};
  bool is_public = true;  // offered as st.ops.<name>
  /// Users get all outputs; otherwise the first, and the rest is what gradients need.
  bool returns_all = false;
  bool is_loss = false;  // a mean over rows, then its gradient; the options are LossOptions

  bool shape_only(size_t input) const;
  bool optional(size_t input) const;
};

/// Adds an operation when its static object is made.
struct RegisterOperation {
  explicit RegisterOperation(Operation operation);
};

/// Return an operation. Throws KernelError for an unknown name.
const Operation& operation(const std::string& name);
std::vector<std::string> operation_names();

/// Apply an operation: infer, and make a node. Throws what infer throws, the layer named.
std::vector<Value> emit(const Operation& operation, std::shared_ptr<const void> options,
                        std::vector<Value> inputs);

/// Apply an operation by name with an options struct; return its first output.
template <class Options>
Value apply(const std::string& name, std::vector<Value> inputs, Options options) {
  return emit(operation(name), std::make_shared<Options>(std::move(options)), std::move(inputs))[0];
}
/// The same with the operation's default options.
inline Value apply(const std::string& name, std::vector<Value> inputs) {
  const Operation& op = operation(name);
  return emit(op, op.options.make(), std::move(inputs))[0];
}
/// The same for an operation with several outputs.
template <class Options>
std::vector<Value> apply_all(const std::string& name, std::vector<Value> inputs, Options options) {
  return emit(operation(name), std::make_shared<Options>(std::move(options)), std::move(inputs));
}

/// Make a value that is fed at each run. `name` appears in errors.
Value input_value(const Type& type, const std::string& name = "input");
/// Make a value that never changes.
Value constant_value(const Tensor& tensor);
Value scalar(float value);
/// Make a value that reads a variable.
Value variable_value(const std::shared_ptr<Variable>& variable);

/// Names the layer of all nodes made while it lives.
class LayerScope {
 public:
  explicit LayerScope(std::shared_ptr<const LayerName> name);
  /// Continue in the layer of a node: its gradient and its fused forms belong there.
  explicit LayerScope(const Node& node);
  ~LayerScope();
  LayerScope(const LayerScope&) = delete;
  LayerScope& operator=(const LayerScope&) = delete;

 private:
  std::shared_ptr<const LayerName> before_;
};

/// Return all nodes that `values` depend on, in order of creation.
std::vector<std::shared_ptr<Node>> reachable(const std::vector<Value>& values);

/// Return d(sum of output)/d(wrt[i]) as values of the same graph (reverse accumulation). An
/// independent wrt gives an empty Value. Throws Error naming an operation without a gradient.
std::vector<Value> gradient(const Value& output, const std::vector<Value>& wrt);
/// Return the same as values that are worked out when a program is made, so that they go through
/// layers that differ in training; what has no gradient is refused then.
std::vector<Value> grad(const Value& output, const std::vector<Value>& wrt);

}  // namespace striate
