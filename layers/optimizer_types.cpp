#include <striate/kernels/optimizer.h>
#include <striate/kernels/unary.h>
#include <striate/layers/optimizer.h>

#include <cctype>

namespace striate {
namespace {

Check<Json> is_learning_rate() {
  return [](const Json& value) {
    try {
      Schedule given(value);
      return std::string();
    } catch (const Error&) {
      return std::string("a number >= 0 or a schedule");
    }
  };
}

template <class T>
Describe<T> with_limits(Describe<T> schema) {
  return schema
      .field("clipvalue", &T::clipvalue, "Limit of each element of a gradient; 0: none.",
             not_negative())
      .field("global_clipnorm", &T::global_clipnorm,
             "Limit of the norm of all gradients together (Pascanu et al. 2013); 0: none.",
             not_negative())
      .field("weight_decay", &T::weight_decay,
             "Part of the weights, times the learning rate, taken off at each step.",
             not_negative());
}

std::vector<Value> sgd_step(const void* options, std::vector<Value> inputs, int tensors,
                            int index) {
  const SGD& sgd = *static_cast<const SGD*>(options);
  return apply_all("sgd", std::move(inputs),
                   SgdOptions{tensors, index, sgd.momentum, sgd.nesterov, sgd.weight_decay});
}

template <class T>
std::vector<Value> adam_step(const void* options, std::vector<Value> inputs, int tensors,
                             int index) {
  const T& adam = *static_cast<const T*>(options);
  return apply_all(
      "adam", std::move(inputs),
      AdamOptions{tensors, index, adam.beta_1, adam.beta_2, adam.epsilon, adam.weight_decay});
}

template <class T>
OptimizerType adam_type(const char* name, const char* doc) {
  OptimizerType type;
  type.schema = with_limits(
      Describe<T>(name, doc)
          .field("learning_rate", &T::learning_rate, "A number, or a schedule of the step.",
                 is_learning_rate())
          .field("beta_1", &T::beta_1, "Decay of the mean of gradients.", in_unit_interval())
          .field("beta_2", &T::beta_2, "Decay of the mean of their squares.", in_unit_interval())
          .field("epsilon", &T::epsilon, "Keeps the division finite.", is_positive()));
  type.moments = [](const void*) { return std::vector<std::string>{"m", "v"}; };
  type.step = adam_step<T>;
  return type;
}

const std::map<std::string, OptimizerType>& types() {
  static const std::map<std::string, OptimizerType> all = [] {
    std::map<std::string, OptimizerType> made;
    OptimizerType& sgd = made["SGD"];
    sgd.schema = with_limits(
        Describe<SGD>("SGD", "Stochastic gradient descent, with momentum (Polyak 1964).")
            .field("learning_rate", &SGD::learning_rate, "A number, or a schedule of the step.",
                   is_learning_rate())
            .field("momentum", &SGD::momentum, "Part of the last change that is kept.",
                   in_unit_interval())
            .field("nesterov", &SGD::nesterov, "Look ahead by the momentum (Nesterov 1983)."));
    sgd.moments = [](const void* options) {
      const bool has = static_cast<const SGD*>(options)->momentum > 0;
      return has ? std::vector<std::string>{"momentum"} : std::vector<std::string>{};
    };
    sgd.step = sgd_step;
    made["Adam"] = adam_type<Adam>("Adam", "Adaptive moments (Kingma and Ba 2015).");
    made["AdamW"] =
        adam_type<AdamW>("AdamW", "Adam with decoupled weight decay (Loshchilov and Hutter 2019).");
    return made;
  }();
  return all;
}

}  // namespace

std::shared_ptr<Optimizer> Optimizer::make(const Json& config) {
  if (config.is_string()) return make(config.as_string(), Json::object());
  Json options = Json::object();
  for (const auto& [key, value] : config.members())
    if (key != "type") options.set(key, value);
  return make(config["type"].as_string(), options);
}

SGD::operator std::shared_ptr<Optimizer>() const { return Optimizer::make(*this); }
Adam::operator std::shared_ptr<Optimizer>() const { return Optimizer::make(*this); }
AdamW::operator std::shared_ptr<Optimizer>() const { return Optimizer::make(*this); }

std::shared_ptr<Optimizer> Optimizer::make(const SGD& options) {
  return make("SGD", types().at("SGD").schema.write(&options));
}
std::shared_ptr<Optimizer> Optimizer::make(const Adam& options) {
  return make("Adam", types().at("Adam").schema.write(&options));
}
std::shared_ptr<Optimizer> Optimizer::make(const AdamW& options) {
  return make("AdamW", types().at("AdamW").schema.write(&options));
}

std::shared_ptr<Optimizer> Optimizer::make(const std::string& wanted, const Json& options) {
  std::string names;
  const OptimizerType* type = nullptr;
  for (const auto& [name, known] : types()) {
    names += (names.empty() ? "" : ", ") + name;
    std::string lower = name;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (wanted == name || wanted == lower) type = &known;
  }
  if (!type) throw ShapeError("an optimizer must be one of " + names, "'" + wanted + "'");
  auto made = std::make_shared<Optimizer>();
  made->type_ = type;
  made->options_ = type->schema.read(options);
  const Json all = type->schema.write(made->options_.get(), true);
  made->schedule_ = Schedule(all["learning_rate"]);
  made->clipvalue_ = all["clipvalue"].as_number();
  made->global_clipnorm_ = all["global_clipnorm"].as_number();
  return made;
}

std::vector<const Schema*> Optimizer::schemas() {
  std::vector<const Schema*> all;
  for (const auto& [name, type] : types()) all.push_back(&type.schema);
  return all;
}

Json Optimizer::config() const {
  Json config = Json::object({{"type", type_->schema.name}});
  const Json options = type_->schema.write(options_.get());
  for (const auto& [key, value] : options.members()) config.set(key, value);
  config.set("learning_rate", schedule_.json());
  return config;
}

std::shared_ptr<Variable> Optimizer::moment(const Variable& weight, const std::string& name) {
  auto& slot = moments_[{&weight, name}];
  if (!slot) {
    slot = std::make_shared<Variable>();
    slot->path = weight.path + "/" + name;
    slot->type = weight.type;
    slot->initializer = "Zeros";
    slot->trainable = false;
    state_.push_back(slot);
  }
  return slot;
}

void Optimizer::restore(const std::string& path,
                        const std::map<std::string, std::shared_ptr<Variable>>& weights,
                        const Tensor& value) {
  const size_t slash = path.rfind('/');
  const auto found = weights.find(path.substr(0, slash));
  if (slash == std::string::npos || found == weights.end() ||
      found->second->type.shape != value.shape() || value.dtype() != DType::kF32)
    throw FileError("the file's optimizer state fits no weight of its model", "'" + path + "'");
  moment(*found->second, path.substr(slash + 1))->assign(value);
}

void Optimizer::emit(const std::vector<Assignment>& gradients, int index, Lowering& lowering) {
  if (gradients.empty()) return;
  std::vector<Value> weights, clipped;
  for (const Assignment& a : gradients) {
    weights.push_back(variable_value(a.variable));
    clipped.push_back(clipvalue_ > 0 ? apply("clip", {a.value}, UnaryOptions{clipvalue_})
                                     : a.value);
  }
  std::vector<Value> inputs = {lowering.step_block(), {}};
  if (global_clipnorm_ > 0)
    inputs[1] = apply("clip_scale", {striate::apply("squared_norm", clipped)},
                      ClipOptions{global_clipnorm_});
  inputs.insert(inputs.end(), weights.begin(), weights.end());
  inputs.insert(inputs.end(), clipped.begin(), clipped.end());
  std::vector<std::shared_ptr<Variable>> targets;
  for (const Assignment& a : gradients) targets.push_back(a.variable);
  for (const std::string& name : type_->moments(options_.get()))
    for (const Assignment& a : gradients) {
      targets.push_back(moment(*a.variable, name));
      inputs.push_back(variable_value(targets.back()));
    }
  const int tensors = static_cast<int>(gradients.size());
  const auto results = type_->step(options_.get(), std::move(inputs), tensors, index);
  for (size_t i = 0; i < results.size(); ++i) lowering.assign(targets[i], results[i]);
}

}  // namespace striate
