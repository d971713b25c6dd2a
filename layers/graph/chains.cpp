// Neighbours that work element by element become one operation: each value between them is then a
// register, not a trip to memory. For devices, where a launch costs more than a small one's work.
#include <striate/kernels/cast.h>
#include <striate/kernels/chain.h>
#include <striate/kernels/unary.h>
#include <striate/layers/graph/chains.h>
#include <striate/layers/graph/rules.h>

#include <algorithm>
#include <map>
#include <optional>

namespace striate {
namespace {

using kernels::ChainStep;

/// The steps of a node and what they read; input 0 is the value that goes through.
struct Link {
  std::vector<ChainStep> steps;
  std::vector<Value> inputs;
};

class Chains {
 public:
  explicit Chains(LoweredGraph& graph) : graph_(graph) {}

  void run() {
    count_users();
    for (const auto& node : graph_.order) {
      for (Value& input : node->inputs) input = current(input);
      merge(*node);
    }
    for (Value& output : graph_.outputs) output = current(output);
    for (auto* list : {&graph_.state, &graph_.gradients, &graph_.updates})
      for (Assignment& a : *list) a.value = current(a.value);
    if (!replaced_.empty()) schedule(graph_);
  }

 private:
  Value current(const Value& value) const {
    const auto found = replaced_.find(value.node.get());
    return found == replaced_.end() ? value : found->second;
  }

  void count_users() {
    for (const auto& node : graph_.order)
      for (const Value& input : node->inputs)
        if (input) ++users_[input.node.get()];
    for (const Value& output : graph_.outputs) ++users_[output.node.get()];
    for (const auto* list : {&graph_.state, &graph_.gradients, &graph_.updates})
      for (const Assignment& a : *list) ++users_[a.value.node.get()];
  }

  /// Return a node as links that begin with its input `first`; none where it is no such function.
  static std::optional<Link> link_of(const Node& node, size_t first) {
    if (node.gate || node.outputs.size() != 1 || node.id == 0) return {};
    for (const Value& input : node.inputs)
      if (!input || !is_narrow_float(input)) return {};
    const std::string& name = node.operation->name;
    const Shape& shape = node.outputs[0].shape;
    const auto fits = [&](const Value& v) {
      return v.shape() == shape || v.shape().elements() == 1;
    };
    if (!is_narrow_float(node.output()) || node.inputs.empty() ||
        node.inputs[first].shape() != shape)
      return {};
    if (name == "chain" && first == 0)
      return Link{kernels::chain_steps(node.get<ChainOptions>().steps), node.inputs};
    if (name == "cast" && first == 0) return Link{{}, node.inputs};
    if (!kernels::is_chainable(name)) return {};
    const bool takes_alpha = node.inputs.size() == 1 || name.find("_backward") != std::string::npos;
    ChainStep step = {name, 0, 1};
    if (takes_alpha && node.options)
      step.alpha = static_cast<float>(node.get<UnaryOptions>().alpha);
    if (node.inputs.size() == 1)
      return first == 0 ? Link{{step}, node.inputs} : std::optional<Link>();
    if (node.inputs.size() != 2 || !fits(node.inputs[1 - first])) return {};
    step.other = first == 0 ? 1 : -1;
    return Link{{step}, {node.inputs[first], node.inputs[1 - first]}};
  }

  /// Join a node with the producer of one of its inputs that nobody else reads.
  void merge(const Node& node) {
    for (size_t first = std::min<size_t>(node.inputs.size(), 2); first-- > 0;) {
      const Value& through = node.inputs[first];
      if (!through || through.index != 0 || users_[through.node.get()] != 1) continue;
      std::optional<Link> after = link_of(node, first), before;
      for (size_t i = 0; after && !before && i < std::min<size_t>(through.node->inputs.size(), 2);
           ++i)
        before = link_of(*through.node, i);
      if (!before || before->steps.size() + after->steps.size() > kernels::kMostChainSteps ||
          before->inputs.size() + after->inputs.size() - 1 > kernels::kMostChainInputs)
        continue;
      const int shift = static_cast<int>(before->inputs.size()) - 1;
      for (ChainStep& step : after->steps) {
        if (step.other != 0) step.other += step.other > 0 ? shift : -shift;
        before->steps.push_back(step);
      }
      before->inputs.insert(before->inputs.end(), after->inputs.begin() + 1, after->inputs.end());
      const LayerScope scope(node);
      const Value made =
          apply("chain", before->inputs,
                ChainOptions{kernels::to_string(before->steps), node.outputs[0].dtype});
      made.node->id = node.id;  // the order of execution stays that of creation
      users_[made.node.get()] = users_[&node];
      replaced_[&node] = made;
      return;
    }
  }

  LoweredGraph& graph_;
  std::map<const Node*, int> users_;
  std::map<const Node*, Value> replaced_;
};

}  // namespace

void fuse_chains(LoweredGraph& graph) { Chains(graph).run(); }

}  // namespace striate
