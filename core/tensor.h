// A handle on a shape, an element type, a device and a shared buffer; always dense, row-major.
#pragma once

#include <striate/core/allocator.h>
#include <striate/core/dtype.h>
#include <striate/core/error.h>
#include <striate/core/shape.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace striate {

class Tensor {
 public:
  /// The empty handle: `defined()` is false.
  Tensor() = default;
  /// Allocate without initial values. Throws ShapeError, OutOfMemoryError.
  Tensor(const Shape& shape, DType dtype, Device device = {});
  /// Hold part of a buffer, from byte `offset`. Throws ShapeError when it does not fit.
  Tensor(const Shape& shape, DType dtype, std::shared_ptr<Buffer> buffer, size_t offset = 0);

  static Tensor zeros(const Shape& shape, DType dtype = DType::kF32, Device device = {});
  /// Copy host values. Throws ShapeError when their number is not the shape's.
  template <class T>
  static Tensor from(const Shape& shape, const std::vector<T>& values, Device device = {}) {
    if (static_cast<int64_t>(values.size()) != shape.elements())
      throw ShapeError("values must fill the shape " + shape.to_string(),
                       std::to_string(values.size()) + " values");
    Tensor tensor(shape, dtype_of<T>(), device);
    tensor.copy_from_host(values.data());
    return tensor;
  }

  bool defined() const { return buffer_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  Device device() const { return buffer_ ? buffer_->device() : Device{}; }
  int64_t elements() const { return shape_.elements(); }
  size_t bytes() const { return static_cast<size_t>(elements()) * size_of(dtype_); }
  void* data() const { return static_cast<char*>(buffer_->data()) + offset_; }
  /// Return the elements as T. Throws DTypeError when T is not the dtype.
  template <class T>
  T* data_as() const {
    check_dtype(dtype_of<T>());
    return static_cast<T*>(data());
  }
  /// Copy to host memory as T, in row-major order.
  template <class T>
  std::vector<T> to_vector() const {
    check_dtype(dtype_of<T>());
    std::vector<T> values(static_cast<size_t>(elements()));
    copy_to_host(values.data());
    return values;
  }
  /// Return the only element as double. Throws ShapeError when there are others.
  double item() const;

  void copy_to_host(void* host) const;
  void copy_from_host(const void* host) const;
  /// Return a copy on `device`; the same handle when it is there already.
  Tensor to(Device device) const;
  Tensor clone() const;
  /// Return the same data under another shape. Throws ShapeError when sizes differ.
  Tensor reshape(const Shape& shape) const;
  /// Return rows [first, last) of dimension 0, without a copy.
  Tensor rows(int64_t first, int64_t last) const;
  /// Print shape, dtype, device and the first values.
  std::string to_string() const;

 private:
  void check_dtype(DType dtype) const;

  Shape shape_;
  DType dtype_ = DType::kF32;
  std::shared_ptr<Buffer> buffer_;
  size_t offset_ = 0;
};

}  // namespace striate
