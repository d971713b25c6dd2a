// What a program on a device exchanges with the host in each step.
#pragma once

#include <striate/core/step.h>
#include <striate/core/tensor.h>
#include <striate/layers/graph/graph.h>

#include <memory>
#include <vector>

namespace striate {

/// One piece of device memory, and its like on the host, that holds the inputs, the step block,
/// the outputs and the inputs of the next step, in this order: so one copy takes inputs and block
/// to the device, one brings block and outputs back, and one brings the next inputs beside the
/// work.
class Staging {
 public:
  /// Return the bytes that a staging of such types has on the device, and as many on the host.
  static size_t bytes(const std::vector<Type>& inputs, const std::vector<Type>& outputs);
  /// Throws OutOfMemoryError.
  Staging(Device device, const std::vector<Type>& inputs, const std::vector<Type>& outputs);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // On the device.
  char* input(size_t i) const { return device_memory() + inputs_[i]; }
  char* output(size_t i) const { return device_memory() + outputs_[i]; }
  char* step_block() const { return device_memory() + block_; }

  /// Take inputs, wherever they lie, and the block to the device, in the order of its stream.
  /// `taken_ahead`: they are what `take_ahead` was given last, unchanged since.
  void send(const std::vector<Tensor>& inputs, const StepBlock& block, bool taken_ahead = false);
  /// Take the inputs of the next step to the device while it works on this one; nothing is done
  /// where they lie there already. Returns whether it was done.
  bool take_ahead(const std::vector<Tensor>& inputs);
  /// Ask for the block and the outputs, in the order of the stream. They are there after a wait.
  void receive();

  /// Return how many sends found their inputs on the device.
  int64_t taken_ahead() const { return taken_ahead_; }

  /// As received.
  const StepBlock& received_block() const {
    return *reinterpret_cast<const StepBlock*>(host_ + block_);
  }
  const char* received_output(size_t i) const { return host_ + outputs_[i]; }

 private:
  char* device_memory() const { return static_cast<char*>(memory_->data()); }

  Device device_;
  std::shared_ptr<Buffer> memory_;
  char* host_ = nullptr;
  std::vector<size_t> inputs_, outputs_;
  size_t block_ = 0, end_ = 0;  // the next inputs begin at `end_`
  int64_t taken_ahead_ = 0;
  std::vector<const void*> ahead_;  // where they lay on the host; empty when there are none
};

}  // namespace striate
