#include <striate/core/error.h>
#include <striate/kernels/cuda/status.h>

namespace striate::cuda {

std::string remedy() {
  // An error of a call is gone once it was asked for; a fault on the device is told for ever.
  const bool stays = cudaGetLastError() != cudaSuccess && cudaPeekAtLastError() != cudaSuccess;
  if (!stays) return "";
  return "This error stays until the process ends: restart it. With STRIATE_CUDA_GRAPHS=0 and "
         "CUDA_LAUNCH_BLOCKING=1 set, it names layer and kernel";
}

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw DeviceError(std::string(what) + ": " + cudaGetErrorString(status), cudaGetErrorName(status),
                    remedy());
}

}  // namespace striate::cuda
