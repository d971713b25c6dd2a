// Model files: weights, and the graph as JSON, in one safetensors file.
#include <striate/core/device.h>
#include <striate/core/safetensors.h>
#include <striate/layers/model.h>
#include <striate/version.h>

#include <algorithm>
#include <set>

namespace striate {
namespace {

constexpr int64_t kFormat = 1;

/// Inputs are numbered [-1 - i, 0], outputs of calls [call, output].
Json reference(const Value& value, const std::vector<Value>& inputs,
               const std::vector<std::shared_ptr<Call>>& calls) {
  if (!value) return {};
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i] == value) return Json::Array{-1 - static_cast<int64_t>(i), 0};
  for (size_t c = 0; c < calls.size(); ++c) {
    const std::vector<Value> outputs = calls[c]->outputs();
    for (size_t o = 0; o < outputs.size(); ++o)
      if (outputs[o] == value) return Json::Array{static_cast<int64_t>(c), static_cast<int64_t>(o)};
  }
  if (value.node->operation->name == "constant" && value.shape().rank() == 0)
    return Json::object({{"constant", value.node->constant.item()}});
  throw Error("a model file records layers, public operations and numbers",
              "a value of '" + value.node->operation->name + "' " + value.shape().to_string(),
              "Make it inside a layer, or from the model's inputs");
}

[[noreturn]] void refuse(const std::string& rule, const std::string& values = "") {
  throw FileError("the file holds no model that this version reads: " + rule, values);
}

/// Our files have a checksum; other programs' have none, and no graph either.
void need_checksum(const SafetensorsFile& file, const std::string& path) {
  if (file.metadata().count("striate.graph") && !file.has_checksum())
    refuse("it has a graph but not the checksum that model files have", "'" + path + "'");
}

Json schema_type(const NamedFunction& function, const char* what) {
  if (function.config.is_null())
    throw Error(std::string("the ") + what + " '" + function.name +
                    "' is a function without a registered name and cannot be saved",
                "", "Decorate it with @striate.register(\"name\"), or save without the checkpoint");
  return function.config;
}

std::map<std::string, std::shared_ptr<Variable>> by_path(
    const std::vector<std::shared_ptr<Variable>>& variables) {
  std::map<std::string, std::shared_ptr<Variable>> map;
  for (const auto& variable : variables) map[variable->path] = variable;
  return map;
}

/// Return the device of a file, or the CPU where there is no such device.
std::string present_device(const std::string& name) {
  try {
    device_from_name(name);
    return name;
  } catch (const DeviceError&) {
    return "cpu";
  }
}

}  // namespace

Json Model::config() const {
  Json calls = Json::array(), inputs = Json::array(), outputs = Json::array();
  for (const Value& input : inputs_)
    inputs.push(Json::object({{"name", input.node->path()},
                              {"shape", Codec<Shape>::write(input.shape())},
                              {"dtype", name_of(input.dtype())}}));
  std::set<std::string> written;
  for (const auto& call : calls_) {
    Json row = Json::object(), arguments = Json::array();
    if (call->layer) {
      row.set("layer", call->layer.path());
      if (written.insert(call->layer.path()).second) {
        row.set("type", call->layer.type());
        row.set("options", call->layer.config());
        row.set("frozen", call->layer.is_frozen());
      }
    } else {
      const Node& node = *call->used_output().node;
      if (!node.operation->is_public)
        throw Error("a model file records layers, public operations and numbers",
                    "the operation '" + node.operation->name + "'", "Make it inside a layer");
      row.set("operation", node.operation->name);
      row.set("options", node.operation->options.write(node.options.get()));
    }
    for (const Value& input : call->inputs) arguments.push(reference(input, inputs_, calls_));
    row.set("inputs", arguments);
    calls.push(std::move(row));
  }
  for (const Value& output : outputs_) outputs.push(reference(output, inputs_, calls_));
  return Json::object({{"format", kFormat},
                       {"striate", STRIATE_VERSION},
                       {"name", name_},
                       {"inputs", inputs},
                       {"calls", calls},
                       {"outputs", outputs}});
}

Model Model::from_config(const Json& config) {
  try {
    if (!config["format"].is_integer()) refuse("it has no format number");
    if (config["format"].as_integer() != kFormat)
      refuse("its format is newer", "format " + config["format"].dump());
    std::vector<Value> inputs, outputs;
    for (const Json& row : config["inputs"].items())
      inputs.push_back(
          input_value({Codec<Shape>::read(row["shape"]), dtype_from_name(row["dtype"].as_string())},
                      row["name"].as_string()));
    std::vector<std::vector<Value>> made;
    const auto find = [&](const Json& reference) -> Value {
      if (reference.is_null()) return {};
      if (reference.is_object())
        return scalar(static_cast<float>(reference["constant"].as_number()));
      if (reference.items().size() != 2) refuse("a reference is malformed", reference.dump());
      const int64_t call = reference.items()[0].as_integer();
      const int64_t output = reference.items()[1].as_integer();
      const auto count = static_cast<int64_t>(made.size());
      if (call < 0 && -1 - call < static_cast<int64_t>(inputs.size()))
        return inputs[static_cast<size_t>(-1 - call)];
      if (call < 0 || call >= count || output < 0 ||
          output >= static_cast<int64_t>(made[static_cast<size_t>(call)].size()))
        refuse("a reference points nowhere", reference.dump());
      return made[static_cast<size_t>(call)][static_cast<size_t>(output)];
    };
    std::map<std::string, Layer> layers;
    for (const Json& row : config["calls"].items()) {
      std::vector<Value> arguments;
      for (const Json& item : row["inputs"].items()) arguments.push_back(find(item));
      if (row.has("layer")) {
        const std::string& path = row["layer"].as_string();
        auto& layer = layers[path];
        if (!layer) {
          layer = Layer::make(row["type"].as_string(), row["options"], path);
          if (row["frozen"].is_bool() && row["frozen"].as_bool()) layer.freeze();
        }
        made.push_back(layer(arguments));
        layer.freeze(layer.is_frozen());
      } else {
        const Operation& op = operation(row["operation"].as_string());
        if (!op.is_public) refuse("an operation is not public", op.name);
        made.push_back(emit(op, op.options.read(row["options"]), arguments));
      }
    }
    for (const Json& item : config["outputs"].items()) outputs.push_back(find(item));
    return Model(inputs, outputs, config["name"].as_string());
  } catch (const FileError&) {
    throw;
  } catch (const Error& error) {
    refuse(error.what());
  }
}

void Model::save(const std::string& path, bool checkpoint) const {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const auto& variable : weights()) tensors.emplace_back(variable->path, variable->value());
  std::map<std::string, std::string> metadata = {{"striate.graph", config().dump()}};
  if (checkpoint) {
    if (!is_compiled()) throw Error("a checkpoint needs a compiled model");
    const CompileOptions& options = state_->options;
    Json compile = Json::object({{"optimizer", options.optimizer->config()},
                                 {"device", options.device},
                                 {"precision", options.precision},
                                 {"exact", options.exact},
                                 {"same_for_threads", options.same_for_threads},
                                 {"check_numerics", options.check_numerics},
                                 {"tune", options.tune},
                                 {"shards", options.shards},
                                 {"seed", static_cast<int64_t>(options.seed)},
                                 {"step", state_->step}});
    Json losses = Json::array(), metrics = Json::array(), weights = Json::array();
    for (const auto& loss : options.losses) losses.push(schema_type(loss, "loss"));
    for (const auto& metric : options.metrics) metrics.push(schema_type(metric, "metric"));
    for (double weight : options.loss_weights) weights.push(weight);
    compile.set("losses", losses).set("metrics", metrics).set("loss_weights", weights);
    record_choices(compile);
    metadata["striate.compile"] = compile.dump();
    for (const auto& moment : options.optimizer->state())
      tensors.emplace_back("optimizer/" + moment->path, moment->value());
  }
  save_safetensors(path, metadata, tensors);
}

Model Model::load(const std::string& path) {
  const SafetensorsFile file(path);
  const auto graph = file.metadata().find("striate.graph");
  if (graph == file.metadata().end())
    throw FileError("the file '" + path + "' holds weights but no graph", "",
                    "Build the model and call load_weights(file)");
  need_checksum(file, path);
  Model model = from_config(Json::parse(graph->second));
  const auto known = by_path(model.weights());
  std::vector<std::pair<std::shared_ptr<Variable>, Tensor>> values;
  for (const auto& [name, variable] : known) {
    if (!file.has(name)) refuse("a weight is missing", "'" + name + "'");
    const auto& entry = file.entry(name);
    if (entry.shape != variable->type.shape || entry.dtype != variable->type.dtype)
      refuse("a weight has another shape than its layer",
             "'" + name + "' " + entry.shape.to_string());
    values.emplace_back(variable, file.read(name));
  }
  for (const std::string& name : file.names())
    if (!known.count(name) && name.rfind("optimizer/", 0) != 0)
      refuse("it holds a tensor that no layer has", "'" + name + "'");
  for (auto& [variable, value] : values) variable->assign(value);
  const auto saved = file.metadata().find("striate.compile");
  if (saved == file.metadata().end()) return model;
  try {
    model.read_compile(Json::parse(saved->second), file);
  } catch (const FileError&) {
    throw;
  } catch (const Error& error) {
    refuse(error.what());
  }
  return model;
}

void Model::read_compile(const Json& compile, const SafetensorsFile& file) {
  const auto known = by_path(weights());
  CompileOptions options;
  for (const Json& loss : compile["losses"].items()) options.losses.push_back(find_loss(loss));
  for (const Json& metric : compile["metrics"].items())
    options.metrics.push_back(find_metric(metric));
  for (const Json& weight : compile["loss_weights"].items())
    options.loss_weights.push_back(weight.as_number());
  options.optimizer = Optimizer::make(compile["optimizer"]);
  options.device = present_device(compile["device"].as_string());
  options.exact = compile["exact"].as_bool();
  options.same_for_threads = compile["same_for_threads"].as_bool();
  options.check_numerics = compile["check_numerics"].as_bool();
  options.tune = compile.has("tune") && compile["tune"].as_bool();
  options.shards = static_cast<int>(compile["shards"].as_integer());
  options.seed = static_cast<uint64_t>(compile["seed"].as_integer());
  for (const std::string& name : file.names())
    if (name.rfind("optimizer/", 0) == 0)
      options.optimizer->restore(name.substr(10), known, file.read(name));
  const bool on_cpu = device_from_name(options.device).type == DeviceType::kCpu;
  if (compile.has("precision") && !on_cpu) options.precision = compile["precision"].as_string();
  const int64_t step = compile["step"].as_integer();
  this->compile(std::move(options));
  state_->step = step;
  keep_choices(compile);
}

Json Model::load_weights(const std::string& path, bool partial) {
  const SafetensorsFile file(path);
  need_checksum(file, path);
  const auto known = by_path(weights());
  Json loaded = Json::array(), missing = Json::array(), unexpected = Json::array(),
       wrong = Json::array();
  std::vector<std::pair<std::shared_ptr<Variable>, Tensor>> values;
  for (const auto& [name, variable] : known) {
    if (!file.has(name)) {
      missing.push(name);
    } else if (file.entry(name).shape != variable->type.shape ||
               file.entry(name).dtype != variable->type.dtype) {
      wrong.push(name);
    } else {
      loaded.push(name);
      values.emplace_back(variable, file.read(name));
    }
  }
  for (const std::string& name : file.names())
    if (!known.count(name) && name.rfind("optimizer/", 0) != 0) unexpected.push(name);
  const Json report = Json::object({{"loaded", loaded},
                                    {"missing", missing},
                                    {"unexpected", unexpected},
                                    {"wrong_shape", wrong}});
  if (!partial && (loaded.items().size() != known.size() || !unexpected.items().empty()))
    throw FileError("the weights in '" + path + "' do not fit the model", report.dump(),
                    "Pass partial=True to take those that fit");
  for (auto& [variable, value] : values) variable->assign(value);
  return report;
}

/// Return `winograd F(4x4,3x3)`: the entry of a kernel, and the transform where it has one.
std::string method_of(const PlanStep& step) {
  const std::string& detail = step.choice.prepared.detail;
  const std::string& entry = step.choice.entry->name;
  return detail.rfind("F(", 0) == 0 ? entry + " " + detail.substr(0, detail.find(' ')) : entry;
}

/// Return how each layer's convolutions are computed, by its path and the operation: in the
/// training program used last, else in a prediction of `batch` samples. Nothing where extents are
/// not known or a program cannot be made: its first run says why.
std::map<std::string, Json> Model::convolutions(int64_t batch) const {
  const Slot* latest = nullptr;
  for (const auto& slot : state_->programs)
    if (slot->purpose == "train" && (!latest || slot->used > latest->used)) latest = slot.get();
  std::shared_ptr<Program> program = latest ? latest->program : nullptr;
  std::vector<Type> types;
  for (const Value& input : inputs_) {
    types.push_back(input.type());
    if (types.back().shape.rank() > 0) types.back().shape[0] = batch;
  }
  try {
    if (!program) program = planned("predict", types);
  } catch (const Error&) {
    return {};
  }
  std::map<std::string, Json> found;
  for (const PlanStep& step : program->plan().steps) {
    if (step.operation.rfind("conv2d", 0) != 0) continue;
    Json& methods = found.emplace(step.path, Json::object()).first->second;
    methods.set(step.operation, method_of(step));
  }
  return found;
}

Json Model::summary(int64_t batch) const {
  const std::map<std::string, Json> methods = convolutions(batch);
  Json rows = Json::array();
  int64_t trainable = 0, bytes = 0;
  double total_macs = 0;
  for (const Value& input : inputs_)
    rows.push(Json::object({{"layer", input.node->path()},
                            {"type", "Input"},
                            {"shape", Codec<Shape>::write(input.shape())},
                            {"params", 0},
                            {"bytes", 0},
                            {"macs", 0}}));
  std::set<std::string> counted;
  for (const auto& call : calls_) {
    const Value output = call->used_output();
    Json row = Json::object();
    row.set("layer", call->layer ? call->layer.path() : "");
    row.set("type", call->layer ? call->layer.type() : output.node->operation->name);
    row.set("shape", Codec<Shape>::write(output.shape()));
    int64_t params = 0;
    if (call->layer && counted.insert(call->layer.path()).second)
      for (const auto& variable : call->layer.weights()) {
        params += variable->type.shape.elements();
        if (variable->trainable && !variable->frozen) trainable += variable->type.shape.elements();
      }
    double macs = 0;  // of one sample: output places times filter size
    if (call->layer)
      for (const auto& variable : call->layer.weights()) {
        const Shape& w = variable->type.shape;
        if (w.rank() == 4 && output.shape().rank() == 4 && output.shape()[1] != kUnknown)
          macs += static_cast<double>(output.shape().product(1, 3) * w.elements());
        if (w.rank() == 2) macs += static_cast<double>(w.elements());
      }
    total_macs += macs;
    bytes += params * 4;
    row.set("params", params).set("bytes", params * 4).set("macs", static_cast<int64_t>(macs));
    row.set("frozen", call->layer && call->layer.is_frozen());
    const auto found = methods.find(call->layer ? call->layer.path() : "");
    if (found != methods.end()) row.set("convolution", found->second);
    rows.push(std::move(row));
  }
  return Json::object({{"name", name_},
                       {"layers", rows},
                       {"params", count_params()},
                       {"trainable_params", trainable},
                       {"bytes", bytes},
                       {"macs", static_cast<int64_t>(total_macs)}});
}

}  // namespace striate
