// What a checkpoint knows of the kernels that trained a model, so that training on gives the same
// bits where it can, and says so where it cannot.
#include <striate/core/device.h>
#include <striate/core/parallel.h>
#include <striate/kernels/impl.h>
#include <striate/layers/model.h>
#include <striate/layers/tune.h>

#include <set>

namespace striate {
namespace {

std::string processor(Device device) { return backend(device.type).describe(device.index); }

std::string type_of(Device device) { return device.type == DeviceType::kCpu ? "cpu" : "cuda"; }

/// By what a checkpoint knows the problem of a kernel.
std::string text_of(const std::string& purpose, const kernels::Problem& problem) {
  std::string text = purpose + " " + problem.path + " " + problem.operation;
  for (const auto& input : problem.inputs) text += " " + input.shape.to_string();
  return text;
}

}  // namespace

void Model::record_choices(Json& compile) const {
  std::map<std::string, std::string> all;
  if (state_->kept) all = *state_->kept;
  for (const auto& slot : state_->programs)
    for (const auto* steps : {&slot->program->plan().prologue, &slot->program->plan().steps})
      for (const PlanStep& step : *steps)
        if (step.choice.candidates.size() > 1)
          all[text_of(slot->purpose, step.problem)] = step.choice.entry->name;
  compile.set("threads", threads())
      .set("kernels", kernels::forced())
      .set("processor", processor(state_->device))
      .set("device_type", type_of(state_->device))
      .set("choices", Json::object(Json::Object(all.begin(), all.end())));
}

void Model::keep_choices(const Json& compile) {
  auto& differences = state_->differences;
  const auto compare = [&](const char* what, const Json& then, const Json& now) {
    if (then.is_null() || then == now) return;
    const auto text = [](const Json& json) {
      return json.is_string() ? "'" + json.as_string() + "'" : json.dump();
    };
    differences.push_back(std::string(what) + " was " + text(then) + ", now it is " + text(now));
  };
  compare("the device", compile["device"], state_->options.device);
  compare("the precision", compile["precision"], state_->options.precision);
  compare("the number of threads", compile["threads"], threads());
  compare("the rule that forces kernels", compile["kernels"], kernels::forced());
  compare("the processor", compile["processor"], processor(state_->device));
  if (!compile["choices"].is_object()) return;
  // Kernels of another kind of device are others, whatever their names.
  if (compile.has("device_type") && compile["device_type"].as_string() != type_of(state_->device))
    return;
  std::set<std::string> present, absent;
  for (const std::string& operation : kernels::operations_with_entries())
    for (const auto* entry : kernels::entries(operation, state_->device.type))
      present.insert(entry->name);
  auto kept = std::make_shared<std::map<std::string, std::string>>();
  for (const auto& [problem, entry] : compile["choices"].members()) {
    if (present.count(entry.as_string()))
      (*kept)[problem] = entry.as_string();
    else if (absent.insert(entry.as_string()).second)
      differences.push_back("kernels '" + entry.as_string() + "' were chosen, now there are none");
  }
  state_->kept = std::move(kept);
}

std::function<kernels::Preferred(const kernels::Problem&)> Model::preference(
    const std::string& purpose) const {
  const bool tune = state_->options.tune;
  if (!state_->kept && !tune) return {};
  return [kept = state_->kept, tune, purpose](const kernels::Problem& problem) {
    if (kept) {
      const auto found = kept->find(text_of(purpose, problem));
      if (found != kept->end())
        return kernels::Preferred{found->second, "kept from the checkpoint"};
    }
    return tune ? quickest(problem) : kernels::Preferred{};
  };
}

}  // namespace striate
