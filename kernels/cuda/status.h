// Turns a status of the CUDA runtime into an error.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

namespace striate::cuda {

/// Return what the user can do about a status: a fault on the device stays for the whole process.
std::string remedy();
/// Throw DeviceError that says what was tried and what the runtime answered; nothing on success.
void check(cudaError_t status, const char* what);

}  // namespace striate::cuda
