#include <striate/layers/graph/report.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

namespace striate {
namespace {

/// Return `3 direct, 2 winograd`.
std::string counted(const Plan& plan) {
  std::map<std::string, int> counts;
  for (const PlanStep& step : plan.steps) ++counts[step.choice.entry->name];
  std::string text;
  for (const auto& [name, count] : counts)
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + name;
  return text;
}

std::string describe(const PlanStep& step) {
  const kernels::Choice& choice = step.choice;
  std::string text = "striate:   " + step.operation;
  if (!step.path.empty()) text += " of " + step.path;
  text += ": " + choice.entry->name;
  if (!choice.prepared.detail.empty()) text += " (" + choice.prepared.detail + ")";
  text += ", " + choice.why;
  for (const kernels::Candidate& candidate : choice.candidates)
    if (!candidate.reason.empty()) text += "; " + candidate.entry->name + " " + candidate.reason;
  return text + "\n";
}

}  // namespace

int verbosity() {
  static const int level = [] {
    const char* text = std::getenv("STRIATE_VERBOSE");
    return text ? std::clamp(std::atoi(text), 0, 2) : 0;
  }();
  return level;
}

std::string describe(const Program& program, int verbosity) {
  if (verbosity < 1) return "";
  const Plan& plan = program.plan();
  const ProgramOptions& options = program.options();
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.4f", program.plan_seconds());
  std::string text = std::string("striate: a program ") +
                     (options.training ? "to train" : "to run") + " on " +
                     options.device.to_string() + ", " + std::to_string(plan.steps.size()) +
                     " kernels (" + counted(plan) + "), arena of " +
                     std::to_string(plan.arena_bytes) + " bytes, planned in " + seconds + " s\n";
  if (verbosity < 2) return text;
  for (const auto* steps : {&plan.prologue, &plan.steps})
    for (const PlanStep& step : *steps) text += describe(step);
  return text;
}

void report(const Program& program) {
  const std::string text = describe(program, verbosity());
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace striate
