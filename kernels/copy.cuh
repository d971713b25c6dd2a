// Copies between places that move in strides: what the operations that compute nothing are made of.
#pragma once

#include <striate/core/step.h>

#include <cstdint>
#include <striate/kernels/strides.cuh>

namespace striate::cuda {

/// Launch y[place 1] = x[place 0] for every element of the box; elements have 1, 2, 4 or 8 bytes.
void copy_box(const char* name, const Strides<2>& box, int64_t element_bytes, const void* x,
              void* y, void* stream);

/// Launch a copy of bytes; with a step block it does nothing while `fault` is set.
void copy_bytes(const char* name, int64_t bytes, const void* x, void* y, const StepBlock* block,
                void* stream);

}  // namespace striate::cuda
