#include <striate/layers/graph/graph.h>
#include <striate/layers/graph/rules.h>
#include <striate/layers/graph/variable.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <unordered_set>

namespace striate {
namespace {

std::map<std::string, std::unique_ptr<Operation>>& registry() {
  static std::map<std::string, std::unique_ptr<Operation>> operations;
  return operations;
}

std::atomic<uint64_t> next_id{1};

thread_local std::shared_ptr<const LayerName> scope;

/// Return the operation of a leaf: a node that computes nothing.
const Operation& leaf_operation(const std::string& name) {
  static const std::map<std::string, Operation> leaves = [] {
    std::map<std::string, Operation> made;
    for (const char* leaf : {"input", "constant", "variable"}) {
      made[leaf].name = leaf;
      made[leaf].is_public = false;
    }
    return made;
  }();
  return leaves.at(name);
}

std::shared_ptr<Node> leaf(const char* name, const Type& type) {
  auto node = std::make_shared<Node>();
  node->operation = &leaf_operation(name);
  node->outputs = {type};
  node->id = next_id++;
  return node;
}

}  // namespace

bool operator<(const Value& a, const Value& b) {
  const uint64_t id_a = a.node ? a.node->id : 0, id_b = b.node ? b.node->id : 0;
  return id_a != id_b ? id_a < id_b : a.index < b.index;
}

bool Operation::shape_only(size_t input) const {
  return input < inputs.size() && inputs[input].rfind("like ", 0) == 0;
}

bool Operation::optional(size_t input) const {
  return input < inputs.size() && inputs[input].front() == '[';
}

RegisterOperation::RegisterOperation(Operation operation) {
  const std::string name = operation.name;
  registry()[name] = std::make_unique<Operation>(std::move(operation));
}

const Operation& operation(const std::string& name) {
  const auto found = registry().find(name);
  if (found != registry().end()) return *found->second;
  throw KernelError("there is no operation '" + name + "'", "",
                    "See striate.ops.names() for those that exist");
}

std::vector<std::string> operation_names() {
  std::vector<std::string> names;
  for (const auto& [name, op] : registry()) names.push_back(name);
  return names;
}

std::vector<Value> emit(const Operation& op, std::shared_ptr<const void> options,
                        std::vector<Value> inputs) {
  auto node = std::make_shared<Node>();
  node->operation = &op;
  node->name = scope;
  Signature signature;
  signature.options = options.get();
  for (const Value& input : inputs) signature.inputs.push_back(input ? &input.type() : nullptr);
  const bool variadic = !op.inputs.empty() && op.inputs.back().size() > 3 &&
                        op.inputs.back().compare(op.inputs.back().size() - 3, 3, "...") == 0;
  size_t least = 0;
  for (size_t i = 0; i < op.inputs.size(); ++i)
    if (!op.optional(i) && !(variadic && i + 1 == op.inputs.size())) least = i + 1;
  try {
    if (inputs.size() < least || (!variadic && inputs.size() > op.inputs.size()))
      throw ShapeError(op.name + " takes " + std::to_string(op.inputs.size()) + " inputs",
                       std::to_string(inputs.size()));
    for (size_t i = 0; i < inputs.size(); ++i)
      if (!inputs[i] && !op.optional(i))
        throw ShapeError(op.name + " needs its input '" +
                         op.inputs[std::min(i, op.inputs.size() - 1)] + "'");
    node->outputs = op.infer(signature);
  } catch (Error& error) {
    error.set_layer(scope ? scope->to_string() : op.name);
    throw;
  }
  node->options = std::move(options);
  node->inputs = std::move(inputs);
  node->id = next_id++;
  std::vector<Value> outputs;
  for (size_t i = 0; i < node->outputs.size(); ++i) outputs.push_back({node, static_cast<int>(i)});
  return outputs;
}

Value input_value(const Type& type, const std::string& name) {
  auto node = leaf("input", type);
  node->name = std::make_shared<LayerName>(LayerName{"Input", name});
  return {node, 0};
}

Value constant_value(const Tensor& tensor) {
  auto node = leaf("constant", {tensor.shape(), tensor.dtype()});
  node->constant = tensor;
  return {node, 0};
}

Value scalar(float value) { return constant_value(Tensor::from<float>({}, {value})); }

Value variable_value(const std::shared_ptr<Variable>& variable) {
  auto node = leaf("variable", variable->type);
  node->variable = variable;
  return {node, 0};
}

LayerScope::LayerScope(std::shared_ptr<const LayerName> name) : before_(scope) {
  scope = std::move(name);
}

LayerScope::LayerScope(const Node& node) : before_(scope) { scope = node.name; }

LayerScope::~LayerScope() { scope = before_; }

std::vector<std::shared_ptr<Node>> reachable(const std::vector<Value>& values) {
  std::vector<std::shared_ptr<Node>> nodes, todo;
  std::unordered_set<const Node*> seen;
  auto visit = [&](const Value& value) {
    if (value && seen.insert(value.node.get()).second) todo.push_back(value.node);
  };
  for (const Value& value : values) visit(value);
  while (!todo.empty()) {
    auto node = todo.back();
    todo.pop_back();
    for (const Value& input : node->inputs) visit(input);
    nodes.push_back(std::move(node));
  }
  std::sort(nodes.begin(), nodes.end(), [](const auto& a, const auto& b) { return a->id < b->id; });
  return nodes;
}

std::vector<Value> gradient(const Value& output, const std::vector<Value>& wrt) {
  const auto nodes = reachable({output});
  // Only nodes between wrt and the output get gradients.
  std::unordered_set<const Node*> needed;
  for (const Value& value : wrt) needed.insert(value.node.get());
  for (const auto& node : nodes)
    for (size_t i = 0; i < node->inputs.size(); ++i)
      if (node->inputs[i] && !node->operation->shape_only(i) &&
          needed.count(node->inputs[i].node.get()))
        needed.insert(node.get());
  std::map<Value, Value> sums;
  if (needed.count(output.node.get())) {
    const Value one = number(1, output.dtype());
    sums[output] = output.shape().rank() == 0 ? one : apply("broadcast_to", {one, output});
  }
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    const Node& node = **it;
    if (!needed.count(&node) || node.inputs.empty()) continue;
    std::vector<Value> outputs(node.outputs.size());
    bool any = false;
    for (size_t i = 0; i < outputs.size(); ++i) {
      const auto found = sums.find({*it, static_cast<int>(i)});
      if (found != sums.end()) outputs[i] = found->second, any = true;
    }
    if (!any) continue;
    const LayerScope layer_scope(node);
    if (!node.operation->gradient)
      throw Error("the operation '" + node.operation->name + "' has no gradient",
                  node.name ? "in " + node.layer() : "");
    std::vector<Value> inputs = node.operation->gradient(node, outputs);
    for (size_t i = 0; i < node.inputs.size() && i < inputs.size(); ++i) {
      if (!inputs[i] || !node.inputs[i] || !needed.count(node.inputs[i].node.get())) continue;
      Value& sum = sums[node.inputs[i]];
      sum = sum ? apply("add", {sum, inputs[i]}) : inputs[i];
    }
  }
  std::vector<Value> result;
  for (const Value& value : wrt) {
    const auto found = sums.find(value);
    result.push_back(found == sums.end() ? Value{} : found->second);
  }
  return result;
}

}  // namespace striate
