// State that programs share: weights, batch statistics, optimizer moments, counters.
#pragma once

#include <striate/core/layout.h>
#include <striate/core/tensor.h>
#include <striate/layers/graph/graph.h>

#include <memory>
#include <string>

namespace striate {

/// One piece of state. Its value lies once, in the layout that its training program chose.
struct Variable {
  std::string path;  // `block2/conv1/kernel`
  Type type;
  Json initializer;                 // {"type": "HeNormal", ...} as in layers/initializer.h
  int64_t fan_in = 0, fan_out = 0;  // of the initializer; 0: from the shape
  bool trainable = true;            // false: statistics, moments, counters
  bool frozen = false;  // freeze(): neither the optimizer nor batch statistics change it

  /// Return the value as a dense tensor (a copy where the layout is another).
  Tensor value() const;
  /// Replace the value. Throws ShapeError, DTypeError.
  void assign(const Tensor& value);
  bool materialized() const { return storage_ != nullptr; }

  /// The storage as programs see it.
  const std::shared_ptr<Buffer>& storage() const { return storage_; }
  const Layout& layout() const { return layout_; }
  Device device() const { return device_; }
  /// True when a training program has chosen the layout.
  bool pinned() const { return pinned_; }
  /// Keep the value in another layout or on another device from now on.
  void relocate(const Layout& layout, Device device, bool pin);
  /// Grows with every change of the value from outside a program or by one.
  uint64_t version() const { return version_; }
  void touch() { ++version_; }
  /// Grows with every relocation or freezing: programs planned before are stale.
  uint64_t epoch() const { return epoch_; }
  /// Set `frozen`; programs planned before a change are stale.
  void freeze(bool value) {
    if (frozen != value) ++epoch_;
    frozen = value;
  }

 private:
  std::shared_ptr<Buffer> storage_;
  Layout layout_;
  Device device_;
  bool pinned_ = false;
  uint64_t version_ = 0, epoch_ = 0;
};

/// Copy between layouts on the host: a program's reorder kernel, run once.
void reorder(const Shape& shape, DType dtype, const void* from, const Layout& from_layout, void* to,
             const Layout& to_layout);

}  // namespace striate
