#include <striate/core/parallel.h>
#include <striate/core/step.h>
#include <striate/kernels/reorder.h>
#include <striate/layers/graph/plan.h>

#include <algorithm>
#include <map>
#include <set>

namespace striate {
namespace {

class Planner {
 public:
  Planner(const LoweredGraph& graph, const ProgramOptions& options)
      : graph_(graph), options_(options) {}

  Plan build() {
    if (on_device()) plan_.alignment = 256;
    count_uses();
    for (size_t i = 0; i < graph_.inputs.size(); ++i) {
      const Value& input = graph_.inputs[i];
      const int made = add_value(input.type(), {}, Place::kInput, input.node->path());
      value(made).number = static_cast<int>(i);
      plan_.inputs.push_back(made);
      versions_[input] = {made};
    }
    bool updating = false;
    for (const auto& node : graph_.order) {
      if (!updating && node->id >= graph_.first_update_id) {
        updating = true;
        finish_shard();
      }
      node->inputs.empty() ? add_leaf(*node) : add_node(*node);
    }
    if (!updating) finish_shard();
    assign(graph_.updates);
    mark_gradients();
    measure_lifetimes();
    plan_.arena_bytes = lay_out_memory(plan_.values, Place::kArena, plan_.alignment);
    plan_.persistent_bytes = lay_out_memory(plan_.values, Place::kPersistent, plan_.alignment);
    for (const auto& [path, index] : plan_.gradients) {
      const PlanValue& owner = plan_.root(index);
      if (plan_.gradient_bytes == 0 || owner.offset < plan_.gradient_offset)
        plan_.gradient_offset = owner.offset;
      plan_.gradient_bytes +=
          (owner.bytes + plan_.alignment - 1) / plan_.alignment * plan_.alignment;
    }
    return std::move(plan_);
  }

 private:
  bool on_device() const { return options_.device.type != DeviceType::kCpu; }
  PlanValue& value(int index) { return plan_.values[static_cast<size_t>(index)]; }
  PlanValue& root(int index) { return value(value(index).root); }

  static size_t bytes_of(const Type& type, const Layout& layout) {
    const auto elements = static_cast<size_t>(layout.elements(type.shape));
    if (elements > kMostBytes / size_of(type.dtype))
      throw ShapeError("a program's values have at most 2^60 bytes each", type.shape.to_string());
    return elements * size_of(type.dtype);
  }

  int add_value(const Type& type, const Layout& layout, Place place, const std::string& name) {
    PlanValue made;
    made.type = type;
    made.layout = layout;
    made.place = place;
    made.bytes = bytes_of(type, layout);
    made.name = name;
    made.root = static_cast<int>(plan_.values.size());
    plan_.values.push_back(std::move(made));
    return plan_.values.back().root;
  }

  void count_uses() {
    for (const auto& node : graph_.order)
      for (size_t i = 0; i < node->inputs.size(); ++i)
        if (node->inputs[i] && !node->operation->shape_only(i)) ++uses_[node->inputs[i]];
    for (const Value& output : graph_.outputs) ++uses_[output];
    for (const auto* list : {&graph_.state, &graph_.updates})
      for (const Assignment& a : *list) {
        ++uses_[a.value];
        assigned_[a.value] = a.variable.get();
      }
  }

  int variable_index(const std::shared_ptr<Variable>& variable) {
    const auto found = variables_.find(variable.get());
    if (found != variables_.end()) return found->second;
    const int made =
        add_value(variable->type, variable->layout(), Place::kVariable, variable->path);
    value(made).number = static_cast<int>(plan_.variables.size());
    plan_.variables.push_back(variable);
    variables_[variable.get()] = made;
    return made;
  }

  void add_leaf(const Node& node) {
    const Value output = node.output(0);
    if (versions_.count(output)) return;
    int made = -1;
    if (node.operation->name == "variable") {
      made = variable_index(node.variable);
    } else if (node.operation->name == "constant") {
      made = add_value(node.outputs[0], {}, Place::kConstant, "constant");
      value(made).number = static_cast<int>(plan_.constants.size());
      plan_.constants.push_back(node.constant);
    } else {
      made = add_value(node.outputs[0], {}, Place::kStepBlock, node.path());
    }
    versions_[output] = {made};
  }

  /// True for values that change only when a variable does, in a program that changes none.
  bool is_persistent(int index) {
    const Place place = root(index).place;
    return !options_.training &&
           (place == Place::kVariable || place == Place::kConstant || place == Place::kPersistent);
  }

  /// True for values that stay as they are until the weights are updated.
  bool is_lasting(int index) {
    const PlanValue& owner = root(index);
    if (!options_.training || owner.place != Place::kVariable) return is_persistent(index);
    const Variable* variable = plan_.variables[static_cast<size_t>(owner.number)].get();
    return std::none_of(graph_.state.begin(), graph_.state.end(),
                        [&](const Assignment& a) { return a.variable.get() == variable; });
  }

  kernels::Problem problem_of(const Node& node) {
    kernels::Problem problem;
    problem.operation = node.operation->name;
    problem.options = node.options;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const Value& input = node.inputs[i];
      kernels::ValueDesc desc;
      if (input) {
        desc.shape = input.shape();
        desc.dtype = input.dtype();
        if (!node.operation->shape_only(i)) desc.layout = value(versions_.at(input)[0]).layout;
      }
      problem.inputs.push_back(desc);
      problem.lasting.push_back(input && !node.operation->shape_only(i) &&
                                is_lasting(versions_.at(input)[0]));
      problem.optional.push_back(static_cast<bool>(input));
    }
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      problem.outputs.push_back({node.outputs[i].shape, node.outputs[i].dtype, {}});
      problem.unread.push_back(uses_[node.output(static_cast<int>(i))] == 0);
    }
    problem.device = options_.device;
    problem.threads = threads();
    problem.exact = options_.exact;
    problem.same_for_threads = options_.same_for_threads;
    problem.tf32 = options_.tf32;
    problem.weights_change = options_.training;
    problem.path = node.path();
    problem.gate = node.gate;
    return problem;
  }

  PlanStep make_step(const kernels::Problem& problem, const std::string& layer) {
    PlanStep step;
    step.problem = problem;
    if (options_.prefer) step.problem.preferred = options_.prefer(problem);
    step.choice = kernels::choose(step.problem);
    step.kernel = std::move(step.choice.prepared.kernel);
    step.layer = layer;
    step.path = problem.path;
    step.operation = problem.operation;
    return step;
  }

  void add_workspace(PlanStep& step, Place place) {
    if (step.choice.prepared.workspace == 0) return;
    const auto bytes = static_cast<int64_t>(step.choice.prepared.workspace);
    step.workspace = add_value({Shape({bytes}), DType::kU8}, {}, place, step.path + " workspace");
  }

  /// Return the step block as a value.
  int step_block() {
    if (graph_.step_block) return versions_.at(graph_.step_block)[0];
    if (step_block_ < 0)
      step_block_ = add_value({Shape({static_cast<int64_t>(sizeof(StepBlock))}), DType::kU8}, {},
                              Place::kStepBlock, "step block");
    return step_block_;
  }

  /// Add an input to a problem and its step, in the layout that it has.
  void add_input(kernels::Problem& problem, std::vector<int>& inputs, int index) {
    const PlanValue& v = value(index);
    problem.inputs.push_back({v.type.shape, v.type.dtype, v.layout});
    inputs.push_back(index);
  }

  /// A device cannot ask the host before it changes state: a kernel looks at the losses, and those
  /// that store state see in the step block what it found.
  void check_losses() {
    kernels::Problem problem;
    std::vector<int> inputs;
    for (size_t i = 0; i < graph_.outputs.size(); ++i) {
      const Type& type = graph_.outputs[i].type();
      if (type.dtype == DType::kF32 && type.shape.rank() == 0 &&
          !stops_by_itself(graph_.outputs[i]))
        add_input(problem, inputs, plan_.outputs[i]);
    }
    if (inputs.empty()) return;
    add_input(problem, inputs, step_block());
    problem.operation = "check_finite";
    problem.device = options_.device;
    PlanStep step = make_step(problem, "");
    step.inputs = std::move(inputs);
    plan_.steps.push_back(std::move(step));
  }

  /// Append a copy of `from` in `layout` to the list that its place asks for; return the copy.
  int add_reorder(int from, const Layout& layout, int to = -1, bool beforehand = false) {
    const PlanValue source = value(from);
    kernels::Problem problem;
    problem.operation = "reorder";
    problem.options = std::make_shared<ReorderOptions>(ReorderOptions{layout});
    problem.inputs = {{source.type.shape, source.type.dtype, source.layout}};
    problem.outputs = {{source.type.shape, source.type.dtype, layout}};
    problem.device = options_.device;
    problem.threads = threads();
    problem.path = source.name;
    const bool persistent = beforehand || (to < 0 && is_persistent(from));
    const Place place = persistent ? Place::kPersistent : Place::kArena;
    std::vector<int> inputs = {from};
    if (on_device() && to >= 0 && value(to).place == Place::kVariable)
      add_input(problem, inputs, step_block());
    PlanStep step = make_step(problem, "");
    if (to < 0) to = add_value(source.type, layout, place, source.name);
    step.inputs = std::move(inputs);
    step.outputs = {to};
    add_workspace(step, place);
    mark_consumed(from);
    (persistent ? plan_.prologue : plan_.steps).push_back(std::move(step));
    return to;
  }

  /// Have an input of a step packed beforehand; return the packed value.
  int add_packing(PlanStep& user, int from) {
    kernels::Packing& packing = user.choice.prepared.packing;
    PlanStep step;
    step.kernel = std::move(packing.kernel);
    step.layer = user.layer;
    step.path = value(from).name;
    step.operation = "pack";
    step.choice.entry = user.choice.entry;
    step.choice.why = "for " + user.operation + " of " + user.path;
    step.inputs = {from};
    const Type bytes{Shape({static_cast<int64_t>(packing.bytes)}), DType::kU8};
    step.outputs = {add_value(bytes, {}, Place::kPersistent, step.path)};
    plan_.prologue.push_back(std::move(step));
    return plan_.prologue.back().outputs[0];
  }

  void mark_consumed(int index) {
    if (value(index).place == Place::kVariable) consumed_.insert(index);
  }

  /// Return the value in the wanted layout: one that exists, the variable itself if this program
  /// may still choose its layout, or a reordered copy; `beforehand`: one that the prologue makes.
  int in_layout(const Value& wanted_value, const Layout& layout, bool beforehand = false) {
    std::vector<int>& versions = versions_.at(wanted_value);
    for (int index : versions)
      if (same_bytes(value(index).layout, layout, wanted_value.shape()) &&
          !(beforehand && root(index).place == Place::kArena))
        return index;
    PlanValue& first = value(versions[0]);
    const bool is_view = first.root != versions[0];  // of the variable, which others know as it is
    if (first.place == Place::kVariable && !is_view && options_.training &&
        !consumed_.count(versions[0]) &&
        !plan_.variables[static_cast<size_t>(first.number)]->pinned()) {
      first.layout = layout;
      first.bytes = bytes_of(first.type, layout);
      return versions[0];
    }
    const int made = add_reorder(versions[0], layout, -1, beforehand);
    versions_.at(wanted_value).push_back(made);
    return made;
  }

  void add_node(const Node& node) {
    kernels::Problem problem = problem_of(node);
    PlanStep step;
    try {
      step = make_step(problem, node.layer());
    } catch (Error& error) {
      error.set_layer(node.layer());
      throw;
    }
    const kernels::Prepared& prepared = step.choice.prepared;
    bool persistent = !options_.training;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const bool present = node.inputs[i] && !node.operation->shape_only(i);
      const bool packed =
          prepared.packing.kernel && static_cast<size_t>(prepared.packing.input) == i;
      step.inputs.push_back(present ? in_layout(node.inputs[i], prepared.inputs[i], packed) : -1);
      if (!present) continue;
      persistent = persistent && is_persistent(step.inputs.back());
      mark_consumed(step.inputs.back());
      if (packed) step.inputs.back() = add_packing(step, step.inputs.back());
    }
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (step.inputs[i] >= 0) --uses_[node.inputs[i]];
    const Place place = persistent ? Place::kPersistent : Place::kArena;
    for (size_t o = 0; o < node.outputs.size(); ++o) {
      const int made = add_value(node.outputs[o], prepared.outputs[o], place,
                                 node.path().empty() ? node.operation->name : node.path());
      step.outputs.push_back(made);
      versions_[node.output(static_cast<int>(o))] = {made};
    }
    if (is_view(node, step)) return;
    for (const kernels::InPlace& share : prepared.in_place) share_memory(node, step, share);
    add_workspace(step, place);
    (persistent ? plan_.prologue : plan_.steps).push_back(std::move(step));
  }

  /// Make the output another name of the input's memory where that is all that the kernel does.
  bool is_view(const Node& node, const PlanStep& step) {
    const kernels::Prepared& prepared = step.choice.prepared;
    if (prepared.in_place.size() != 1 || !prepared.in_place[0].view || node.outputs.size() != 1)
      return false;
    const Value& from = node.inputs[static_cast<size_t>(prepared.in_place[0].input)];
    const int input = step.inputs[static_cast<size_t>(prepared.in_place[0].input)];
    const int output = step.outputs[0];
    if (value(input).bytes != value(output).bytes) return false;
    value(output).root = value(input).root;
    value(output).place = root(input).place;
    auto& names = views_[value(input).root];
    if (versions_.at(from)[0] == input) names.push_back(from);
    names.push_back(node.output(0));
    return true;
  }

  /// True when nothing will read this memory any more under another name.
  bool is_unseen(int index) const {
    const auto names = views_.find(plan_.values[static_cast<size_t>(index)].root);
    if (names == views_.end()) return true;
    for (const Value& name : names->second)
      if (uses_.at(name) > 0) return false;
    return true;
  }

  void share_memory(const Node& node, PlanStep& step, const kernels::InPlace& share) {
    const size_t i = static_cast<size_t>(share.input);
    if (i >= step.inputs.size() || step.inputs[i] < 0) return;
    const int input = step.inputs[i], output = step.outputs[static_cast<size_t>(share.output)];
    std::vector<int>& versions = versions_.at(node.inputs[i]);
    const bool is_copy = versions[0] != input;
    const bool is_dead = uses_[node.inputs[i]] == 0;
    const PlanValue& owner = root(input);
    bool allowed = owner.place == Place::kArena && (is_copy || is_dead) && is_unseen(input) &&
                   owner.bytes >= value(output).bytes && value(input).bytes == value(output).bytes;
    if (owner.place == Place::kVariable && share.required) {
      const auto target = assigned_.find(node.output(share.output));
      allowed = target != assigned_.end() && variables_.at(target->second) == value(input).root;
    }
    if (allowed) {
      if (is_copy) versions.erase(std::find(versions.begin(), versions.end(), input));
      value(output).root = value(input).root;
      value(output).place = owner.place;
    } else if (share.required) {
      const int copy = add_reorder(input, value(input).layout);
      step.inputs[i] = copy;
      value(output).root = copy;
      value(output).place = value(copy).place;
    }
  }

  void assign(const std::vector<Assignment>& list) {
    for (const Assignment& a : list) {
      const int target = variable_index(a.variable);
      const int source = versions_.at(a.value)[0];
      if (value(source).root == target) continue;
      add_reorder(source, value(target).layout, target);
    }
  }

  /// End the part that runs once a shard: hand out the outputs and store the state.
  void finish_shard() {
    std::set<int> handed;
    for (size_t i = 0; i < graph_.outputs.size(); ++i) {
      int index = in_layout(graph_.outputs[i], {});
      PlanValue& made = value(index);
      const bool direct = made.place == Place::kArena && made.root == index &&
                          handed.insert(index).second && !is_shared(index);
      if (!direct) {
        index = add_reorder(index, {}, add_value(made.type, {}, Place::kOutput, made.name));
      }
      value(index).place = Place::kOutput;
      value(index).number = static_cast<int>(i);
      plan_.outputs.push_back(index);
    }
    if (on_device() && options_.training) check_losses();
    plan_.state_begin = plan_.steps.size();
    assign(graph_.state);
    plan_.update_begin = plan_.steps.size();
  }

  /// True when another value lies in this one's memory, or an update reads it.
  bool is_shared(int index) {
    for (size_t i = 0; i < plan_.values.size(); ++i)
      if (plan_.values[i].root == index && static_cast<int>(i) != index) return true;
    for (const Assignment& a : graph_.gradients) {
      const auto found = versions_.find(a.value);
      if (found == versions_.end()) continue;
      for (int version : found->second)
        if (version == index) return true;
    }
    return false;
  }

  /// The versions of each gradient that the update takes from the shards lie in the gradient
  /// region; a copy that it makes itself, of the shards' sum, does not.
  void mark_gradients() {
    std::set<int> late;
    for (size_t s = plan_.update_begin; s < plan_.steps.size(); ++s)
      late.insert(plan_.steps[s].outputs.begin(), plan_.steps[s].outputs.end());
    for (const Assignment& a : graph_.gradients) {
      const auto found = versions_.find(a.value);
      if (found == versions_.end()) continue;
      std::set<int> read;
      for (size_t s = plan_.update_begin; s < plan_.steps.size(); ++s)
        for (int input : plan_.steps[s].inputs)
          if (!late.count(input) && std::count(found->second.begin(), found->second.end(), input))
            read.insert(input);
      for (int version : read) {
        if (root(version).place != Place::kArena || root(version).gradient) continue;
        root(version).gradient = true;
        plan_.gradients.emplace_back(a.variable->path, version);
      }
    }
  }

  void measure_lifetimes() {
    measure(plan_.prologue, 0);
    const int prologue_end = static_cast<int>(plan_.prologue.size());
    for (PlanStep& step : plan_.steps)
      for (int input : step.inputs)
        if (input >= 0 && root(input).place == Place::kPersistent) root(input).last = prologue_end;
    measure(plan_.steps, 0);
    for (PlanValue& v : plan_.values)
      if (v.gradient) v.last = static_cast<int>(plan_.steps.size());
  }

  void measure(const std::vector<PlanStep>& steps, int begin) {
    for (size_t s = 0; s < steps.size(); ++s) {
      const int now = begin + static_cast<int>(s);
      auto touch = [&](int index) {
        if (index < 0) return;
        PlanValue& owner = root(index);
        const bool in_prologue = &steps == &plan_.prologue;
        if ((owner.place == Place::kPersistent) != in_prologue) return;
        if (owner.first < 0) owner.first = now;
        owner.last = std::max(owner.last, now);
      };
      for (int index : steps[s].inputs) touch(index);
      for (int index : steps[s].outputs) touch(index);
      touch(steps[s].workspace);
    }
  }

  const LoweredGraph& graph_;
  ProgramOptions options_;
  Plan plan_;
  std::map<Value, std::vector<int>> versions_;
  std::map<Value, int> uses_;
  std::map<Value, Variable*> assigned_;
  std::map<Variable*, int> variables_;
  std::set<int> consumed_;
  std::map<int, std::vector<Value>> views_;  // the names of memory that has several
  int step_block_ = -1;
};

}  // namespace

Plan make_plan(const LoweredGraph& graph, const ProgramOptions& options) {
  return Planner(graph, options).build();
}

}  // namespace striate
