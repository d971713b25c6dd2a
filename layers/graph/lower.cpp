#include <striate/core/step.h>
#include <striate/kernels/cast.h>
#include <striate/layers/graph/lower.h>
#include <striate/layers/optimizer.h>

#include <algorithm>
#include <iterator>
#include <set>

namespace striate {
namespace {

bool all_frozen(const std::vector<std::shared_ptr<Variable>>& weights) {
  return std::all_of(weights.begin(), weights.end(),
                     [](const auto& weight) { return !weight->trainable || weight->frozen; });
}

class Builder : public Lowering {
 public:
  explicit Builder(bool training) : training_(training) {}

  bool training() const override { return training_; }

  void assign(const std::shared_ptr<Variable>& variable, const Value& value) override {
    current_[variable.get()] = value;
    auto& list = updating_ ? graph_.updates : graph_.state;
    for (Assignment& a : list)
      if (a.variable == variable) {
        a.value = value;
        return;
      }
    list.push_back({variable, value});
  }

  Value step_block() override {
    if (!graph_.step_block)
      graph_.step_block =
          input_value({Shape({static_cast<int64_t>(sizeof(StepBlock))}), DType::kU8}, "step block");
    return graph_.step_block;
  }

  /// Return the variable's value at this place of the step.
  Value read(const std::shared_ptr<Variable>& variable) {
    Value& value = current_[variable.get()];
    if (!value) value = variable_value(variable);
    first_.emplace(variable.get(), value);
    return value;
  }

  void feed(const Value& symbolic, const Type& type) {
    Value value = input_value(type, symbolic.node->path());
    graph_.inputs.push_back(value);
    if (type.dtype != symbolic.dtype())
      value = apply("cast", {value}, CastOptions{symbolic.dtype()});
    made_[symbolic] = value;
  }

  void copy(const Node& node) {
    const std::string& name = node.operation->name;
    if (made_.count({node.output(0)})) return;
    if (name == "variable") {
      made_[node.output(0)] = read(node.variable);
      return;
    }
    if (name == "constant") {
      made_[node.output(0)] = node.output(0);
      return;
    }
    if (name == "input")
      throw ShapeError("a program must be given every input that its outputs depend on",
                       "no input '" + node.path() + "'");
    std::vector<Value> inputs;
    for (const Value& input : node.inputs) inputs.push_back(input ? made_.at(input) : Value{});
    const LayerScope scope(node);
    const auto outputs = node.operation->lower
                             ? node.operation->lower(node, inputs, *this)
                             : emit(*node.operation, node.options, std::move(inputs));
    for (size_t i = 0; i < outputs.size(); ++i)
      if (outputs[i]) made_[node.output(static_cast<int>(i))] = outputs[i];
  }

  Value made(const Value& symbolic) const {
    const auto found = made_.find(symbolic);
    if (found == made_.end())
      throw Error("this output of '" + symbolic.node->operation->name +
                  "' does not exist in this kind of program");
    return found->second;
  }

  void update(const std::vector<Update>& updates) {
    if (updates.size() > std::size(StepBlock{}.learning_rate))
      throw ShapeError("a program takes at most " +
                           std::to_string(std::size(StepBlock{}.learning_rate)) + " updates",
                       std::to_string(updates.size()));
    std::vector<std::vector<Assignment>> all;
    std::set<const Variable*> updated;
    for (const Update& update : updates) {
      std::vector<Value> weights;
      std::vector<Assignment> gradients;
      for (const auto& variable : update.weights)
        if (variable->trainable && !variable->frozen && first_.count(variable.get())) {
          if (!updated.insert(variable.get()).second)
            throw ShapeError("a weight may be in one update of a program only",
                             "'" + variable->path + "'",
                             "Add the losses and update it once, or make two programs");
          gradients.push_back({variable, {}});
          weights.push_back(first_.at(variable.get()));
        }
      const auto values = gradient(made(update.loss), weights);
      for (size_t i = 0; i < values.size(); ++i) gradients[i].value = values[i];
      gradients.erase(std::remove_if(gradients.begin(), gradients.end(),
                                     [](const Assignment& a) { return !a.value; }),
                      gradients.end());
      if (gradients.empty() && !update.weights.empty() && !all_frozen(update.weights))
        throw ShapeError("the loss of an update must depend on its weights",
                         "none of " + std::to_string(update.weights.size()) + " weights, first '" +
                             update.weights[0]->path + "'");
      all.push_back(std::move(gradients));
    }
    updating_ = true;
    graph_.first_update_id = scalar(0).node->id;
    for (size_t i = 0; i < updates.size(); ++i) {
      for (const Assignment& a : all[i]) graph_.gradients.push_back(a);
      updates[i].optimizer->emit(all[i], static_cast<int>(i), *this);
    }
    std::stable_sort(graph_.gradients.begin(), graph_.gradients.end(),
                     [](const Assignment& a, const Assignment& b) { return a.value < b.value; });
  }

  LoweredGraph graph_;

 private:
  bool training_;
  bool updating_ = false;
  std::map<Value, Value> made_;
  std::map<Variable*, Value> current_, first_;
};

}  // namespace

LoweredGraph lower(const std::vector<Value>& inputs, const std::vector<Type>& types,
                   const std::vector<Value>& outputs, const std::vector<Update>& updates,
                   bool training) {
  Builder builder(training);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!compatible(inputs[i].shape(), types[i].shape))
      throw ShapeError(
          "input '" + inputs[i].node->path() + "' takes " + inputs[i].shape().to_string(),
          types[i].shape.to_string());
    builder.feed(inputs[i], types[i]);
  }
  std::vector<Value> roots = outputs;
  for (const Update& update : updates) roots.push_back(update.loss);
  for (const auto& node : reachable(roots)) builder.copy(*node);
  for (const Value& output : outputs) builder.graph_.outputs.push_back(builder.made(output));
  builder.graph_.first_update_id = ~uint64_t{0};
  if (!updates.empty()) builder.update(updates);
  schedule(builder.graph_);
  return std::move(builder.graph_);
}

void schedule(LoweredGraph& graph) {
  std::vector<Value> roots = graph.outputs;
  for (const auto& a : graph.state) roots.push_back(a.value);
  for (const auto& a : graph.updates) roots.push_back(a.value);
  // Values of which only the shape is asked are not computed; then smallest id first.
  std::map<const Node*, int> waiting;
  std::map<const Node*, std::vector<std::shared_ptr<Node>>> users;
  std::vector<std::shared_ptr<Node>> todo;
  auto visit = [&](const Value& value) {
    if (value && waiting.emplace(value.node.get(), 0).second) todo.push_back(value.node);
  };
  for (const Value& root : roots) visit(root);
  auto by_id = [](const auto& a, const auto& b) { return a->id < b->id; };
  std::multiset<std::shared_ptr<Node>, decltype(by_id)> ready(by_id);
  while (!todo.empty()) {
    auto node = todo.back();
    todo.pop_back();
    int count = 0;
    for (size_t i = 0; i < node->inputs.size(); ++i) {
      if (!node->inputs[i] || node->operation->shape_only(i)) continue;
      visit(node->inputs[i]);
      users[node->inputs[i].node.get()].push_back(node);
      ++count;
    }
    waiting[node.get()] = count;
    if (count == 0) ready.insert(node);
  }
  graph.order.clear();
  while (!ready.empty()) {
    auto node = *ready.begin();
    ready.erase(ready.begin());
    for (const auto& user : users[node.get()])
      if (--waiting[user.get()] == 0) ready.insert(user);
    graph.order.push_back(std::move(node));
  }
}

}  // namespace striate
