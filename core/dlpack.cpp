#include <striate/core/dlpack.h>

#include <algorithm>
#include <array>

namespace striate {
namespace {

struct Type {
  DType dtype;
  DLDataType data_type;
};
constexpr std::array<Type, 8> kTypes = {{{DType::kF32, {kDLFloat, 32, 1}},
                                         {DType::kF16, {kDLFloat, 16, 1}},
                                         {DType::kBF16, {kDLBfloat, 16, 1}},
                                         {DType::kU8, {kDLUInt, 8, 1}},
                                         {DType::kI32, {kDLInt, 32, 1}},
                                         {DType::kI64, {kDLInt, 64, 1}},
                                         {DType::kBool, {kDLBool, 8, 1}},
                                         {DType::kF64, {kDLFloat, 64, 1}}}};

/// What an exported view needs as long as it lives.
template <class Managed>
struct Export {
  Tensor tensor;
  int64_t shape[Shape::kMaxRank] = {};
  int64_t strides[Shape::kMaxRank] = {};
  Managed managed = {};
};

template <class Managed>
Managed* export_tensor(const Tensor& tensor) {
  if (!tensor.defined()) throw ShapeError("an empty tensor handle has no values to share");
  auto view = std::make_unique<Export<Managed>>();
  view->tensor = tensor;
  const Shape& shape = tensor.shape();
  int64_t stride = 1;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    view->shape[d] = shape[d];
    view->strides[d] = stride;
    stride *= std::max<int64_t>(1, shape[d]);
  }
  const auto type = std::find_if(kTypes.begin(), kTypes.end(),
                                 [&](const Type& t) { return t.dtype == tensor.dtype(); });
  const Device device = tensor.device();
  view->managed.dl_tensor = {tensor.data(),
                             {device.type == DeviceType::kCpu ? kDLCPU : kDLCUDA, device.index},
                             shape.rank(),
                             type->data_type,
                             view->shape,
                             view->strides,
                             0};
  view->managed.manager_ctx = view.get();
  view->managed.deleter = [](Managed* self) {
    std::unique_ptr<Export<Managed>>(static_cast<Export<Managed>*>(self->manager_ctx));
  };
  return &view.release()->managed;
}

DType dtype_from(DLDataType wanted) {
  for (const Type& type : kTypes)
    if (type.data_type.code == wanted.code && type.data_type.bits == wanted.bits &&
        wanted.lanes == 1)
      return type.dtype;
  throw DTypeError(
      "the elements of a shared tensor must be float16, bfloat16, float32, float64, "
      "uint8, int32, int64 or bool",
      "DLPack type code " + std::to_string(wanted.code) + " of " + std::to_string(wanted.bits) +
          " bits and " + std::to_string(wanted.lanes) + " lanes");
}

Device device_from(DLDevice wanted) {
  if (wanted.device_type == kDLCPU || wanted.device_type == kDLCUDAHost) return {};
  if (wanted.device_type != kDLCUDA && wanted.device_type != kDLCUDAManaged)
    throw DeviceError("a shared tensor must lie on the CPU or on a CUDA device",
                      "DLPack device type " + std::to_string(wanted.device_type),
                      "Copy it to the CPU first");
  return device_from_name("cuda:" + std::to_string(wanted.device_id));
}

Shape dense_shape(const DLTensor& tensor) {
  if (tensor.ndim < 0) throw ShapeError("a tensor has no negative number of dimensions");
  const Shape shape(tensor.shape, tensor.shape + tensor.ndim);
  int64_t dense = 1;
  if (tensor.strides == nullptr || shape.elements() == 0) return shape;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    if (shape[d] != 1 && tensor.strides[d] != dense)
      throw ShapeError("a shared tensor must be dense and row-major",
                       "stride " + std::to_string(tensor.strides[d]) + " in dimension " +
                           std::to_string(d) + " of " + shape.to_string(),
                       "Make it contiguous first");
    dense *= shape[d];
  }
  return shape;
}

template <class Managed>
Tensor import_tensor(Managed* managed, bool read_only) {
  const DLTensor& view = managed->dl_tensor;
  const DType dtype = dtype_from(view.dtype);
  const Device device = device_from(view.device);
  const Shape shape = dense_shape(view);
  const size_t bytes = static_cast<size_t>(shape.elements()) * size_of(dtype);
  char* data = static_cast<char*>(view.data) + view.byte_offset;
  // A view that frees nothing goes through all checks first: a failure leaves `managed` alone.
  const Tensor checked(shape, dtype, Buffer::wrap(data, bytes, device, nullptr));
  const auto release = [managed] {
    if (managed->deleter) managed->deleter(managed);
  };
  if (!read_only) return Tensor(shape, dtype, Buffer::wrap(data, bytes, device, release));
  Tensor copy = checked.clone();
  release();
  return copy;
}

}  // namespace

DLManagedTensor* to_dlpack(const Tensor& tensor) { return export_tensor<DLManagedTensor>(tensor); }

DLManagedTensorVersioned* to_dlpack_versioned(const Tensor& tensor) {
  DLManagedTensorVersioned* managed = export_tensor<DLManagedTensorVersioned>(tensor);
  managed->version = {1, 0};
  return managed;
}

Tensor from_dlpack(DLManagedTensor* managed) { return import_tensor(managed, false); }

Tensor from_dlpack(DLManagedTensorVersioned* managed) {
  if (managed->version.major != 1)
    throw DTypeError("a shared tensor must be of DLPack version 1",
                     "version " + std::to_string(managed->version.major));
  return import_tensor(managed, managed->flags & kDLReadOnly);
}

}  // namespace striate
