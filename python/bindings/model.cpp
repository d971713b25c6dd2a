// Models in Python: the steps of training; the loop around them is Python's.
#include <striate/layers/compare.h>
#include <striate/layers/model.h>
#include <striate/layers/zoo.h>

#include <optional>
#include <span>

#include "bindings.h"

namespace striate {
namespace {

std::string name_of_function(const py::object& function) {
  return py::str(py::getattr(function, "__name__", py::str("function")));
}

/// Return what a user's loss or metric gave, which must be symbolic.
Value symbolic(const py::object& result, const py::object& function) {
  if (py::isinstance<Value>(result)) return result.cast<Value>();
  DTypeError error("a loss or metric returns a symbolic value, made by st.ops from its arguments",
                   shown(result), result.is_none() ? "Perhaps its return is missing" : "");
  error.set_layer(name_of_function(function));
  throw error;
}

LossFunction from_python(const py::object& given) {
  // The last holder may let go of it in a thread without the interpreter's lock.
  const std::shared_ptr<py::object> function(new py::object(given), [](py::object* object) {
    const py::gil_scoped_acquire gil;
    delete object;
  });
  return [function](const Value& targets, const Value& output) {
    const py::gil_scoped_acquire gil;
    return symbolic((*function)(targets, output), *function);
  };
}

/// A name, {"type": ...}, or a Python function of (targets, output).
NamedFunction function_of(const py::handle& given, NamedFunction (*find)(const Json&)) {
  if (!PyCallable_Check(given.ptr())) return find(to_json(given));
  const auto function = py::reinterpret_borrow<py::object>(given);
  NamedFunction named;
  named.name = name_of_function(function);
  named.function = from_python(function);
  return named;
}

CompileOptions options_of(const py::kwargs& given) {
  CompileOptions options;
  options.optimizer = given["optimizer"].cast<std::shared_ptr<Optimizer>>();
  for (const auto& loss : given["losses"].cast<py::sequence>())
    options.losses.push_back(function_of(loss, find_loss));
  for (const auto& metric : given["metrics"].cast<py::sequence>())
    options.metrics.push_back(function_of(metric, find_metric));
  options.loss_weights = given["loss_weights"].cast<std::vector<double>>();
  options.device = given["device"].cast<std::string>();
  options.precision = given["precision"].cast<std::string>();
  options.check_numerics = given["check_numerics"].cast<bool>();
  options.exact = given["exact"].cast<bool>();
  options.same_for_threads = given["same_for_threads"].cast<bool>();
  options.tune = given["tune"].cast<bool>();
  options.shards = given["shards"].cast<int>();
  options.seed = given["seed"].cast<uint64_t>();
  return options;
}

template <const StepResult& (Model::*kRun)(const std::vector<Tensor>&, const std::vector<Tensor>&,
                                           std::span<const int64_t>, const Coming&)>
py::tuple run_batch(Model& model, const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                    const std::optional<py::array_t<int64_t, py::array::c_style>>& samples,
                    const py::object& next, bool taken) {
  std::span<const int64_t> numbers;
  if (samples) numbers = {samples->data(), static_cast<size_t>(samples->size())};
  Coming coming = {.taken = taken};
  const auto look_ahead = [&]() -> std::optional<Batch> {
    const py::gil_scoped_acquire locked;
    const py::object made = next();
    if (made.is_none()) return {};
    const auto pair = made.cast<std::pair<std::vector<Tensor>, std::vector<Tensor>>>();
    return Batch{pair.first, pair.second};
  };
  if (!next.is_none()) coming.next = std::ref(look_ahead);
  const StepResult* result = nullptr;
  {
    const py::gil_scoped_release unlocked;
    result = &(model.*kRun)(x, y, numbers, coming);
  }
  return py::make_tuple(result->loss, result->metrics);
}

std::vector<Type> types_of(const py::sequence& rows) {
  std::vector<Type> types;
  for (const auto& row : rows) {
    const auto pair = row.cast<py::sequence>();
    types.push_back(
        {Codec<Shape>::read(to_json(pair[0])), dtype_from_name(pair[1].cast<std::string>())});
  }
  return types;
}

}  // namespace

void bind_models(py::module_& module) {
  const auto release = py::call_guard<py::gil_scoped_release>();
  py::class_<Model>(module, "Model")
      .def(py::init<std::vector<Value>, std::vector<Value>, const std::string&>(),
           py::arg("inputs"), py::arg("outputs"), py::arg("name") = "model")
      .def_property_readonly("name", &Model::name)
      .def_property_readonly("inputs", &Model::inputs)
      .def_property_readonly("input_names",
                             [](const Model& m) {
                               std::vector<std::string> names;
                               for (const Value& input : m.inputs())
                                 names.push_back(input.node->name->path);
                               return names;
                             })
      .def_property_readonly("outputs", &Model::outputs)
      .def_property_readonly("layers", &Model::layers)
      .def_property_readonly("weights", &Model::weights)
      .def_property("step", &Model::step, &Model::set_step)
      .def_property_readonly("compiled", &Model::is_compiled)
      .def_property_readonly("device", [](const Model& m) { return m.device().to_string(); })
      .def_property_readonly("optimizer",
                             [](const Model& m) { return m.compile_options().optimizer; })
      .def_property_readonly("metric_names",
                             [](const Model& m) {
                               std::vector<std::string> names;
                               for (const auto& metric : m.compile_options().metrics)
                                 names.push_back(metric.name);
                               return names;
                             })
      .def_property_readonly("resume_differences", &Model::resume_differences,
                             "What is otherwise than when its checkpoint was written.")
      .def("layer", &Model::layer, py::arg("path"), "Return the layer of that path.")
      .def("count_params", &Model::count_params, "Return the number of parameters.")
      .def("freeze", &Model::freeze, py::arg("frozen") = true, "Stop or allow the training.")
      .def(
          "apply", [](const Model& m, const std::vector<Value>& inputs) { return m(inputs); },
          py::arg("inputs"), "Apply the model as a layer.")
      .def("replace_head", &Model::replace_head, py::arg("layer"),
           "Return a model with the last layer replaced.")
      .def(
          "compile", [](Model& m, const py::kwargs& options) { m.compile(options_of(options)); },
          "Say how the model is trained: all options by name.")
      .def("train_batch", run_batch<&Model::train_batch>, py::arg("x"), py::arg("y"),
           py::arg("samples") = py::none(), py::arg("next") = py::none(), py::arg("taken") = false,
           "Train on one batch; return (loss, metrics). `samples` are the rows' numbers in their "
           "data set, by which errors name them. `next` is called when the batch is no longer "
           "read and returns the next one, (x, y) or None, which a device copies beside its work; "
           "`taken` says that this batch was such a one.")
      .def("test_batch", run_batch<&Model::test_batch>, py::arg("x"), py::arg("y"),
           py::arg("samples") = py::none(), py::arg("next") = py::none(), py::arg("taken") = false,
           "Evaluate one batch; return (loss, metrics).")
      .def("predict_batch", &Model::predict_batch, release, py::arg("x"),
           "Return the outputs for one batch.")
      .def(
          "program_memory",
          [](const Model& m, const std::string& purpose, const py::sequence& x,
             const py::sequence& y) {
            const auto memory = m.planned(purpose, types_of(x), types_of(y))->memory();
            return py::dict(py::arg("planned") = memory.planned, py::arg("used") = memory.used,
                            py::arg("weights") = memory.weights, py::arg("state") = memory.state,
                            py::arg("gradients") = memory.gradients,
                            py::arg("persistent") = memory.persistent);
          },
          py::arg("purpose"), py::arg("x"), py::arg("y"), "Return the bytes of a program.")
      .def(
          "target_types",
          [](const Model& m, int64_t batch) {
            py::list rows;
            for (const Type& type : m.target_types(batch))
              rows.append(py::make_tuple(type.shape.to_vector(), name_of(type.dtype)));
            return rows;
          },
          py::arg("batch"), "Return the (shape, dtype) of each target of so many samples.")
      .def(
          "plan",
          [](const Model& m, const std::string& purpose, const py::sequence& x,
             const py::sequence& y) { m.program(purpose, types_of(x), types_of(y)); },
          py::arg("purpose"), py::arg("x"), py::arg("y"), "Plan a program before its first batch.")
      .def(
          "plan_seconds",
          [](const Model& m, const std::string& purpose, const py::sequence& x,
             const py::sequence& y) {
            return m.planned(purpose, types_of(x), types_of(y))->plan_seconds();
          },
          py::arg("purpose"), py::arg("x"), py::arg("y"), "Return what a program's plan took.")
      .def(
          "graph_nodes",
          [](const Model& m, const std::string& purpose, const py::sequence& x,
             const py::sequence& y) {
            return m.planned(purpose, types_of(x), types_of(y))->recorded_nodes();
          },
          py::arg("purpose"), py::arg("x"), py::arg("y"),
          "Return the kernels and copies of a recorded step.")
      .def(
          "explain",
          [](const Model& m, const std::string& purpose, const py::sequence& x,
             const py::sequence& y) {
            return to_python(m.planned(purpose, types_of(x), types_of(y))->explain());
          },
          py::arg("purpose"), py::arg("x"), py::arg("y"), "Return a row for each kernel.")
      .def("profile",
           [](const Model& m, const std::string& purpose, const std::vector<Tensor>& x,
              const std::vector<Tensor>& y, int rounds) {
             std::vector<Type> types[2];
             for (const Tensor& t : x) types[0].push_back({t.shape(), t.dtype()});
             for (const Tensor& t : y) types[1].push_back({t.shape(), t.dtype()});
             std::vector<Tensor> inputs = x;
             inputs.insert(inputs.end(), y.begin(), y.end());
             const auto program = m.program(purpose, types[0], types[1]);
             return to_python(program->profile(inputs, {}, rounds));
           })
      .def("compare",
           [](const Model& m, const std::string& purpose, const py::sequence& x,
              const py::sequence& y, const std::vector<std::string>& only,
              const py::function& progress, bool timed) {
             CompareOptions options;
             options.only = only;
             if (!timed) options.seconds = 0, options.checked_flops = 1e8;
             options.progress = [&](const std::string& kernel) {
               if (PyErr_CheckSignals() != 0) throw py::error_already_set();
               progress(kernel);
             };
             return to_python(
                 compare_kernels(m.program(purpose, types_of(x), types_of(y))->plan(), options));
           })
      .def(
          "summary", [](const Model& m, int64_t batch) { return to_python(m.summary(batch)); },
          py::arg("batch"))
      .def("config", [](const Model& m) { return to_python(m.config()); })
      .def("save", &Model::save, py::arg("path"), py::arg("checkpoint") = false, release)
      .def_static("load", &Model::load, py::arg("path"), release)
      .def(
          "load_weights",
          [](Model& m, const std::string& path, bool partial) {
            return to_python(m.load_weights(path, partial));
          },
          py::arg("path"), py::arg("partial") = false);
  module.def(
      "register_function",
      [](const std::string& name, const py::object& function) {
        register_function(name, from_python(function));
      },
      py::arg("name"), py::arg("function"), "Give a loss or metric a name that files record.");
  module.def(
      "accepting_kernels",
      [](const std::string& name, const py::handle& options, const py::sequence& inputs,
         const std::string& device) {
        std::vector<Type> types;
        std::vector<bool> present;
        for (const auto& input : inputs) {
          present.push_back(!input.is_none());
          types.push_back(input.is_none() ? Type{} : types_of(py::make_tuple(input))[0]);
        }
        return to_python(
            accepting_kernels(name, to_json(options), types, present, device_from_name(device)));
      },
      py::arg("operation"), py::arg("options"), py::arg("inputs"), py::arg("device"),
      "Return [{name, accepts, reason}] of the kernels for an example.");
  module.def(
      "epoch_order",
      [](int64_t samples, uint64_t seed, uint64_t epoch) {
        const auto order = epoch_order(samples, seed, epoch);
        return py::array_t<int64_t>(static_cast<py::ssize_t>(order.size()), order.data());
      },
      py::arg("samples"), py::arg("seed"), py::arg("epoch"),
      "Return the order in which an epoch takes the samples.");
  module.def("zoo_names", zoo::names, "Return the networks' names.");
  module.def(
      "zoo_make",
      [](const std::string& name, const std::vector<int64_t>& shape, int64_t classes) {
        return zoo::make(name, {Shape(shape), classes});
      },
      py::arg("name"), py::arg("shape"), py::arg("classes"), "Make a network.");
}

}  // namespace striate
