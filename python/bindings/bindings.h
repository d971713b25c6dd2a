// What the binding files share: JSON, tensors and errors between Python and C++.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <striate/core/json.h>
#include <striate/core/tensor.h>
#include <striate/layers/graph/graph.h>
#include <striate/layers/graph/options.h>

namespace py = pybind11;

namespace striate {

/// Convert dicts, sequences, numbers, strings, element types and None; refuses the rest with
/// DTypeError, numbers beyond 64 bits with ShapeError.
Json to_json(const py::handle& object);
/// Print what a user gave, for a message.
std::string shown(const py::handle& object);
py::object to_python(const Json& json);

/// Share a contiguous NumPy array's memory; the tensor keeps the array.
Tensor to_tensor(const py::array& array);
/// Share the tensor's memory; the array keeps the tensor.
py::array to_array(const Tensor& tensor);

/// Describe a schema as {name, doc, fields: [{name, type, doc, required, default}]}.
py::object describe(const Schema& schema);

void bind_tensors(py::module_& module);
void bind_graph(py::module_& module);
void bind_models(py::module_& module);

}  // namespace striate
