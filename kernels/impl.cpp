#include <striate/core/nearest.h>
#include <striate/core/parallel.h>
#include <striate/core/plugin.h>
#include <striate/kernels/activation_value.h>
#include <striate/kernels/impl.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>

namespace striate::kernels {
namespace {

struct Lists {
  std::shared_mutex mutex;  // a plug-in adds its entries while others look theirs up
  std::map<std::string, std::vector<std::unique_ptr<Entry>>> entries;
  std::map<std::string, std::function<Cost(const Problem&)>> costs;
};

Lists& lists() {
  static auto* all = new Lists;  // as long as the process, like the kernels made from it
  return *all;
}

/// One rule of `operation=entry,...`.
struct Rule {
  std::string operation, entry;
};

std::vector<Rule> rules_of(const std::string& text) {
  std::vector<Rule> rules;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string rule = text.substr(begin, end - begin);
    const size_t equals = rule.find('=');
    if (equals == std::string::npos)
      throw KernelError("kernel rules read operation=entry,...", "'" + text + "'");
    rules.push_back({rule.substr(0, equals), rule.substr(equals + 1)});
    begin = end + 1;
  }
  return rules;
}

/// Return the names of an operation's entries on all devices, of all operations' for `*`.
std::vector<std::string> entry_names(const std::string& operation) {
  std::set<std::string> names;
  const std::shared_lock lock(lists().mutex);
  for (const auto& [name, list] : lists().entries)
    if (operation == "*" || operation == name)
      for (const auto& entry : list) names.insert(entry->name);
  return {names.begin(), names.end()};
}

[[noreturn]] void refuse(const std::string& rule, const std::string& word,
                         const std::vector<std::string>& known, const std::string& fix = "") {
  const std::string near = nearest(word, known);
  throw KernelError(rule + comma_separated(known), "'" + word + "'",
                    near.empty() ? fix : "Perhaps '" + near + "' is meant");
}

/// Throw KernelError for rules of operations or entries that do not exist.
void check_rules(const std::string& text) {
  for (const Rule& rule : rules_of(text)) {
    const auto has = [](const std::vector<std::string>& names, const std::string& name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    const auto known = operations_with_entries();
    if (rule.operation != "*" && !has(known, rule.operation))
      refuse("kernel rules name an operation that has kernels, or *: ", rule.operation, known);
    if (rule.entry == "auto" || has(entry_names(rule.operation), rule.entry)) continue;
    const Plugin& cuda = cuda_plugin();  // entries of CUDA are there once the plug-in is loaded
    const auto names = entry_names(rule.operation);
    if (!has(names, rule.entry))
      refuse("an entry of " + (rule.operation == "*" ? "any operation" : rule.operation) +
                 " must be auto or one of ",
             rule.entry, names, cuda.loaded ? "" : "CUDA's are not among them: " + cuda.reason);
  }
}

struct Forced {
  std::mutex mutex;
  std::string rules;
};

Forced& forced_rules() {
  static Forced* rules = [] {
    auto made = std::make_unique<Forced>();
    if (const char* text = std::getenv("STRIATE_KERNELS")) made->rules = text;
    check_rules(made->rules);
    return made.release();  // lives as long as the process: entries may ask at exit
  }();
  return *rules;
}

/// Return the entry's name that the rules force on the operation, or "auto".
std::string forced_name(const std::string& text, const std::string& operation) {
  std::string own = "", all = "auto";
  for (const Rule& rule : rules_of(text)) {
    if (rule.operation == operation) own = rule.entry;
    if (rule.operation == "*") all = rule.entry;
  }
  return own.empty() ? all : own;
}

/// Return the seconds of the copies that bring the inputs into the layouts that an entry wants.
double reorder_seconds(const Problem& problem, const Prepared& prepared) {
  // Measured for copies between blocks: 8 to 16 GB/s, and 50 where all stays in the caches.
  constexpr double kCached = 1 << 20;
  double seconds = 0;
  for (size_t i = 0; i < problem.inputs.size(); ++i) {
    const ValueDesc& input = problem.inputs[i];
    const Layout wanted = i < prepared.inputs.size() ? prepared.inputs[i] : Layout();
    if (!problem.has_input(i) || same_bytes(input.layout, wanted, input.shape)) continue;
    if (problem.is_lasting(i) && !problem.weights_change) continue;  // copied once
    const double bytes =
        static_cast<double>(input.layout.elements(input.shape) + wanted.elements(input.shape)) *
        static_cast<double>(size_of(input.dtype));
    seconds += bytes / (bytes < kCached ? 24e9 : 8e9);
  }
  return seconds;
}

/// Return the estimate of an entry, and of the next best of our own or a guest's, copies included.
std::string estimates(const Choice& choice, const std::vector<double>& seconds) {
  const auto milliseconds = [](double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g ms", value * 1e3);
    return std::string(text);
  };
  std::string own;
  size_t next = seconds.size();
  for (size_t i = 0; i < seconds.size(); ++i) {
    const Candidate& candidate = choice.candidates[i];
    if (candidate.entry == choice.entry)
      own = milliseconds(seconds[i]);
    else if (candidate.reason.empty() && candidate.entry->name != "reference" &&
             (next == seconds.size() || seconds[i] < seconds[next]))
      next = i;
  }
  if (next == seconds.size()) return "";
  return " (" + own + ", " + choice.candidates[next].entry->name + " " +
         milliseconds(seconds[next]) + ")";
}

std::string describe(const Problem& problem) {
  std::string text = problem.operation + " of";
  for (const auto& input : problem.inputs) text += " " + input.shape.to_string();
  return text;
}

template <class T>
void apply_gate_to(const Problem& problem, const Arguments& arguments) {
  const Gate& gate = problem.gate;
  auto* v = static_cast<T*>(arguments.outputs[0]);
  const auto* y = static_cast<const T*>(arguments.inputs[gate.input]);
  for (int64_t i = 0; i < problem.outputs[0].shape.elements(); ++i)
    v[i] = static_cast<T>(through_activation(gate.activation, v[i], y[i], gate.slope));
}

void apply_gate(const Problem& problem, const Arguments& arguments) {
  const bool is_double = problem.outputs[0].dtype == DType::kF64;
  (is_double ? apply_gate_to<double> : apply_gate_to<float>)(problem, arguments);
}

}  // namespace

Register::Register(Entry entry) {
  const std::string operation = entry.operation;
  const std::unique_lock lock(lists().mutex);
  lists().entries[operation].push_back(std::make_unique<Entry>(std::move(entry)));
}

RegisterCost::RegisterCost(const std::string& operation, std::function<Cost(const Problem&)> cost) {
  const std::unique_lock lock(lists().mutex);
  lists().costs[operation] = std::move(cost);
}

Entry reference_entry(std::string operation,
                      std::function<void(const Problem&, const Arguments&)> run,
                      double efficiency) {
  Entry entry;
  entry.operation = std::move(operation);
  entry.name = "reference";
  entry.declines = [](const Problem&) { return std::string(); };
  entry.prepare = [run](const Problem& problem) {
    Prepared prepared;
    prepared.kernel = make_kernel([problem, run](const Arguments& a) {
      run(problem, a);
      if (problem.gate) apply_gate(problem, a);
    });
    return prepared;
  };
  entry.gates = true;
  entry.efficiency = [efficiency](const Problem&) { return efficiency; };
  return entry;
}

Cost cost_of(const Problem& problem) {
  {
    const std::shared_lock lock(lists().mutex);
    const auto found = lists().costs.find(problem.operation);
    if (found != lists().costs.end()) return found->second(problem);
  }
  Cost cost;
  for (const auto* values : {&problem.inputs, &problem.outputs})
    for (const auto& v : *values)
      cost.bytes += static_cast<double>(v.shape.elements()) * static_cast<double>(size_of(v.dtype));
  return cost;
}

double roofline_seconds(const Problem& problem) {
  // Nominal figures of one AVX2 core at 3.2 GHz and two memory channels, and of an A100 without its
  // tensor cores: they rank, not promise.
  const bool on_cpu = problem.device.type == DeviceType::kCpu;
  const double flops_per_second = on_cpu ? 102.4e9 * problem.threads : 19.5e12;
  const double bytes_per_second = on_cpu ? 20e9 : 2.04e12;
  const Cost cost = cost_of(problem);
  return std::max(cost.flops / flops_per_second, cost.bytes / bytes_per_second) + 1e-7;
}

std::vector<const Entry*> entries(const std::string& operation, DeviceType device) {
  std::vector<const Entry*> found;
  const std::shared_lock lock(lists().mutex);
  const auto list = lists().entries.find(operation);
  if (list == lists().entries.end()) return found;
  for (const auto& entry : list->second)
    if (entry->device == device) found.push_back(entry.get());
  std::sort(found.begin(), found.end(), [](const Entry* a, const Entry* b) {
    const bool last_a = a->name == "reference", last_b = b->name == "reference";
    return last_a != last_b ? last_b : a->name < b->name;
  });
  return found;
}

std::vector<std::string> operations_with_entries() {
  std::vector<std::string> names;
  const std::shared_lock lock(lists().mutex);
  for (const auto& [name, list] : lists().entries) names.push_back(name);
  return names;
}

std::string refusal(const Entry& entry, const Problem& problem) {
  if (problem.gate && !entry.gates) return "applies no activation's gradient";
  return entry.declines(problem);
}

namespace {

/// Return the least estimate of the entries that accept, but for the reference; infinite: none does.
double least_estimate(const Problem& problem) {
  double least = std::numeric_limits<double>::infinity();
  for (const Entry* entry : entries(problem.operation, problem.device.type))
    if (entry->name != "reference" && refusal(*entry, problem).empty())
      least = std::min(least, roofline_seconds(problem) / entry->efficiency(problem));
  return least;
}

}  // namespace

Problem without_gate(Problem problem) {
  if (!problem.gate) return problem;
  problem.inputs.resize(static_cast<size_t>(problem.gate.input));
  problem.optional.resize(std::min(problem.optional.size(), problem.inputs.size()));
  problem.gate = {};
  return problem;
}

bool is_served(const Problem& problem) {
  const double seconds = least_estimate(problem);
  if (!problem.gate) return std::isfinite(seconds);
  Problem pass;
  pass.operation = "relu_backward";
  pass.device = problem.device;
  pass.outputs = {problem.outputs[0]};
  pass.inputs = {pass.outputs[0], pass.outputs[0]};
  return std::isfinite(seconds) &&
         seconds <= least_estimate(without_gate(problem)) + roofline_seconds(pass);
}

Choice choose(const Problem& problem) {
  Choice choice;
  const std::string& preferred = problem.preferred.entry;
  const std::string rules = forced();
  const std::string wanted = forced_name(rules, problem.operation);
  for (const Entry* entry : entries(problem.operation, problem.device.type)) {
    Candidate candidate{entry, refusal(*entry, problem), 0};
    candidate.estimate_seconds = roofline_seconds(problem) / entry->efficiency(problem);
    choice.candidates.push_back(std::move(candidate));
  }
  std::stable_sort(choice.candidates.begin(), choice.candidates.end(),
                   [](const Candidate& a, const Candidate& b) {
                     return a.estimate_seconds < b.estimate_seconds;
                   });
  if (choice.candidates.empty())
    throw KernelError("the operation has no kernel on " + problem.device.to_string(),
                      describe(problem));
  // `*=name` forces an entry only where an operation has one of that name.
  bool named = false, own_rule = forced_name("*=auto," + rules, problem.operation) == wanted &&
                                 rules.find(problem.operation + "=") != std::string::npos;
  for (const Candidate& candidate : choice.candidates) named |= candidate.entry->name == wanted;
  const bool is_forced = wanted != "auto" && (named || own_rule);
  if (is_forced && !named) {
    std::vector<std::string> names;
    for (const Candidate& c : choice.candidates) names.push_back(c.entry->name);
    throw KernelError(
        "no entry '" + wanted + "' for " + problem.operation + " on " + problem.device.to_string(),
        "entries " + comma_separated(names));
  }
  // Estimates do not know of copies between layouts. A later entry is prepared too while its
  // estimate is below the time of the best one so far, copies included.
  double best = std::numeric_limits<double>::infinity();
  std::vector<double> all;  // with the copies of those that are prepared
  for (Candidate& candidate : choice.candidates) {
    all.push_back(candidate.estimate_seconds);
    if (is_forced && candidate.entry->name != wanted) continue;
    if (is_forced && !candidate.reason.empty())
      throw KernelError("the forced entry '" + wanted + "' declines: " + candidate.reason,
                        describe(problem));
    if (!candidate.reason.empty()) continue;
    if (candidate.estimate_seconds >= best && candidate.entry->name != preferred) continue;
    try {
      Prepared prepared = candidate.entry->prepare(problem);
      const double seconds = candidate.entry->name == preferred
                                 ? 0
                                 : candidate.estimate_seconds + reorder_seconds(problem, prepared);
      all.back() = std::max(all.back(), seconds);
      if (seconds >= best) continue;
      best = seconds;
      choice.prepared = std::move(prepared);
      choice.entry = candidate.entry;
    } catch (const KernelError& error) {  // a guest library refused after all: the next one serves
      if (is_forced) throw;
      candidate.reason = error.what();
    }
  }
  if (choice.entry) {
    choice.why = is_forced                         ? "forced by '" + rules + "'"
                 : choice.entry->name == preferred ? problem.preferred.why
                 : choice.candidates.size() == 1
                     ? "the only entry"
                     : "lowest estimate of those that accept" + estimates(choice, all);
    if (choice.prepared.inputs.empty()) choice.prepared.inputs.resize(problem.inputs.size());
    if (choice.prepared.outputs.empty()) choice.prepared.outputs.resize(problem.outputs.size());
    return choice;
  }
  for (const ValueDesc& input : problem.inputs)
    if (problem.device.type == DeviceType::kCpu &&
        (input.dtype == DType::kF16 || input.dtype == DType::kBF16))
      throw DTypeError(problem.operation + " on the CPU takes float32 and float64",
                       name_of(input.dtype), "Convert it with cast(to=\"float32\")");
  std::string reasons;
  for (const Candidate& c : choice.candidates)
    reasons += " " + c.entry->name + ": " + c.reason + ";";
  throw KernelError("no kernel accepts the problem (" + reasons + " )", describe(problem));
}

std::string force(const std::string& rules) {
  check_rules(rules);
  std::lock_guard<std::mutex> lock(forced_rules().mutex);
  std::string before = rules;
  before.swap(forced_rules().rules);
  return before;
}

std::string forced() {
  std::lock_guard<std::mutex> lock(forced_rules().mutex);
  return forced_rules().rules;
}

}  // namespace striate::kernels
