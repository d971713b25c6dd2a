// One kernel run on random data with memory of its own: what comparing and tuning are made of.
#pragma once

#include <striate/core/allocator.h>
#include <striate/kernels/impl.h>

#include <memory>
#include <string>
#include <vector>

namespace striate {

/// Return everything that makes two kernels of a device the same problem, as a text.
std::string key_of(const kernels::Problem& problem);

/// False for what moves data, is compiled away, or changes the weights: it is not measured.
bool is_measured(const std::string& operation);

/// Draw dense inputs that are good for the operation, the same at each call; null for those that
/// are left out or give only a shape.
std::vector<std::shared_ptr<Buffer>> draw_inputs(const kernels::Problem& problem);

/// An entry prepared for a problem, on the device that the entry is for.
class Trial {
 public:
  /// `dense` holds the inputs as `draw_inputs` makes them. Throws KernelError when a library
  /// refuses.
  Trial(const kernels::Entry& entry, const kernels::Problem& problem,
        std::vector<std::shared_ptr<Buffer>> dense);

  /// Run once and return the seconds; in training with those of what runs once a step.
  double run();
  /// Run for so many seconds, at least four times and at most a thousand; return the shortest.
  double shortest(double seconds);
  /// Return the seconds that the copies of inputs into the layouts that the entry wants take.
  double copies() const;
  /// Return an output in the dense layout, on the host.
  std::shared_ptr<Buffer> dense_output(size_t o) const;
  size_t workspace_bytes() const { return prepared_.workspace; }

 private:
  void pack();

  kernels::Problem problem_;
  Device device_;
  kernels::Prepared prepared_;
  std::vector<std::shared_ptr<Buffer>> buffers_, outputs_;
  std::shared_ptr<Buffer> workspace_, packed_;
  const void* unpacked_ = nullptr;
  std::vector<const void*> inputs_;
  std::vector<void*> pointers_;
};

}  // namespace striate
