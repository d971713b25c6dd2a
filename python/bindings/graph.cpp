// The graph in Python: symbolic values, layers, variables, programs and the registrations.
#include <striate/layers/graph/program.h>
#include <striate/layers/initializer.h>
#include <striate/layers/layer.h>
#include <striate/layers/loss.h>
#include <striate/layers/model.h>
#include <striate/layers/optimizer.h>

#include "bindings.h"

namespace striate {
namespace {

py::tuple shape_of(const Shape& shape) {
  py::list dims;
  for (int64_t d : shape) dims.append(d == kUnknown ? py::object(py::none()) : py::int_(d));
  return py::tuple(dims);
}

std::vector<Value> values_of(const py::sequence& arguments) {
  std::vector<Value> values;
  for (const auto& argument : arguments) {
    if (argument.is_none())
      values.emplace_back();
    else if (py::isinstance<Value>(argument))
      values.push_back(argument.cast<Value>());
    else if (py::isinstance<Tensor>(argument))
      values.push_back(constant_value(argument.cast<Tensor>().clone()));
    else if (PyFloat_Check(argument.ptr()) || PyLong_Check(argument.ptr()))
      values.push_back(scalar(argument.cast<float>()));
    else
      throw ShapeError("a layer is applied to values of a graph", shown(argument),
                       "Begin with st.Input(shape)");
  }
  return values;
}

py::object describe_operation(const std::string& name) {
  const Operation& op = operation(name);
  py::dict row = describe(op.options);
  row["name"] = op.name;
  row["doc"] = op.doc;
  row["inputs"] = op.inputs;
  row["outputs"] = op.outputs;
  row["public"] = op.is_public;
  row["returns_all"] = op.returns_all;
  return row;
}

py::list describe_all(const std::vector<const Schema*>& schemas) {
  py::list rows;
  for (const Schema* schema : schemas) rows.append(describe(*schema));
  return rows;
}

Type type_of(const py::handle& shape, const std::string& dtype) {
  return {Codec<Shape>::read(to_json(shape)), dtype_from_name(dtype)};
}

/// A PathScope that Python closes by hand.
struct OpenScope {
  explicit OpenScope(const std::string& name) : scope(std::make_unique<PathScope>(name)) {}
  void close() { scope.reset(); }
  std::unique_ptr<PathScope> scope;
};

/// A program of several types of inputs, as Python users make it: plans are kept by input types.
class Programs {
 public:
  Programs(std::vector<Value> inputs, std::vector<Value> outputs, std::vector<Update> updates,
           ProgramOptions options)
      : inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        updates_(std::move(updates)),
        options_(options) {}

  std::vector<Tensor> run(const std::vector<Tensor>& tensors) {
    Program& program = find(tensors);
    StepBlock block;
    block.seed = current_seed();
    block.step = step_;
    for (size_t i = 0; i < updates_.size() && i < 8; ++i)
      block.learning_rate[i] = static_cast<float>(updates_[i].optimizer->learning_rate(step_));
    auto outputs = program.run(tensors, block);
    if (!updates_.empty()) ++step_;
    return outputs;
  }

  Program& find(const std::vector<Tensor>& tensors) {
    std::string key;
    std::vector<Type> types;
    for (const Tensor& t : tensors) {
      types.push_back({t.shape(), t.dtype()});
      key += std::string(name_of(t.dtype())) + t.shape().to_string();
    }
    auto& program = programs_[key];
    if (!program)
      program = std::make_unique<Program>(inputs_, types, outputs_, updates_, options_, arena_);
    latest_ = program.get();
    return *program;
  }

  const Program& latest() const {
    if (!latest_) throw Error("the program has not run yet", "", "Call it once first");
    return *latest_;
  }

 private:
  std::vector<Value> inputs_, outputs_;
  std::vector<Update> updates_;
  ProgramOptions options_;
  std::shared_ptr<Arena> arena_ = std::make_shared<Arena>();
  std::map<std::string, std::unique_ptr<Program>> programs_;
  const Program* latest_ = nullptr;
  int64_t step_ = 0;
};

void bind_programs(py::module_& module) {
  py::class_<Programs>(module, "Program", "A graph and its plans for the input types it met.")
      .def(py::init([](const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                       const py::sequence& updates, const py::handle& training) {
             std::vector<Update> all;
             for (const auto& item : updates) {
               const auto triple = item.cast<py::sequence>();
               all.push_back({triple[0].cast<std::shared_ptr<Optimizer>>(), triple[1].cast<Value>(),
                              triple[2].cast<std::vector<std::shared_ptr<Variable>>>()});
             }
             ProgramOptions options;
             options.training = training.is_none() ? !all.empty() : training.cast<bool>();
             return std::make_unique<Programs>(inputs, outputs, std::move(all), options);
           }),
           py::arg("inputs"), py::arg("outputs"), py::arg("updates") = py::list(),
           py::arg("training") = py::none())
      .def("run", &Programs::run, py::arg("inputs"), py::call_guard<py::gil_scoped_release>(),
           "Run once; return the outputs.")
      .def_property_readonly("memory",
                             [](const Programs& p) {
                               const auto m = p.latest().memory();
                               return py::dict(
                                   py::arg("planned") = m.planned, py::arg("used") = m.used,
                                   py::arg("weights") = m.weights, py::arg("state") = m.state,
                                   py::arg("gradients") = m.gradients,
                                   py::arg("persistent") = m.persistent);
                             })
      .def_property_readonly("plan_seconds",
                             [](const Programs& p) { return p.latest().plan_seconds(); })
      .def_property_readonly(
          "gradients",
          [](const Programs& p) {
            py::list rows;
            for (const auto& [path, value] : p.latest().plan().gradients) {
              const PlanValue& owner = p.latest().plan().root(value);
              rows.append(py::dict(py::arg("weight") = path, py::arg("offset") = owner.offset,
                                   py::arg("bytes") = owner.bytes));
            }
            return rows;
          })
      .def("explain", [](const Programs& p) { return to_python(p.latest().explain()); });
}

}  // namespace

void bind_graph(py::module_& module) {
  py::class_<Value>(module, "Value", "A symbolic value: an output of an operation in a graph.")
      .def_property_readonly(
          "shape", [](const Value& v) { return shape_of(v.shape()); },
          "Its sizes; None for the batch and others that are not known yet.")
      .def_property_readonly(
          "dtype", [](const Value& v) { return name_of(v.dtype()); }, "Its element type's name.")
      .def_property_readonly(
          "ndim", [](const Value& v) { return v.shape().rank(); }, "The number of its sizes.")
      .def_property_readonly(
          "operation", [](const Value& v) { return v.node->operation->name; },
          "The name of the operation that gives it.")
      .def(
          "__eq__", [](const Value& a, const Value& b) { return a == b; }, py::arg("other"),
          py::is_operator())
      .def("__hash__", [](const Value& v) { return std::hash<const void*>()(v.node.get()); })
      .def("__repr__", [](const Value& v) {
        return "<striate.Value " + v.shape().to_string() + " " + name_of(v.dtype()) + " of " +
               v.node->operation->name + ">";
      });
  py::class_<Variable, std::shared_ptr<Variable>>(module, "Variable", "A named piece of state.")
      .def_property_readonly(
          "path", [](const Variable& v) { return v.path; }, "Its name in the model: layer/weight.")
      .def_property_readonly(
          "name", [](const Variable& v) { return v.path.substr(v.path.rfind('/') + 1); },
          "The last part of its path.")
      .def_property_readonly(
          "shape", [](const Variable& v) { return shape_of(v.type.shape); }, "Its sizes.")
      .def_property_readonly(
          "dtype", [](const Variable& v) { return name_of(v.type.dtype); },
          "Its element type's name.")
      .def_property_readonly(
          "trainable", [](const Variable& v) { return v.trainable && !v.frozen; },
          "Whether training changes it: no statistics, and not frozen.")
      .def("value", &Variable::value, "Return a copy as a tensor.")
      .def(
          "assign",
          [](Variable& v, const py::object& value) {
            const py::object ops = py::module_::import("striate.ops");
            v.assign(ops.attr("as_tensor")(value, name_of(v.type.dtype)).cast<Tensor>());
          },
          py::arg("value"),
          "Copy an array, tensor or numbers of its shape. Raises ShapeError, DTypeError.")
      .def("__repr__",
           [](const Variable& v) {
             return "<striate.Variable '" + v.path + "' " + v.type.shape.to_string() + " " +
                    name_of(v.type.dtype) + ">";
           })
      .def(
          "symbol", [](const std::shared_ptr<Variable>& v) { return variable_value(v); },
          "Return it as a symbolic value.")
      .def(
          "initialize", [](Variable& v, uint64_t seed) { initialize(v, seed); }, py::arg("seed"),
          "Draw its first value anew.");
  py::class_<Layer>(module, "Layer", "A layer whose rules are in C++.")
      .def(
          py::init([](const std::string& type, const py::handle& options, const std::string& name) {
            try {
              return Layer::make(type, to_json(options), name);
            } catch (Error& error) {
              error.set_layer(LayerName{type, name}.to_string());
              throw;
            }
          }),
          py::arg("type"), py::arg("options"), py::arg("name") = "")
      .def(
          "__call__",
          [](const Layer& layer, const py::sequence& inputs) {
            try {
              return layer(values_of(inputs));
            } catch (Error& error) {
              error.set_layer(layer.state().name->to_string());
              throw;
            }
          },
          py::arg("inputs"))
      .def(
          "__eq__", [](const Layer& a, const Layer& b) { return a == b; }, py::arg("other"),
          py::is_operator())
      .def("__hash__", [](const Layer& layer) { return std::hash<const void*>()(&layer.state()); })
      .def_property_readonly("type", &Layer::type)
      .def_property("path", &Layer::path, &Layer::set_path)
      .def_property_readonly("weights", &Layer::weights)
      .def_property_readonly("frozen", &Layer::is_frozen)
      .def("freeze", &Layer::freeze, py::arg("frozen") = true)
      .def("config", [](const Layer& layer) { return to_python(layer.config()); });
  module.def("name_layers", name_layers, py::arg("layers"),
             "Give a path to each layer that has none.");
  py::class_<OpenScope>(module, "PathScope", "Puts a prefix before layers' paths until closed.")
      .def(py::init<const std::string&>(), py::arg("name"))
      .def("close", &OpenScope::close);
  py::class_<Optimizer, std::shared_ptr<Optimizer>>(
      module, "Optimizer", "What a compiled model trains with: `model.optimizer`.")
      .def(py::init([](const py::handle& config) { return Optimizer::make(to_json(config)); }),
           py::arg("config"))
      .def(
          "config", [](const Optimizer& o) { return to_python(o.config()); },
          "Return its type and options.")
      .def("learning_rate", &Optimizer::learning_rate, py::arg("step"),
           "Return the learning rate of a step.")
      .def(
          "set_learning_rate",
          [](Optimizer& o, const py::handle& rate) {
            const Json json = to_json(rate);
            o.set_learning_rate(json.is_number() ? Schedule(json.as_number()) : Schedule(json));
          },
          py::arg("rate"), "Set the learning rate of later steps: a number or a schedule.")
      .def_property_readonly("state", &Optimizer::state, "Its variables, such as moments.")
      .def("__repr__", [](const Optimizer& o) {
        std::string options;
        const Json config = o.config();
        for (const auto& [name, value] : config.members())
          if (name != "type")
            options += (options.empty() ? "" : ", ") + name + "=" +
                       py::repr(to_python(value)).cast<std::string>();
        return config["type"].as_string() + "(" + options + ")";
      });
  module.def(
      "input_value",
      [](const py::handle& shape, const std::string& dtype, const std::string& name) {
        const Type type = type_of(shape, dtype);
        for (int64_t d : type.shape)
          if (d == 0) throw ShapeError("an input's sizes must be >= 1", type.shape.to_string());
        return input_value(type, name);
      },
      py::arg("shape"), py::arg("dtype"), py::arg("name"), "Make a graph's input.");
  module.def(
      "emit",
      [](const std::string& name, const py::sequence& inputs, const py::handle& options) {
        const Operation& op = operation(name);
        return emit(op, op.options.read(to_json(options)), values_of(inputs));
      },
      py::arg("name"), py::arg("inputs"), py::arg("options"),
      "Add an operation to a graph; return its outputs.");
  module.def(
      "gradient",
      [](const Value& output, const std::vector<Value>& wrt) {
        py::list all;
        for (const Value& value : grad(output, wrt))
          all.append(value ? py::cast(value) : py::none());
        return all;
      },
      py::arg("output"), py::arg("wrt"), "Return gradients; None where there is no dependence.");
  module.def(
      "schedule_rate",
      [](const py::handle& config, int64_t step) { return Schedule(to_json(config)).at(step); },
      py::arg("config"), py::arg("step"), "Return a schedule's rate at a step.");
  module.def(
      "operation_names",
      [](bool all) {
        std::vector<std::string> names;
        for (const std::string& name : operation_names())
          if (all || operation(name).is_public) names.push_back(name);
        return names;
      },
      py::arg("all") = false, "Return the names of the public operations, or of all.");
  module.def("describe_operation", describe_operation, py::arg("name"),
             "Return an operation's {name, doc, inputs, outputs, public, fields}.");
  module.def(
      "layer_schemas",
      [] {
        py::list rows;
        for (const LayerType* type : layer_types()) {
          py::dict row = describe(type->schema);
          row["inputs"] = type->inputs;
          rows.append(row);
        }
        return rows;
      },
      "Return {name, doc, fields, inputs} of each layer.");
  const auto schemas = [&](const char* name, std::vector<const Schema*> (*all)()) {
    module.def(
        name, [all] { return describe_all(all()); }, "Return {name, doc, fields} of each.");
  };
  module.def(
      "check_options",
      [](const std::string& type, const py::handle& options) {
        for (const auto all : {Optimizer::schemas, Schedule::schemas, initializer_schemas,
                               loss_schemas, metric_schemas})
          for (const Schema* schema : all())
            if (schema->name == type) schema->read(to_json(options));
      },
      py::arg("type"), py::arg("options"),
      "Refuse options that an optimizer, schedule, initializer, loss or metric does not take.");
  schemas("optimizer_schemas", Optimizer::schemas);
  schemas("schedule_schemas", Schedule::schemas);
  schemas("initializer_schemas", initializer_schemas);
  schemas("loss_schemas", loss_schemas);
  schemas("metric_schemas", metric_schemas);
  bind_programs(module);
}

}  // namespace striate
