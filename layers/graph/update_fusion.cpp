#include <striate/kernels/matmul.h>
#include <striate/kernels/optimizer.h>
#include <striate/layers/graph/update_fusion.h>

#include <algorithm>
#include <map>

namespace striate {
namespace {

/// Below this many weights a step of all in one call is quicker than a call of their own.
constexpr int64_t kLeast = 1 << 18;

class UpdateFusion {
 public:
  UpdateFusion(LoweredGraph& graph, Device device) : graph_(graph), device_(device) {
    for (const auto& node : graph.order)
      for (const Value& input : node->inputs)
        if (input) ++users_[input];
    for (const Value& output : graph.outputs) ++users_[output];
    for (const auto* list : {&graph.state, &graph.updates})
      for (const Assignment& a : *list) ++users_[a.value];
  }

  void run() {
    const auto order = graph_.order;
    for (const auto& node : order) {
      if (node->operation->name == "sgd")
        split(*node, node->get<SgdOptions>(), "dense_sgd");
      else if (node->operation->name == "adam")
        split(*node, node->get<AdamOptions>(), "dense_adam");
    }
    if (replaced_.empty()) return;
    for (Assignment& a : graph_.updates) {
      const auto found = replaced_.find(a.value);
      if (found != replaced_.end()) a.value = found->second;
    }
    schedule(graph_);
  }

 private:
  /// True for x^T dy whose only reader is the optimizer.
  bool is_product(const Value& gradient) const {
    const Node& node = *gradient.node;
    if (node.operation->name != "matmul" || gradient.index != 0 || node.gate) return false;
    if (node.inputs.size() > 2 && node.inputs[2]) return false;
    const auto& options = node.get<MatmulOptions>();
    return options.transpose_a && !options.transpose_b && !options.column_sums &&
           options.activation == Activation::kNone && users_.at(gradient) == 1 &&
           gradient.shape().elements() >= kLeast;
  }

  bool is_served(const Operation& operation, const std::shared_ptr<const void>& options,
                 const std::vector<Value>& inputs) const {
    kernels::Problem problem;
    problem.operation = operation.name;
    problem.options = options;
    problem.device = device_;
    for (const Value& input : inputs) problem.inputs.push_back({input.shape(), input.dtype(), {}});
    for (size_t i = 3; i < inputs.size(); ++i) problem.outputs.push_back(problem.inputs[i]);
    return kernels::is_served(problem);
  }

  /// Take the weights that can be apart out of an optimizer's step over all.
  template <class Options>
  void split(const Node& step, Options options, const char* dense) {
    if (step.inputs[1]) return;  // the norm of all gradients is read first
    const auto n = static_cast<size_t>(options.tensors), roles = (step.inputs.size() - 2) / n;
    const auto value = [&](size_t role, size_t k) { return step.inputs[2 + role * n + k]; };
    options.tensors = 1;
    const auto alone = std::make_shared<const Options>(options);
    std::vector<size_t> kept;
    for (size_t k = 0; k < n; ++k) {
      const Value g = value(1, k);
      std::vector<Value> inputs = {step.inputs[0]};
      if (is_product(g)) {
        inputs.insert(inputs.end(), g.node->inputs.begin(), g.node->inputs.begin() + 2);
        for (size_t role = 0; role < roles; ++role)
          if (role != 1) inputs.push_back(value(role, k));
      }
      if (inputs.size() == 1 || !is_served(operation(dense), alone, inputs)) {
        kept.push_back(k);
        continue;
      }
      const LayerScope scope(*g.node);
      const auto made = emit(operation(dense), alone, std::move(inputs));
      for (size_t i = 0; i < made.size(); ++i)
        replaced_[step.output(static_cast<int>(i * n + k))] = made[i];
      auto& gradients = graph_.gradients;
      gradients.erase(std::remove_if(gradients.begin(), gradients.end(),
                                     [&](const Assignment& a) { return a.value == g; }),
                      gradients.end());
    }
    if (kept.size() == n || kept.empty()) return;
    options.tensors = static_cast<int>(kept.size());
    std::vector<Value> inputs = {step.inputs[0], {}};
    for (size_t role = 0; role < roles; ++role)
      for (size_t k : kept) inputs.push_back(value(role, k));
    const LayerScope scope(step);
    const auto made =
        emit(*step.operation, std::make_shared<const Options>(options), std::move(inputs));
    for (size_t i = 0; i < made.size(); ++i)
      replaced_[step.output(static_cast<int>(i / kept.size() * n + kept[i % kept.size()]))] =
          made[i];
  }

  LoweredGraph& graph_;
  Device device_;
  std::map<Value, int> users_;
  std::map<Value, Value> replaced_;
};

}  // namespace

void fuse_updates(LoweredGraph& graph, Device device) { UpdateFusion(graph, device).run(); }

}  // namespace striate
