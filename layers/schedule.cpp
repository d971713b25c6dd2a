#include <striate/layers/optimizer.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace striate {
namespace {

constexpr double kPi = 3.141592653589793;

struct StepDecay {
  double initial_learning_rate = 0.01;
  int64_t decay_steps = 1000;
  double decay_rate = 0.1;

  double at(double step) const {
    return initial_learning_rate * std::pow(decay_rate, std::floor(step / double(decay_steps)));
  }
};

struct CosineDecay {
  double initial_learning_rate = 0.01;
  int64_t decay_steps = 1000;
  double alpha = 0;  // last learning rate as a fraction of the first

  double at(double step) const {
    const double done = std::min(step / static_cast<double>(decay_steps), 1.0);
    return initial_learning_rate * (alpha + (1 - alpha) * 0.5 * (1 + std::cos(kPi * done)));
  }
};

/// Smith and Topin 2018, with cosine halves: up from max / 25 for 30 % of the steps, then down.
struct OneCycle {
  double max_learning_rate = 0.01;
  int64_t total_steps = 1000;
  double warmup_fraction = 0.3;
  double start_divisor = 25, end_divisor = 1e4;

  double at(double step) const {
    const double total = std::max<double>(static_cast<double>(total_steps) - 1, 1);
    const double peak = warmup_fraction * total, low = max_learning_rate / start_divisor;
    const auto between = [](double from, double to, double part) {
      return to + (from - to) * 0.5 * (1 + std::cos(kPi * part));
    };
    if (step < peak) return between(low, max_learning_rate, step / peak);
    const double part = std::min((step - peak) / std::max(total - peak, 1.0), 1.0);
    return between(max_learning_rate, low / end_divisor, part);
  }
};

/// Linear from 0 to the schedule that follows.
struct WarmUp {
  Json schedule = 0.01;
  int64_t warmup_steps = 100;

  double at(double step) const {
    const double after = Schedule(schedule).at(static_cast<int64_t>(step));
    return after * std::min((step + 1) / static_cast<double>(warmup_steps), 1.0);
  }
};

struct Kind {
  Schema schema;
  std::function<std::function<double(int64_t)>(std::shared_ptr<void>)> make;
};

template <class T>
Kind kind(Describe<T> schema) {
  return {schema, [](std::shared_ptr<void> options) {
            const T copy = *static_cast<const T*>(options.get());
            return [copy](int64_t step) { return copy.at(static_cast<double>(step)); };
          }};
}

const std::map<std::string, Kind>& kinds() {
  static const std::map<std::string, Kind> all = [] {
    std::map<std::string, Kind> made;
    made["StepDecay"] = kind(
        Describe<StepDecay>("StepDecay", "Multiply the learning rate by a factor at intervals.")
            .field("initial_learning_rate", &StepDecay::initial_learning_rate, "First value.",
                   not_negative())
            .field("decay_steps", &StepDecay::decay_steps, "Steps between changes.", at_least(1))
            .field("decay_rate", &StepDecay::decay_rate, "The factor.", not_negative()));
    made["CosineDecay"] = kind(
        Describe<CosineDecay>("CosineDecay", "Half a cosine down (Loshchilov and Hutter 2017).")
            .field("initial_learning_rate", &CosineDecay::initial_learning_rate, "First value.",
                   not_negative())
            .field("decay_steps", &CosineDecay::decay_steps, "Steps to the end.", at_least(1))
            .field("alpha", &CosineDecay::alpha, "Last value as a fraction of the first.",
                   not_negative()));
    made["OneCycle"] = kind(
        Describe<OneCycle>("OneCycle", "Up, then down to almost 0 (Smith and Topin 2018).")
            .field("max_learning_rate", &OneCycle::max_learning_rate, "Largest value.",
                   not_negative())
            .field("total_steps", &OneCycle::total_steps, "Steps of the training.", at_least(1))
            .field("warmup_fraction", &OneCycle::warmup_fraction, "Part of the steps that go up.",
                   between(0, 1))
            .field("start_divisor", &OneCycle::start_divisor, "The first value is max / this.",
                   is_positive())
            .field("end_divisor", &OneCycle::end_divisor, "The last value is the first / this.",
                   is_positive()));
    made["WarmUp"] =
        kind(Describe<WarmUp>("WarmUp", "Grow linearly from 0 into another schedule.")
                 .field("schedule", &WarmUp::schedule, "The schedule (or number) that it follows.")
                 .field("warmup_steps", &WarmUp::warmup_steps, "Steps to grow.", at_least(1)));
    return made;
  }();
  return all;
}

}  // namespace

Schedule::Schedule(double constant) : Schedule(Json(constant)) {}

Schedule::Schedule(Json json) : json_(std::move(json)) {
  if (json_.is_number()) {
    const std::string broken = not_negative()(json_.as_number());
    if (!broken.empty()) throw ShapeError("a learning rate must be " + broken, shown(json_));
    return;
  }
  const Json& type = json_["type"];
  const auto found = type.is_string() ? kinds().find(type.as_string()) : kinds().end();
  if (found == kinds().end())
    throw ShapeError("a learning rate must be a number, StepDecay, CosineDecay, OneCycle or WarmUp",
                     shown(type.is_string() ? type : json_));
  Json options = Json::object();
  for (const auto& [key, value] : json_.members())
    if (key != "type") options.set(key, value);
  rate_ = found->second.make(found->second.schema.read(options));
}

double Schedule::at(int64_t step) const { return rate_ ? rate_(step) : json_.as_number(); }

std::vector<const Schema*> Schedule::schemas() {
  std::vector<const Schema*> all;
  for (const auto& [name, kind] : kinds()) all.push_back(&kind.schema);
  return all;
}

}  // namespace striate
