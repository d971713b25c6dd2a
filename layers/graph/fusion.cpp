#include <striate/kernels/batch_norm.h>
#include <striate/kernels/cast.h>
#include <striate/kernels/conv2d.h>
#include <striate/kernels/dense_backward.h>
#include <striate/kernels/loss.h>
#include <striate/kernels/matmul.h>
#include <striate/kernels/pool2d.h>
#include <striate/kernels/reduce.h>
#include <striate/kernels/unary.h>
#include <striate/layers/graph/chains.h>
#include <striate/layers/shape_ops.h>

#include <map>

namespace striate {
namespace {

/// True for a loss and what its kernel makes with it, but not for its gradient.
bool is_result_of_loss(const Value& value) {
  return value.index != 1 && value.node->operation->is_loss;
}

/// Rewrites a scheduled graph. A merged node takes the id of the node it replaces, so that the
/// order of execution stays that of creation.
class Fusion {
 public:
  Fusion(LoweredGraph& graph, Device device, bool training)
      : graph_(graph), device_(device), training_(training) {}

  void run() {
    count_users();
    for (size_t i = 0; i < graph_.order.size(); ++i) {
      const auto node = graph_.order[i];
      for (Value& input : node->inputs) input = current(input);
      const std::string& name = node->operation->name;
      if (name == "rescale") merge_cast(*node);
      if (!training_ && name == "batch_norm_inference") fold_batch_norm(*node);
      if (name == "add") merge_residual(*node);
      merge_activation(*node);
      merge_into_pooling(*node);
      merge_gate(*node);
      if (name == "reduce_sum") merge_column_sums(*node);
      if (name == "reduce_mean") merge_share(*node);
    }
    if (training_ && device_.type != DeviceType::kCpu) let_losses_stop();
    put_in_place();
    for (const auto& node : graph_.order) merge_dense_gradients(*node);
    put_in_place();
  }

 private:
  /// A merged node has the id of the one it replaces, so values must be told apart by their nodes.
  using Key = std::pair<const Node*, int>;
  static Key key(const Value& value) { return {value.node.get(), value.index}; }

  Value current(Value value) const {
    for (auto it = replaced_.find(key(value)); it != replaced_.end();
         it = replaced_.find(key(value)))
      value = it->second;
    return value;
  }

  /// Make the graph that of the replacements.
  void put_in_place() {
    for (const auto& node : graph_.order)
      for (Value& input : node->inputs) input = current(input);
    for (Value& output : graph_.outputs) output = current(output);
    for (auto* list : {&graph_.state, &graph_.gradients, &graph_.updates})
      for (Assignment& a : *list) a.value = current(a.value);
    schedule(graph_);
  }

  void count_users() {
    for (const auto& node : graph_.order)
      for (const Value& input : node->inputs)
        if (input) ++users_[input];
    for (const Value& output : graph_.outputs) ++users_[output];
    for (const auto* list : {&graph_.state, &graph_.updates})
      for (const Assignment& a : *list) ++users_[a.value];
  }

  bool only_user(const Value& value) const {
    const auto found = users_.find(value);
    return found != users_.end() && found->second == 1;
  }

  /// Replace `node` and `producer` by one node of the producer's operation.
  void merge(const Node& node, const Node& producer, std::shared_ptr<const void> options,
             std::vector<Value> inputs) {
    const LayerScope scope(producer);
    const auto outputs = emit(*producer.operation, std::move(options), std::move(inputs));
    outputs[0].node->id = node.id;
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Value old = producer.output(static_cast<int>(i));
      users_[outputs[i]] = i == 0 ? users_[node.output(0)] : users_[old];
      if (i > 0) replaced_[key(old)] = outputs[i];
    }
    replaced_[key(node.output(0))] = outputs[0];
  }

  void merge_cast(const Node& node) {
    const Node& cast = *node.inputs[0].node;
    if (cast.operation->name != "cast" || !only_user(node.inputs[0])) return;
    if (cast.inputs[0].dtype() != DType::kU8 || node.outputs[0].dtype != DType::kF32) return;
    const LayerScope scope(node);
    const Value merged = emit(*node.operation, node.options, {cast.inputs[0]})[0];
    merged.node->id = node.id;
    users_[merged] = users_[node.output(0)];
    replaced_[key(node.output(0))] = merged;
  }

  /// y = norm(conv(x, w, b)) is conv(x, w * s, (b - mean) * s + beta), s = gamma / sqrt(var + e).
  void fold_batch_norm(const Node& node) {
    const Value y = node.inputs[0];
    const Node& conv = *y.node;
    if (conv.operation->name != "conv2d" || !only_user(y) || y.index != 0) return;
    if (conv.inputs.size() > 3 && conv.inputs[3]) return;
    Conv2dOptions options = conv.get<Conv2dOptions>();
    const BatchNormOptions& norm = node.get<BatchNormOptions>();
    if (options.activation != Activation::kNone || (node.inputs.size() > 5 && node.inputs[5]))
      return;
    for (size_t i = 1; i < 5; ++i)
      if (node.inputs[i].node->operation->name != "variable") return;
    const LayerScope scope(conv);
    const Value gamma = node.inputs[1], beta = node.inputs[2], mean = node.inputs[3];
    const bool has_bias = conv.inputs.size() > 2 && conv.inputs[2];
    const Value filters = before_cast(conv.inputs[1], gamma.dtype());
    const Value old_bias = has_bias ? before_cast(conv.inputs[2], gamma.dtype()) : Value{};
    if (filters.dtype() != gamma.dtype() || (has_bias && old_bias.dtype() != gamma.dtype())) return;
    const Value shifted = apply("shift", {node.inputs[4]}, UnaryOptions{norm.epsilon});
    const Value scale = apply("multiply", {gamma, apply("rsqrt", {shifted}, UnaryOptions{})});
    const Value rows = apply("reshape", {scale}, ReshapeOptions{{scale.shape()[0], 1, 1, 1}});
    const Value weights = apply("multiply", {filters, rows});
    const Value offset =
        has_bias ? apply("subtract", {old_bias, mean}) : apply("negative", {mean}, UnaryOptions{});
    const Value bias = apply("add", {apply("multiply", {offset, scale}), beta});
    options.activation = norm.activation;
    const auto converted = [&](const Value& v) {
      return v.dtype() == y.dtype() ? v : apply("cast", {v}, CastOptions{y.dtype()});
    };
    merge(node, conv, std::make_shared<Conv2dOptions>(options),
          {conv.inputs[0], converted(weights), converted(bias)});
  }

  /// Return what a value of another type was converted from, where that has the type wanted: in
  /// mixed precision weights are converted after they were scaled.
  static Value before_cast(const Value& value, DType wanted) {
    if (value.dtype() == wanted || value.node->operation->name != "cast") return value;
    const Value& from = value.node->inputs[0];
    return from.dtype() == wanted ? from : value;
  }

  static bool is_convolution(const Value& value) {
    return value.index == 0 && value.node->operation->name == "conv2d";
  }
  static bool is_batch_norm(const Value& value) {
    const std::string& name = value.node->operation->name;
    return value.index == 0 && (name == "batch_norm_training" || name == "batch_norm_inference");
  }

  bool takes_residual(const Value& value) const {
    if (!only_user(value)) return false;
    const Node& node = *value.node;
    if (is_convolution(value))
      return (node.inputs.size() < 4 || !node.inputs[3]) &&
             node.get<Conv2dOptions>().activation == Activation::kNone;
    return is_batch_norm(value) && (node.inputs.size() < 6 || !node.inputs[5]) &&
           node.get<BatchNormOptions>().activation == Activation::kNone;
  }

  void merge_residual(const Node& node) {
    if (node.inputs[0].shape() != node.inputs[1].shape()) return;
    // The later of two producers is the main path; the earlier one is its residual.
    Value main = node.inputs[0], residual = node.inputs[1];
    if (takes_residual(residual) && (!takes_residual(main) || main < residual))
      std::swap(main, residual);
    if (!takes_residual(main)) return;
    std::vector<Value> inputs = main.node->inputs;
    inputs.resize(is_convolution(main) ? 4 : 6);
    inputs.back() = residual;
    merge(node, *main.node, main.node->options, std::move(inputs));
  }

  void merge_activation(const Node& node) {
    static const std::map<std::string, Activation> kActivations = {
        {"relu", Activation::kRelu},
        {"relu6", Activation::kRelu6},
        {"sigmoid", Activation::kSigmoid},
        {"tanh", Activation::kTanh},
        {"leaky_relu", Activation::kLeakyRelu}};
    const auto found = kActivations.find(node.operation->name);
    if (found == kActivations.end()) return;
    const Value x = node.inputs[0];
    if (!only_user(x) || x.index != 0) return;
    const Node& producer = *x.node;
    const auto with = [&](auto options) {
      using Options = decltype(options);
      if (options.activation != Activation::kNone) return;
      options.activation = found->second;
      if constexpr (requires { options.negative_slope; })
        if (found->second == Activation::kLeakyRelu)
          options.negative_slope = node.get<UnaryOptions>().alpha;
      merge(node, producer, std::make_shared<Options>(options), producer.inputs);
    };
    if (producer.operation->name == "conv2d") with(producer.get<Conv2dOptions>());
    if (producer.operation->name == "matmul") with(producer.get<MatmulOptions>());
    if (is_batch_norm(x) && found->second == Activation::kRelu)
      with(producer.get<BatchNormOptions>());
  }

  /// True when the device has a kernel, not the reference alone, for what a node would be.
  bool is_served(const Operation& operation, std::shared_ptr<const void> options,
                 const std::vector<Value>& inputs, const std::vector<Type>& outputs,
                 kernels::Gate gate) const {
    kernels::Problem problem;
    problem.operation = operation.name;
    problem.options = std::move(options);
    problem.device = device_;
    problem.gate = gate;
    for (const Value& input : inputs) {
      problem.inputs.push_back(input ? kernels::ValueDesc{input.shape(), input.dtype(), {}}
                                     : kernels::ValueDesc());
      problem.optional.push_back(static_cast<bool>(input));
    }
    for (const Type& type : outputs) problem.outputs.push_back({type.shape, type.dtype, {}});
    return kernels::is_served(problem);
  }

  /// Return `value` in another shape: what the graph has already, such as a flattened image.
  Value reshape_of(const Value& value, const Shape& shape) {
    for (const auto& node : graph_.order)
      if (node->operation->name == "reshape" && current(node->inputs[0]) == value &&
          node->outputs[0].shape == shape)
        return node->output();
    const Value made = apply("reshape", {value}, ReshapeOptions{shape});
    made.node->id = value.node->id;
    return made;
  }

  /// dx = v * activation'(y): where v has no other use its kernel can multiply before it stores. A
  /// reshape between them moves behind.
  void merge_gate(const Node& node) {
    static const std::map<std::string, Activation> kGradients = {
        {"relu_backward", Activation::kRelu},
        {"relu6_backward", Activation::kRelu6},
        {"sigmoid_backward", Activation::kSigmoid},
        {"tanh_backward", Activation::kTanh},
        {"leaky_relu_backward", Activation::kLeakyRelu}};
    const auto found = kGradients.find(node.operation->name);
    if (found == kGradients.end() || replaced_.count(key(node.output(0)))) return;
    if (!only_user(node.inputs[0])) return;
    Value v = node.inputs[0];
    const bool reshaped = v.node->operation->name == "reshape";
    if (reshaped) v = v.node->inputs[0];
    const Node& producer = *v.node;
    if (v.index != 0 || producer.gate || producer.outputs.size() != 1 || !only_user(v)) return;
    const LayerScope scope(node);
    Value y = node.inputs[1];
    if (reshaped) y = reshape_of(y, v.shape());
    auto merged = std::make_shared<Node>(producer);
    merged->inputs.resize(producer.operation->inputs.size());
    merged->gate = {found->second, 0, static_cast<int>(merged->inputs.size())};
    if (found->second == Activation::kLeakyRelu)
      merged->gate.slope = node.get<UnaryOptions>().alpha;
    merged->inputs.push_back(y);
    if (!is_served(*producer.operation, producer.options, merged->inputs, producer.outputs,
                   merged->gate))
      return;
    Value result = {merged, 0};
    merged->id = node.id;
    if (reshaped) {
      merged->id = node.inputs[0].node->id;
      users_[result] = 1;
      result = apply("reshape", {result}, ReshapeOptions{node.outputs[0].shape});
      result.node->id = node.id;
    }
    users_[result] = users_[node.output(0)];
    replaced_[key(node.output(0))] = result;
  }

  /// relu's gradient keeps or drops what a winner of max pooling gets, by the pooled y: where that
  /// is not above 0 the pooling names no winner, and nothing is left for relu's gradient to do.
  void merge_into_pooling(const Node& node) {
    if (node.operation->name != "relu_backward" || !only_user(node.inputs[0])) return;
    const Value dx = node.inputs[0];
    const Node& pool = *dx.node;
    if (pool.operation->name != "max_pool2d_backward" || pool.gate) return;
    const Value winner = pool.inputs[1];
    const Node& forward = *winner.node;
    if (forward.operation->name != "max_pool2d" || forward.inputs[0] != node.inputs[1]) return;
    if (!only_user(winner)) return;
    Pool2dOptions options = forward.get<Pool2dOptions>();
    options.rectified = true;
    replace(forward, options);
    users_[dx] = users_[node.output(0)];
    replaced_[key(node.output(0))] = dx;
  }

  /// dw = x^T dy and db = the sums of dy's columns: one pass over dy gives both.
  void merge_column_sums(const Node& node) {
    const Value dy = node.inputs[0];
    const ReduceOptions& reduce = node.get<ReduceOptions>();
    if (dy.shape().rank() != 2 || reduce.keepdims || reduce.axes != std::vector<int>{0}) return;
    for (const auto& other : graph_.order) {
      if (other->operation->name != "matmul" || replaced_.count(key(other->output(0)))) continue;
      MatmulOptions options = other->get<MatmulOptions>();
      if (current(other->inputs[1]) != dy || !options.transpose_a || options.transpose_b ||
          options.column_sums || (other->inputs.size() > 2 && other->inputs[2]))
        continue;
      options.column_sums = true;
      const auto made = std::make_shared<MatmulOptions>(options);
      std::vector<Value> inputs = other->inputs;
      for (Value& input : inputs) input = current(input);
      const std::vector<Type> outputs = {other->outputs[0], node.outputs[0]};
      if (!is_served(*other->operation, made, inputs, outputs, {})) return;
      const LayerScope scope(*other);
      const auto merged = emit(*other->operation, made, std::move(inputs));
      merged[0].node->id = std::max(node.id, other->id);
      users_[merged[0]] = users_[other->output(0)];
      users_[merged[1]] = users_[node.output(0)];
      replaced_[key(other->output(0))] = merged[0];
      replaced_[key(node.output(0))] = merged[1];
      return;
    }
  }

  /// True for a product of a dense layer's gradient: dy w^T or x^T dy.
  static bool is_gradient_product(const Node& node, bool of_weights) {
    if (node.operation->name != "matmul" || (node.inputs.size() > 2 && node.inputs[2]))
      return false;
    const auto& options = node.get<MatmulOptions>();
    return options.transpose_a == of_weights && options.transpose_b == !of_weights &&
           options.activation == Activation::kNone;
  }

  /// dx = dy w^T, gated or not, and dw = x^T dy with its column sums: one launch where a kernel
  /// does both.
  void merge_dense_gradients(const Node& dx) {
    if (!is_gradient_product(dx, false)) return;
    for (const auto& dw : graph_.order) {
      if (!is_gradient_product(*dw, true) || dw->gate || replaced_.count(key(dw->output(0))) ||
          dw->inputs[1] != dx.inputs[0] || dw->outputs[0].shape != dx.inputs[1].shape())
        continue;
      const uint64_t id = std::min(dx.id, dw->id);
      std::vector<Value> inputs = {dx.inputs[0], dw->inputs[0], dx.inputs[1]};
      kernels::Gate gate = dx.gate;
      if (gate) {
        inputs.push_back(dx.inputs[static_cast<size_t>(gate.input)]);
        gate.input = 3;
      }
      bool is_made_before = true;
      for (Value& input : inputs) {
        input = current(input);
        is_made_before = is_made_before && input.node->id < id;
      }
      std::vector<Type> outputs = {dx.outputs[0]};
      outputs.insert(outputs.end(), dw->outputs.begin(), dw->outputs.end());
      const Operation& both = operation("dense_backward");
      const auto options = std::make_shared<DenseBackwardOptions>(
          DenseBackwardOptions{dw->get<MatmulOptions>().column_sums});
      if (!is_made_before || !is_served(both, options, inputs, outputs, gate)) continue;
      const LayerScope scope(*dw);
      const auto made = emit(both, options, {inputs[0], inputs[1], inputs[2]});
      Node& node = *made[0].node;
      node.id = id;
      node.gate = gate;
      node.inputs = inputs;
      replaced_[key(dx.output(0))] = made[0];
      for (size_t i = 1; i < made.size(); ++i)
        replaced_[key(dw->output(static_cast<int>(i) - 1))] = made[i];
      return;
    }
  }

  /// Put a node with other options in the place of one, and return its outputs, which may be more.
  /// Nodes behind it may have been visited already.
  template <class Options>
  std::vector<Value> replace(const Node& node, const Options& options) {
    const LayerScope scope(node);
    const auto made = emit(*node.operation, std::make_shared<Options>(options), node.inputs);
    made[0].node->id = node.id;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      const Value old = node.output(static_cast<int>(i));
      users_[made[i]] = users_[old];
      replaced_[key(old)] = made[i];
    }
    for (const auto& later : graph_.order)
      for (Value& input : later->inputs) input = current(input);
    return made;
  }

  /// The same for a loss, where a kernel of the device makes it; none: it stays.
  std::vector<Value> replace_loss(const Node& loss, const LossOptions& options,
                                  const std::vector<Type>& outputs) {
    const auto with_options = std::make_shared<LossOptions>(options);
    if (!is_served(*loss.operation, with_options, loss.inputs, outputs, {})) return {};
    return replace(loss, options);
  }

  /// The mean of top_k_correct: the loss of the same scores and labels counts the right rows too.
  void merge_share(const Node& node) {
    const Value rows = node.inputs[0];
    if (rows.node->operation->name != "top_k_correct" || !only_user(rows)) return;
    if (node.outputs[0].shape.rank() != 0) return;
    for (const auto& loss : graph_.order) {
      if (loss->id > node.id) return;
      if (loss->operation->name != "sparse_categorical_crossentropy" ||
          replaced_.count(key(loss->output(0))) || loss->inputs[0] != rows.node->inputs[0] ||
          loss->inputs[1] != rows.node->inputs[1])
        continue;
      LossOptions options = loss->get<LossOptions>();
      options.top_k = rows.node->get<TopKOptions>().k;
      std::vector<Type> outputs = loss->outputs;
      outputs.push_back(node.outputs[0]);
      const auto made = replace_loss(*loss, options, outputs);
      if (made.empty()) return;
      users_[made[2]] = users_[node.output(0)];
      replaced_[key(node.output(0))] = made[2];
      return;
    }
  }

  /// A loss that the program returns tells the step block itself when it is not finite.
  void let_losses_stop() {
    for (const Value& output : graph_.outputs) {
      const Value loss = current(output);
      if (!is_result_of_loss(loss)) continue;
      LossOptions options = loss.node->get<LossOptions>();
      if (options.stops) continue;
      options.stops = true;
      replace_loss(*loss.node, options, loss.node->outputs);
    }
  }

  LoweredGraph& graph_;
  Device device_;
  bool training_;
  std::map<Value, int> users_;
  std::map<Key, Value> replaced_;
};

}  // namespace

void fuse(LoweredGraph& graph, Device device, bool training) {
  Fusion(graph, device, training).run();
  if (device.type != DeviceType::kCpu) fuse_chains(graph);
}

bool stops_by_itself(const Value& output) {
  return is_result_of_loss(output) && output.node->get<LossOptions>().stops;
}

}  // namespace striate
