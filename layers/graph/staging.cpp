#include <striate/layers/graph/staging.h>

#include <cstring>

namespace striate {
namespace {

constexpr size_t kAlignment = 256;

size_t bytes_of(const Type& type) {
  return static_cast<size_t>(type.shape.elements()) * size_of(type.dtype);
}

size_t rounded(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

size_t Staging::bytes(const std::vector<Type>& inputs, const std::vector<Type>& outputs) {
  size_t total = rounded(sizeof(StepBlock));
  for (const auto* types : {&inputs, &outputs, &inputs})
    for (const Type& type : *types) total += rounded(bytes_of(type));
  return total;
}

Staging::Staging(Device device, const std::vector<Type>& inputs, const std::vector<Type>& outputs)
    : device_(device) {
  const auto take = [&](size_t bytes) {
    const size_t begin = end_;
    end_ += rounded(bytes);
    return begin;
  };
  for (const Type& type : inputs) inputs_.push_back(take(bytes_of(type)));
  block_ = take(sizeof(StepBlock));
  for (const Type& type : outputs) outputs_.push_back(take(bytes_of(type)));
  memory_ = Buffer::allocate(end_ + block_, device);
  host_ = static_cast<char*>(backend(device.type).allocate_staging(end_ + block_, device.index));
  backend(device.type).copies_after_work(device.index);  // which gives the memory
}

Staging::~Staging() {
  backend(device_.type).wait_for_copies(device_.index);
  backend(device_.type).release_staging(host_, device_.index);
}

bool Staging::take_ahead(const std::vector<Tensor>& inputs) {
  ahead_.clear();
  for (const Tensor& input : inputs)
    if (input.device().type != DeviceType::kCpu) return false;
  Backend& device = backend(device_.type);
  device.wait_for_copies(device_.index);  // the last ones have left the host's memory
  for (size_t i = 0; i < inputs.size(); ++i)
    std::memcpy(host_ + end_ + inputs_[i], inputs[i].data(), inputs[i].bytes());
  device.upload_beside(device_memory() + end_, host_ + end_, block_, device_.index);
  for (const Tensor& input : inputs) ahead_.push_back(input.data());
  return true;
}

void Staging::send(const std::vector<Tensor>& inputs, const StepBlock& block, bool taken_ahead) {
  Backend& device = backend(device_.type);
  bool are_there = taken_ahead && ahead_.size() == inputs.size();
  for (size_t i = 0; i < inputs.size() && are_there; ++i) are_there = ahead_[i] == inputs[i].data();
  ahead_.clear();
  if (are_there) {
    ++taken_ahead_;
    device.work_after_copies(device_.index);
    device.copy(device_memory(), device_memory() + end_, block_, device_.index);
    device.copies_after_work(device_.index);
    std::memcpy(host_ + block_, &block, sizeof block);
    device.upload(step_block(), host_ + block_, sizeof block, device_.index);
    return;
  }
  size_t first = 0;  // the host's part begins behind the last input that is on the device
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].device().type != DeviceType::kCpu) first = i + 1;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].device().type != DeviceType::kCpu) {
      device.copy(input(i), inputs[i].data(), inputs[i].bytes(), device_.index);
      continue;
    }
    std::memcpy(host_ + inputs_[i], inputs[i].data(), inputs[i].bytes());
    if (i < first) device.upload(input(i), host_ + inputs_[i], inputs[i].bytes(), device_.index);
  }
  std::memcpy(host_ + block_, &block, sizeof block);
  const size_t begin = first < inputs_.size() ? inputs_[first] : block_;
  device.upload(device_memory() + begin, host_ + begin, block_ + sizeof block - begin,
                device_.index);
}

void Staging::receive() {
  backend(device_.type)
      .download(host_ + block_, device_memory() + block_, end_ - block_, device_.index);
}

}  // namespace striate
