// What dense updates know of the kernels that are compiled for one instruction set.
#pragma once

#include <striate/kernels/optimizer_functions.h>

#include <cstdint>

namespace striate::kernels::simd {

/// A step on weights [m, n] whose gradient is x^T dy, with K = `inner` products an element.
struct DensePlan {
  int64_t m, n, inner;
  const float* x;    // packed [m / rows][inner][rows], zero beyond m
  const float* dy;   // packed [n / columns][inner][columns], zero beyond n
  float* values[3];  // w and its state, [m, n]; null where there is less state
  SgdStep sgd;
  AdamStep adam;
};

struct DenseUpdateKernels {
  /// Step the weights in one band of rows and in columns [begin, end), begin a tile's first.
  using Band = void (*)(const DensePlan&, int64_t band, int64_t begin, int64_t end);
  int rows, columns;  // of a band, of a tile
  const char* instruction_set;
  Band sgd, momentum, nesterov, adam;
};

/// Return the table of the instruction set in use; null where there is none.
const DenseUpdateKernels* dense_update_kernels();

#if defined(__x86_64__)
extern const DenseUpdateKernels kDenseUpdateAvx2, kDenseUpdateAvx512;
#endif

}  // namespace striate::kernels::simd
