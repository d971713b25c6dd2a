// The module striate._striate: errors, devices, kernels and what all files share.
#include <striate/core/device.h>
#include <striate/core/nearest.h>
#include <striate/core/parallel.h>
#include <striate/kernels/impl.h>
#include <striate/layers/initializer.h>
#include <striate/version.h>

#include "bindings.h"

namespace striate {

Json to_json(const py::handle& object) {
  if (object.is_none()) return {};
  if (py::isinstance<py::bool_>(object)) return object.cast<bool>();
  if (py::isinstance<py::str>(object)) return object.cast<std::string>();
  if (PyIndex_Check(object.ptr()) && !PyType_Check(object.ptr())) {
    const auto whole = py::reinterpret_steal<py::object>(PyNumber_Index(object.ptr()));
    int overflow = 0;
    const int64_t value = whole ? PyLong_AsLongLongAndOverflow(whole.ptr(), &overflow) : 0;
    if (whole && overflow == 0) return value;
    if (!whole && !PyErr_ExceptionMatches(PyExc_TypeError)) throw py::error_already_set();
    PyErr_Clear();  // NumPy's arrays have the slot, but only those of one integer an answer
    if (overflow != 0) throw ShapeError("whole numbers are from -2^63 to 2^63 - 1", py::str(whole));
  }
  if (PyFloat_Check(object.ptr())) return object.cast<double>();
  if (py::isinstance<py::dict>(object)) {
    Json json = Json::object();
    for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(object)) try {
        json.set(py::str(key).cast<std::string>(), to_json(value));
      } catch (const DTypeError& error) {
        throw DTypeError("option '" + py::str(key).cast<std::string>() + "': " + error.rule(),
                         error.values());
      } catch (const ShapeError& error) {
        throw ShapeError("option '" + py::str(key).cast<std::string>() + "': " + error.rule(),
                         error.values());
      }
    return json;
  }
  if (PyType_Check(object.ptr()) || py::isinstance<py::dtype>(object)) {
    const py::object dtype = py::module_::import("striate.arguments").attr("dtype_name")(object);
    return dtype.cast<std::string>();
  }
  if (py::hasattr(object, "get_config"))
    return to_json(py::reinterpret_borrow<py::object>(object).attr("get_config")());
  if (py::isinstance<py::sequence>(object) || py::isinstance<py::array>(object)) {
    Json json = Json::array();
    for (const auto& item : py::reinterpret_borrow<py::object>(object)) json.push(to_json(item));
    return json;
  }
  if (py::hasattr(object, "__float__") && !py::isinstance<Value>(object))
    return py::float_(py::reinterpret_borrow<py::object>(object)).cast<double>();
  throw DTypeError("an option is a number, a string, a sequence, a dict or None", shown(object));
}

std::string shown(const py::handle& object) {
  return py::module_::import("striate.arguments").attr("shown")(object).cast<std::string>();
}

py::object to_python(const Json& json) {
  if (json.is_null()) return py::none();
  if (json.is_bool()) return py::bool_(json.as_bool());
  if (json.is_integer()) return py::int_(json.as_integer());
  if (json.is_number()) return py::float_(json.as_number());
  if (json.is_string()) return py::str(json.as_string());
  if (json.is_array()) {
    py::list list;
    for (const Json& item : json.items()) list.append(to_python(item));
    return list;
  }
  py::dict dict;
  for (const auto& [key, value] : json.members()) dict[py::str(key)] = to_python(value);
  return dict;
}

py::object describe(const Schema& schema) {
  py::list fields;
  for (const Field& field : schema.fields) {
    py::dict row;
    row["name"] = field.name;
    row["type"] = field.type;
    row["doc"] = field.doc;
    row["required"] = field.required;
    row["default"] = to_python(field.default_value);
    fields.append(row);
  }
  py::dict all;
  all["name"] = schema.name;
  all["doc"] = schema.doc;
  all["fields"] = fields;
  return all;
}

namespace {

/// Paths may hold any bytes, a Python text may not.
py::object text(const std::string& bytes) {
  return py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
      bytes.data(), static_cast<py::ssize_t>(bytes.size()), "backslashreplace"));
}

void raise(const char* type, const Error& error) {
  const py::object kind = py::module_::import("striate.errors").attr(type);
  const py::object made =
      kind(text(error.what()), py::arg("layer") = text(error.layer()),
           py::arg("rule") = text(error.rule()), py::arg("values") = text(error.values()),
           py::arg("fix") = text(error.fix()));
  PyErr_SetObject(kind.ptr(), made.ptr());
}

void translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const ShapeError& e) {
    raise("ShapeError", e);
  } catch (const DTypeError& e) {
    raise("DTypeError", e);
  } catch (const LabelError& e) {
    raise("LabelError", e);
  } catch (const NumericsError& e) {
    raise("NumericsError", e);
  } catch (const FileError& e) {
    raise("FileError", e);
  } catch (const DeviceError& e) {
    raise("DeviceError", e);
  } catch (const KernelError& e) {
    raise("KernelError", e);
  } catch (const OutOfMemoryError& e) {
    raise("OutOfMemoryError", e);
  } catch (const Error& e) {
    raise("Error", e);
  } catch (const py::cast_error& e) {
    raise("DTypeError", DTypeError("an argument has the wrong type", e.what()));
  }
}

py::list list_kernels(const std::string& operation, const std::string& device) {
  py::list rows;
  const DeviceType type = device == "cuda" ? DeviceType::kCuda : DeviceType::kCpu;
  for (const kernels::Entry* entry : kernels::entries(operation, type)) rows.append(entry->name);
  return rows;
}

}  // namespace
}  // namespace striate

PYBIND11_MODULE(_striate, module) {
  using namespace striate;
  module.doc() = "The C++ side of striate.";
  module.attr("__version__") = STRIATE_VERSION;
  py::register_exception_translator(translate);
  module.def(
      "seed", set_seed, py::arg("n"),
      "Set the seed of later initializations, and the default one of shuffling and dropout.");
  module.def("current_seed", current_seed, "Return the seed that `seed` set.");
  module.def("threads", threads, "Return the number of threads that the CPU's kernels use.");
  module.def("set_threads", set_threads, py::arg("n"),
             "Set the number of threads of all later work. Raises ShapeError below 1.");
  module.def(
      "memory_stats",
      [] {
        const MemoryStats stats = memory_stats();
        return py::dict(py::arg("allocations") = stats.allocations, py::arg("bytes") = stats.bytes,
                        py::arg("peak") = stats.peak);
      },
      "Return what tensors and programs hold: {allocations (so far), bytes (now), peak}.");
  module.def(
      "devices",
      [] {
        std::vector<std::string> names;
        for (Device device : devices()) names.push_back(device.to_string());
        return names;
      },
      "Return the names of the devices that there are, such as \"cpu\".");
  module.def(
      "describe_device",
      [](const std::string& name) {
        const Device device = device_from_name(name);
        return backend(device.type).describe(device.index);
      },
      py::arg("name"), "Return a device's name and instruction set in words.");
  module.def("kernel_names", list_kernels, py::arg("operation"), py::arg("device"),
             "Return the names of an operation's kernels, the reference last.");
  module.def("nearest", nearest, py::arg("word"), py::arg("words"),
             "Return the word that a misspelt one was meant to be, or an empty text.");
  module.def("operations_with_kernels", kernels::operations_with_entries,
             "Return the names of the operations that have kernels.");
  module.def("force_kernels", kernels::force, py::arg("rules"),
             "Force kernels by rules; return those that held before.");
  module.def("forced_kernels", kernels::forced, "Return the rules that force kernels now.");
  bind_tensors(module);
  bind_graph(module);
  bind_models(module);
}
