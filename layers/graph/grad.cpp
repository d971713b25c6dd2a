// The gradient as a node of the user's graph, worked out when a program is made: only there is it
// known what dropout and batch normalisation are.
#include <striate/layers/graph/rules.h>

#include <unordered_set>

namespace striate {
namespace {

const RegisterOperation gradient_operation({
    .name = "gradient",
    .doc = "Return d(sum of output)/d(wrt).\noutput: any shape, wrt: any shapes -> the same shapes",
    .inputs = {"output", "wrt..."},
    .outputs = {"gradients..."},
    .infer = [](const Signature& s) -> std::vector<Type> {
      need_floats(s, std::vector<std::string>(s.inputs.size(), "each value"));
      std::vector<Type> types;
      for (size_t i = 1; i < s.inputs.size(); ++i) types.push_back(*s.inputs[i]);
      return types;
    },
    .lower = [](const Node&, const std::vector<Value>& inputs, Lowering&) -> std::vector<Value> {
      const std::vector<Value> wrt(inputs.begin() + 1, inputs.end());
      std::vector<Value> values = gradient(inputs[0], wrt);
      for (size_t i = 0; i < wrt.size(); ++i)
        if (!values[i]) values[i] = apply("broadcast_to", {number(0, wrt[i].dtype()), wrt[i]});
      return values;
    },
    .is_public = false,
});

/// Return the nodes of `wrt` that `output` depends on; reads of one variable are one.
std::vector<bool> depends_on(const Value& output, const std::vector<Value>& wrt) {
  std::unordered_set<const void*> seen;
  for (const auto& node : reachable({output}))
    seen.insert(node->variable ? static_cast<const void*>(node->variable.get()) : node.get());
  std::vector<bool> depends;
  for (const Value& value : wrt)
    depends.push_back(seen.count(value.node->variable
                                     ? static_cast<const void*>(value.node->variable.get())
                                     : value.node.get()) != 0);
  return depends;
}

}  // namespace

std::vector<Value> grad(const Value& output, const std::vector<Value>& wrt) {
  const std::vector<bool> depends = depends_on(output, wrt);
  std::vector<Value> inputs = {output};
  for (size_t i = 0; i < wrt.size(); ++i)
    if (depends[i]) inputs.push_back(wrt[i]);
  std::vector<Value> results(wrt.size());
  if (inputs.size() == 1) return results;
  const auto made = emit(operation("gradient"), std::make_shared<NoOptions>(), inputs);
  for (size_t i = 0, k = 0; i < wrt.size(); ++i)
    if (depends[i]) results[i] = made[k++];
  return results;
}

}  // namespace striate
