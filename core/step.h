// The small block of numbers that change from step to step without a new plan.
#pragma once

#include <cstdint>

namespace striate {

/// One block lies in device memory per model; kernels that need it take a pointer to it.
struct StepBlock {
  uint64_t seed = 0;
  int64_t step = 0;          // training steps done before this one
  int64_t first_sample = 0;  // global index of row 0 of this batch or shard
  float loss_divisor = 1;    // rows of the whole batch: losses are sums divided by it
  float loss_scale = 1;
  float learning_rate[8] = {};  // one per optimizer of the program
};

}  // namespace striate
