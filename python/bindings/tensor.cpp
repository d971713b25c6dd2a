// Tensors in Python: NumPy and DLPack in and out without a copy, and operations on tensors.
#include <pybind11/typing.h>
#include <striate/core/dlpack.h>
#include <striate/layers/eager.h>

#include <bit>
#include <optional>
#include <vector>

#include "bindings.h"

namespace striate {
namespace {

DType dtype_of_array(const py::array& array) {
  const py::dtype dtype = array.dtype();
  const char kind = dtype.kind();
  const auto size = dtype.itemsize();
  if (kind == 'f' && size == 4) return DType::kF32;
  if (kind == 'f' && size == 8) return DType::kF64;
  if (kind == 'f' && size == 2) return DType::kF16;
  if (kind == 'u' && size == 1) return DType::kU8;
  if (kind == 'i' && size == 4) return DType::kI32;
  if (kind == 'i' && size == 8) return DType::kI64;
  if (kind == 'b') return DType::kBool;
  throw DTypeError("arrays must be float16, float32, float64, uint8, int32, int64 or bool",
                   py::str(dtype).cast<std::string>(), "Convert it with array.astype(...)");
}

constexpr bool kLittle = std::endian::native == std::endian::little;

/// bfloat16 has no NumPy type: it is shown as float32.
py::dtype dtype_for_array(DType dtype) { return py::dtype(name_of(dtype)); }

Tensor shared(const std::shared_ptr<py::array>& kept) {
  std::vector<int64_t> dims(kept->shape(), kept->shape() + kept->ndim());
  const Shape shape(dims);
  auto buffer = Buffer::wrap(const_cast<void*>(kept->data()), static_cast<size_t>(kept->nbytes()),
                             {}, [held = kept]() mutable {
                               const py::gil_scoped_acquire gil;
                               held.reset();
                             });
  return Tensor(shape, dtype_of_array(*kept), std::move(buffer));
}

/// Read sizes of which one may be -1: what is left of the elements.
Shape whole_shape(const py::object& sizes, int64_t elements) {
  const Json json = to_json(sizes);
  if (!json.is_array()) throw DTypeError("a shape is a sequence of whole numbers", shown(sizes));
  std::vector<int64_t> dims;
  int64_t known = 1, open = 0;
  for (const Json& item : json.items()) {
    if (!item.is_integer() || item.as_integer() < -1)
      throw ShapeError("a shape's sizes are whole numbers from 0, and at most one -1",
                       shown(sizes));
    dims.push_back(item.as_integer());
    if (dims.back() == -1)
      ++open;
    else
      known *= std::min<int64_t>(dims.back(), int64_t{1} << 31);
  }
  if (open > 1) throw ShapeError("a shape has at most one -1", shown(sizes));
  for (int64_t& d : dims)
    if (d == -1) d = known > 0 ? elements / known : 0;
  return Shape(dims);
}

int64_t rows_of(const Tensor& t) {
  if (t.shape().rank() == 0)
    throw DTypeError("a tensor without dimensions has no rows", "shape []", "Use item()");
  return t.shape()[0];
}

std::vector<Tensor> tensors_of(const py::sequence& arguments) {
  std::vector<Tensor> tensors;
  for (const auto& argument : arguments)
    tensors.push_back(argument.is_none() ? Tensor() : argument.cast<Tensor>());
  return tensors;
}

}  // namespace

Tensor to_tensor(const py::array& array) {
  dtype_of_array(array);
  constexpr int kWanted = int{py::array::c_style} | int{py::detail::npy_api::NPY_ARRAY_ALIGNED_};
  const char order = array.dtype().byteorder();
  const bool is_native = order == '=' || order == '|' || order == (kLittle ? '<' : '>');
  if (is_native && (array.flags() & kWanted) == kWanted)
    return shared(std::make_shared<py::array>(array));
  py::array kept = array.attr("astype")(array.dtype().attr("newbyteorder")("="), "C");
  return shared(std::make_shared<py::array>(std::move(kept)));
}

py::array to_array(const Tensor& tensor) {
  if (tensor.device().type != DeviceType::kCpu) return to_array(tensor.to({}));
  if (tensor.dtype() == DType::kBF16) {
    Tensor wide(tensor.shape(), DType::kF32);
    const auto* from = static_cast<const uint16_t*>(tensor.data());
    for (int64_t i = 0; i < tensor.elements(); ++i)
      wide.data_as<float>()[i] = bfloat16_to_float(from[i]);
    return to_array(wide);
  }
  const auto* kept = new Tensor(tensor);
  const py::capsule owner(kept, [](void* p) { delete static_cast<Tensor*>(p); });
  return py::array(dtype_for_array(tensor.dtype()), tensor.shape().to_vector(), tensor.data(),
                   owner);
}

namespace {

using Number = py::typing::Union<py::int_, py::float_>;

/// Return the only element, integers as such: a double would round large ones.
Number number_of(const Tensor& t) {
  t.item();  // throws where there are others
  return Number(py::object(to_array(t).attr("item")()));
}

Tensor copy_of_part(const Tensor& t, const py::object& index) {
  const py::object part = py::array(to_array(t)).attr("__getitem__")(index);
  return to_tensor(py::module_::import("numpy").attr("array")(part));
}

/// Return the row or neighbouring rows that an index stands for, without a copy; nothing: it
/// stands for something else.
std::optional<Tensor> rows_at(const Tensor& t, const py::object& index) {
  const Shape& shape = t.shape();
  if (shape.rank() == 0) return {};
  if (PyLong_CheckExact(index.ptr())) {
    int64_t row = index.cast<int64_t>();
    row += row < 0 ? shape[0] : 0;
    if (row < 0 || row >= shape[0]) return {};
    const std::vector<int64_t> sizes(shape.begin() + 1, shape.end());
    return t.rows(row, row + 1).reshape(Shape(sizes));
  }
  Py_ssize_t first = 0, last = 0, step = 0;
  if (!PySlice_Check(index.ptr())) return {};
  if (PySlice_Unpack(index.ptr(), &first, &last, &step) < 0) throw py::error_already_set();
  const Py_ssize_t count = PySlice_AdjustIndices(shape[0], &first, &last, step);
  if (step != 1) return {};
  return t.rows(first, first + count);
}

}  // namespace

void bind_tensors(py::module_& module) {
  py::class_<Tensor>(
      module, "Tensor",
      "A dense, row-major array on a device, made from any value that NumPy can read.")
      .def(py::init([](const py::object& value) {
             if (py::isinstance<Tensor>(value)) return value.cast<Tensor>();
             return to_tensor(py::module_::import("striate.arguments").attr("as_array")(value))
                 .clone();
           }),
           py::arg("value"))
      .def_property_readonly(
          "shape", [](const Tensor& t) { return py::tuple(py::cast(t.shape().to_vector())); },
          "Its sizes.")
      .def_property_readonly(
          "dtype", [](const Tensor& t) { return name_of(t.dtype()); }, "Its element type's name.")
      .def_property_readonly(
          "ndim", [](const Tensor& t) { return t.shape().rank(); }, "The number of its sizes.")
      .def_property_readonly(
          "size", [](const Tensor& t) { return t.elements(); }, "The number of its elements.")
      .def_property_readonly("nbytes", &Tensor::bytes, "The bytes of its elements.")
      .def_property_readonly(
          "device", [](const Tensor& t) { return t.device().to_string(); },
          "Where it lies, such as \"cpu\".")
      .def("numpy", to_array,
           "Return a NumPy array; it shares the memory of a tensor on the CPU, bfloat16 apart.")
      .def("item", number_of, "Return the only element as Python's number of its type.")
      .def(
          "to",
          [](const Tensor& t, const py::object& device) {
            const Json name = to_json(device);
            return t.to(device_from_name(name.is_string() ? name.as_string() : shown(device)));
          },
          py::arg("device"), "Return a copy on a device; itself when it is there.")
      .def("clone", &Tensor::clone, "Return a copy.")
      .def(
          "reshape",
          [](const Tensor& t, const py::args& sizes, const py::object& shape) {
            py::object given = shape.is_none() ? py::object(sizes) : shape;
            if (shape.is_none() && sizes.size() == 1 && !PyLong_Check(sizes[0].ptr()))
              given = sizes[0];
            return t.reshape(whole_shape(given, t.elements()));
          },
          py::arg("shape") = py::none(),
          "Return the same elements under another shape: `reshape(2, -1)` or `reshape((2, -1))`.")
      .def("__float__", &Tensor::item)
      .def("__int__", [](const Tensor& t) { return py::int_(number_of(t)); })
      .def("__index__",
           [](const Tensor& t) {
             const bool whole = !is_floating(t.dtype()) && t.dtype() != DType::kBool;
             if (t.shape().rank() > 0 || !whole)
               throw DTypeError("only a tensor of one integer and no dimensions is an index",
                                t.shape().to_string() + " " + name_of(t.dtype()));
             return py::int_(number_of(t));
           })
      .def(
          "__round__",
          [](const Tensor& t, const py::object& digits) {
            return py::module_::import("builtins").attr("round")(number_of(t), digits);
          },
          py::arg("digits") = py::none())
      .def("__bool__",
           [](const Tensor& t) {
             if (t.elements() != 1)
               throw ShapeError("only a tensor of one element is true or false",
                                t.shape().to_string(), "Use numpy().all() or numpy().any()");
             return t.item() != 0;
           })
      .def("__len__", rows_of)
      .def("__iter__",
           [](const py::object& t) {
             const py::module_ builtins = py::module_::import("builtins");
             const py::object rows = builtins.attr("range")(rows_of(t.cast<const Tensor&>()));
             return builtins.attr("map")(t.attr("__getitem__"), rows);
           })
      .def("__format__",
           [](const py::object& t, const std::string& how) {
             if (how.empty()) return py::str(t);
             return py::str(number_of(t.cast<const Tensor&>()).attr("__format__")(how));
           })
      .def("__copy__", &Tensor::clone)
      .def("__deepcopy__", [](const Tensor& t, const py::dict&) { return t.clone(); })
      .def(
          "__array__",
          [](const Tensor& t, const py::object& dtype, const py::object&) -> py::object {
            py::object array = to_array(t);
            return dtype.is_none() ? array : array.attr("astype")(dtype);
          },
          py::arg("dtype") = py::none(), py::arg("copy") = py::none())
      .def(
          "__getitem__",
          [](const Tensor& t, const py::object& index) {
            if (t.device().type == DeviceType::kCpu) return copy_of_part(t, index);
            const std::optional<Tensor> rows = rows_at(t, index);
            return rows ? *rows : copy_of_part(t, index).to(t.device());
          },
          py::arg("index"),
          "Return elements on the same device as NumPy's indices choose them: a copy; of a "
          "device's "
          "tensor, rows that lie together share its memory.")
      .def("__dlpack_device__", [](const Tensor&) { return py::make_tuple(1, 0); })
      .def("__dlpack__",
           [](const Tensor& t, const py::kwargs&) {
             // NumPy's own capsule serves every consumer; the memory is shared through it.
             return py::array(to_array(t)).attr("__dlpack__")();
           })
      .def("__repr__", &Tensor::to_string);
  module.def("tensor_from_array", to_tensor, py::arg("array"),
             "Share a contiguous array's memory.");
  module.def(
      "run_operation",
      [](const std::string& name, const py::sequence& arguments, const py::handle& options) {
        const auto inputs = tensors_of(arguments);
        const Json json = to_json(options);
        const py::gil_scoped_release release;
        return run_operation(name, json, inputs);
      },
      py::arg("name"), py::arg("inputs"), py::arg("options"),
      "Run an operation on tensors; return all its outputs.");
}

}  // namespace striate
