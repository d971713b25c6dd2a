// The small block of numbers that change from step to step without a new plan.
#pragma once

#include <cstdint>

namespace striate {

/// One block lies in device memory per model; kernels that need it take a pointer to it.
struct StepBlock {
  uint64_t seed = 0;
  int64_t step = 0;          // training steps done before this one
  int64_t first_sample = 0;  // global index of row 0 of this batch or shard
  float loss_divisor = 0;    // losses are sums divided by it; 0: the rows at hand, so means
  float loss_scale = 1;
  float learning_rate[8] = {};  // one per optimizer of the program
  /// Set on a device where values are not finite; kernels that change state then leave it alone.
  uint32_t fault = 0;

  /// Return what the losses of `rows` samples are divided by.
  double divisor(int64_t rows) const {
    return loss_divisor > 0 ? loss_divisor : rows > 0 ? static_cast<double>(rows) : 1;
  }
};

}  // namespace striate
