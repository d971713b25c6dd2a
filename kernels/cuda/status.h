// Turns a status of the CUDA runtime into an error.
#pragma once

#include <cuda_runtime_api.h>

namespace striate::cuda {

/// Throw DeviceError that says what was tried and what the runtime answered; nothing on success.
void check(cudaError_t status, const char* what);

}  // namespace striate::cuda
