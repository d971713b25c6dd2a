#include <striate/kernels/matmul.h>
#include <striate/kernels/reduce.h>
#include <striate/layers/graph/row_work.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace striate {
namespace {

/// What a value has to do with the rows of the batch; `kOther` may mix them.
enum class Kind { kFixed, kRows, kMean, kOther };

using Names = std::set<std::string>;

bool is_among(const Node& node, const Names& names) { return names.count(node.operation->name); }

/// True when a fixed value is not spread along the rows of `rows`.
bool spares_rows(const Shape& fixed, const Shape& rows) {
  return fixed.rank() < rows.rank() || fixed[0] == 1;
}

/// Return the kind of a node that has inputs of the given kinds.
Kind kind_of(const Node& node, const std::vector<Kind>& kinds) {
  static const Names kFirst = {"conv2d",  "max_pool2d", "avg_pool2d",   "global_avg_pool2d",
                               "pad2d",   "relu",       "relu6",        "leaky_relu",
                               "sigmoid", "tanh",       "dropout",      "cast",
                               "rescale", "identity",   "top_k_correct"};
  static const Names kTogether = {"add", "subtract", "multiply"};
  const auto all = [&](Kind kind) {
    return std::all_of(kinds.begin(), kinds.end(), [kind](Kind k) { return k == kind; });
  };
  if (all(Kind::kFixed)) return Kind::kFixed;
  if (node.operation->is_loss) return all(Kind::kRows) ? Kind::kMean : Kind::kOther;
  if (all(Kind::kMean)) return is_among(node, {"add", "scale"}) ? Kind::kMean : Kind::kOther;
  const Shape &x = node.inputs[0].shape(), &y = node.outputs[0].shape;
  if (node.operation->name == "reduce_mean")
    return kinds[0] == Kind::kRows && y.rank() == 0 ? Kind::kMean : Kind::kOther;
  if (y.rank() == 0 || y[0] != kUnknown) return Kind::kOther;
  if (is_among(node, kTogether)) {
    for (size_t i = 0; i < kinds.size(); ++i) {
      const Shape& shape = node.inputs[i].shape();
      const bool fits = kinds[i] == Kind::kRows ? shape.rank() == y.rank() && shape[0] == kUnknown
                                                : kinds[i] == Kind::kFixed && spares_rows(shape, y);
      if (!fits) return Kind::kOther;
    }
    return Kind::kRows;
  }
  if (kinds[0] != Kind::kRows || x.rank() == 0 || x[0] != kUnknown) return Kind::kOther;
  if (node.operation->name == "reshape") {
    int64_t from = 1, to = 1;
    for (int d = 1; d < x.rank(); ++d) from *= x[d] == kUnknown ? 0 : x[d];
    for (int d = 1; d < y.rank(); ++d) to *= y[d] == kUnknown ? 0 : y[d];
    return from == to && from > 0 ? Kind::kRows : Kind::kOther;
  }
  if (is_among(node, {"top_k_correct"})) return all(Kind::kRows) ? Kind::kRows : Kind::kOther;
  for (size_t i = 1; i < kinds.size(); ++i)
    if (kinds[i] != Kind::kFixed) return Kind::kOther;
  if (node.operation->name == "matmul")
    return node.get<MatmulOptions>().transpose_a ? Kind::kOther : Kind::kRows;
  return is_among(node, kFirst) ? Kind::kRows : Kind::kOther;
}

}  // namespace

std::optional<RowWork> row_work(const std::vector<Value>& means) {
  std::map<const Node*, Kind> kinds;
  RowWork work;
  for (const auto& node : reachable(means)) {
    const std::string& name = node->operation->name;
    std::vector<Kind> inputs;
    for (const Value& input : node->inputs)
      inputs.push_back(input ? kinds.at(input.node.get()) : Kind::kFixed);
    Kind kind = Kind::kFixed;
    const Shape& y = node->outputs[0].shape;
    if (name == "input")
      kind = y.rank() > 0 && y[0] == kUnknown ? Kind::kRows : Kind::kOther;
    else if (!inputs.empty())
      kind = kind_of(*node, inputs);
    if (kind == Kind::kOther) return {};
    kinds[node.get()] = kind;
    if (kind != Kind::kRows || (name != "conv2d" && name != "matmul")) continue;
    // Each weight is used once for each pixel.
    double pixels = 1;
    for (int d = 1; d + 1 < y.rank(); ++d) {
      if (y[d] == kUnknown) return {};
      pixels *= static_cast<double>(y[d]);
    }
    work.weights += static_cast<double>(node->inputs[1].shape().elements());
    work.products += pixels * static_cast<double>(node->inputs[1].shape().elements());
    work.bytes += pixels * static_cast<double>(y[-1]) * sizeof(float);
  }
  for (const Value& value : means)
    if (kinds.at(value.node.get()) != Kind::kMean) return {};
  return work;
}

}  // namespace striate
