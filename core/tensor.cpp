#include <striate/core/tensor.h>

#include <algorithm>
#include <cstdio>

namespace striate {
namespace {

constexpr int64_t kMaxBytes = int64_t{1} << 62;

/// Return the bytes of a shape. Throws ShapeError when they cannot be counted.
size_t checked_bytes(const Shape& shape, DType dtype) {
  const int64_t elements = shape.elements();
  const auto size = static_cast<int64_t>(size_of(dtype));
  if (elements > kMaxBytes / size)
    throw ShapeError("a tensor has at most 2^62 bytes", shape.to_string());
  return static_cast<size_t>(elements * size);
}

template <class T>
T load(const void* data, int64_t i) {
  T value;
  std::memcpy(&value, static_cast<const char*>(data) + i * static_cast<int64_t>(sizeof value),
              sizeof value);
  return value;
}

double value_at(const void* data, DType dtype, int64_t i) {
  switch (dtype) {
    case DType::kF32:
      return load<float>(data, i);
    case DType::kF16:
      return half_to_float(load<uint16_t>(data, i));
    case DType::kBF16:
      return bfloat16_to_float(load<uint16_t>(data, i));
    case DType::kU8:
      return load<uint8_t>(data, i);
    case DType::kI32:
      return load<int32_t>(data, i);
    case DType::kI64:
      return static_cast<double>(load<int64_t>(data, i));
    case DType::kBool:
      return load<uint8_t>(data, i) != 0;
    case DType::kF64:
      return load<double>(data, i);
  }
  return 0;
}

/// Print values as NumPy does, with `...` for the middle of long dimensions.
class Printer {
 public:
  Printer(const Shape& shape, DType dtype, const void* data)
      : shape_(shape), dtype_(dtype), data_(data), shorten_(shape.elements() > kPrintAll) {}

  std::string text() {
    visit(0, 0, [&](int64_t i) { width_ = std::max(width_, value(i).size()); });
    visit(0, 0, [&](int64_t i) {
      const std::string one = value(i);
      out_.append(width_ - one.size(), ' ') += one;
    });
    return std::move(out_);
  }

 private:
  static constexpr int64_t kPrintAll = 100;
  static constexpr int64_t kEdge = 3;

  std::string value(int64_t i) const {
    if (dtype_ == DType::kBool) return load<uint8_t>(data_, i) ? "True" : "False";
    if (dtype_ == DType::kI64) return std::to_string(load<int64_t>(data_, i));
    char text[32];
    const int digits = is_floating(dtype_) ? 6 : 10;
    std::snprintf(text, sizeof text, "%.*g", digits, value_at(data_, dtype_, i));
    return text;
  }

  // `out_` is written on both walks and cleared between them by the one at depth 0.
  template <class Leaf>
  void visit(int dim, int64_t first, const Leaf& leaf) {
    if (dim == 0) out_.clear();
    if (dim == shape_.rank()) return leaf(first);
    const int64_t size = shape_[dim];
    const int64_t inner = shape_.product(dim + 1, shape_.rank());
    const bool last = dim + 1 == shape_.rank();
    out_ += '[';
    for (int64_t i = 0; i < size; ++i) {
      if (i > 0) separate(dim, last);
      if (shorten_ && size > 2 * kEdge && i == kEdge) {
        out_ += "...";
        i = size - kEdge;
        separate(dim, last);
      }
      visit(dim + 1, first + i * inner, leaf);
    }
    out_ += ']';
  }

  void separate(int dim, bool last) {
    out_ += ',';
    if (last)
      out_ += ' ';
    else
      out_.append(static_cast<size_t>(std::max(1, shape_.rank() - dim - 1)), '\n')
          .append(static_cast<size_t>(dim + 1), ' ');
  }

  const Shape& shape_;
  DType dtype_;
  const void* data_;
  bool shorten_;
  size_t width_ = 0;
  std::string out_;
};

}  // namespace

Tensor::Tensor(const Shape& shape, DType dtype, Device device)
    : shape_(shape),
      dtype_(dtype),
      buffer_(Buffer::allocate(checked_bytes(shape, dtype), device)) {}

Tensor::Tensor(const Shape& shape, DType dtype, std::shared_ptr<Buffer> buffer, size_t offset)
    : shape_(shape), dtype_(dtype), buffer_(std::move(buffer)), offset_(offset) {
  const size_t bytes = checked_bytes(shape, dtype);
  if (!buffer_) throw ShapeError("a tensor needs a buffer");
  if (offset > buffer_->bytes() || bytes > buffer_->bytes() - offset)
    throw ShapeError(
        "a tensor must lie inside its buffer of " + std::to_string(buffer_->bytes()) + " bytes",
        std::to_string(bytes) + " bytes from byte " + std::to_string(offset));
  if (reinterpret_cast<uintptr_t>(data()) % size_of(dtype) != 0)
    throw ShapeError(std::string("elements of ") + name_of(dtype) + " must lie at multiples of " +
                         std::to_string(size_of(dtype)) + " bytes",
                     "byte " + std::to_string(offset));
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor tensor(shape, dtype, device);
  if (device.type == DeviceType::kCpu)
    std::memset(tensor.data(), 0, tensor.bytes());
  else
    tensor.copy_from_host(std::vector<char>(tensor.bytes()).data());
  return tensor;
}

double Tensor::item() const {
  if (!defined() || elements() != 1)
    throw ShapeError("item() needs a tensor of one element",
                     defined() ? shape_.to_string() : "none");
  char host[8];
  copy_to_host(host);
  return value_at(host, dtype_, 0);
}

void Tensor::copy_to_host(void* host) const {
  if (!defined()) throw ShapeError("an empty tensor handle has no values");
  backend(device().type).copy_to_host(host, data(), bytes(), device().index);
}

void Tensor::copy_from_host(const void* host) const {
  if (!defined()) throw ShapeError("an empty tensor handle has no values");
  backend(device().type).copy_from_host(data(), host, bytes(), device().index);
}

Tensor Tensor::to(Device target) const {
  if (!defined() || target == device()) return *this;
  Tensor copy(shape_, dtype_, target);
  if (device().type == DeviceType::kCpu) {
    copy.copy_from_host(data());
  } else if (target.type == DeviceType::kCpu) {
    copy_to_host(copy.data());
  } else {
    std::vector<char> host(bytes());
    copy_to_host(host.data());
    copy.copy_from_host(host.data());
  }
  return copy;
}

Tensor Tensor::clone() const {
  if (!defined()) return {};
  if (device().type != DeviceType::kCpu) return to(Device{}).to(device());
  Tensor copy(shape_, dtype_, device());
  copy_to_host(copy.data());
  return copy;
}

Tensor Tensor::reshape(const Shape& shape) const {
  if (!defined()) throw ShapeError("an empty tensor handle has no values");
  if (shape.elements() != elements())
    throw ShapeError("reshape keeps the number of elements of " + shape_.to_string(),
                     shape.to_string());
  Tensor view = *this;
  view.shape_ = shape;
  return view;
}

Tensor Tensor::rows(int64_t first, int64_t last) const {
  if (shape_.rank() == 0 || first < 0 || last < first || last > shape_[0])
    throw ShapeError("rows must lie inside the tensor's first size",
                     "rows " + std::to_string(first) + " to " + std::to_string(last) + " of " +
                         shape_.to_string());
  Tensor view = *this;
  view.shape_[0] = last - first;
  view.offset_ += static_cast<size_t>(first * shape_.product(1, shape_.rank())) * size_of(dtype_);
  return view;
}

std::string Tensor::to_string() const {
  if (!defined()) return "Tensor()";
  const Tensor host = to(Device{});
  return "Tensor(" + shape_.to_string() + ", " + name_of(dtype_) + ", " + device().to_string() +
         ")\n" + Printer(shape_, dtype_, host.data()).text();
}

void Tensor::check_dtype(DType dtype) const {
  if (!defined()) throw ShapeError("an empty tensor handle has no values");
  if (dtype != dtype_)
    throw DTypeError(std::string("the tensor's elements are ") + name_of(dtype_), name_of(dtype));
}

}  // namespace striate
