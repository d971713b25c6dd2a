#include <striate/kernels/reorder.h>
#include <striate/layers/graph/variable.h>

#include <utility>

namespace striate {
namespace {

std::string label(const Variable& variable) { return "the weight '" + variable.path + "'"; }

}  // namespace

void reorder(const Shape& shape, DType dtype, const void* from, const Layout& from_layout, void* to,
             const Layout& to_layout) {
  kernels::Problem problem;
  problem.operation = "reorder";
  problem.options = std::make_shared<ReorderOptions>(ReorderOptions{to_layout});
  problem.inputs = {{shape, dtype, from_layout}};
  problem.outputs = {{shape, dtype, to_layout}};
  kernels::Choice choice = kernels::choose(problem);
  const auto workspace = Buffer::allocate(choice.prepared.workspace);
  const void* inputs[] = {from};
  void* outputs[] = {to};
  choice.prepared.kernel->run({inputs, outputs, workspace->data(), nullptr});
}

Tensor Variable::value() const {
  if (!storage_) throw Error(label(*this) + " has no value yet");
  Tensor dense(type.shape, type.dtype);
  if (device_.type != DeviceType::kCpu) {
    const size_t bytes = static_cast<size_t>(layout_.elements(type.shape)) * size_of(type.dtype);
    const auto host = Buffer::allocate(bytes);
    backend(device_.type).copy_to_host(host->data(), storage_->data(), bytes, device_.index);
    reorder(type.shape, type.dtype, host->data(), layout_, dense.data(), {});
  } else {
    reorder(type.shape, type.dtype, storage_->data(), layout_, dense.data(), {});
  }
  return dense;
}

void Variable::assign(const Tensor& value) {
  if (value.shape() != type.shape)
    throw ShapeError(label(*this) + " takes the shape " + type.shape.to_string(),
                     value.shape().to_string());
  if (value.dtype() != type.dtype)
    throw DTypeError(label(*this) + " takes " + name_of(type.dtype), name_of(value.dtype()));
  const Tensor host = value.to({});
  const size_t bytes = static_cast<size_t>(layout_.elements(type.shape)) * size_of(type.dtype);
  if (!storage_) storage_ = Buffer::allocate(bytes, device_);
  if (device_.type == DeviceType::kCpu) {
    reorder(type.shape, type.dtype, host.data(), {}, storage_->data(), layout_);
  } else {
    const auto staged = Buffer::allocate(bytes);
    reorder(type.shape, type.dtype, host.data(), {}, staged->data(), layout_);
    backend(device_.type).copy_from_host(storage_->data(), staged->data(), bytes, device_.index);
  }
  touch();
}

void Variable::relocate(const Layout& layout, Device device, bool pin) {
  pinned_ = pinned_ || pin;
  if (device == device_ && same_bytes(layout, layout_, type.shape)) return;
  Tensor dense;
  if (storage_) dense = value();
  storage_ = nullptr;
  layout_ = layout;
  device_ = device;
  ++epoch_;
  if (dense.defined()) assign(dense);
}

}  // namespace striate
