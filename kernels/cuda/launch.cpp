#include <striate/kernels/cuda/status.h>

#include <striate/kernels/launch.cuh>

namespace striate::cuda {
namespace {

std::string text_of(const Grid& grid) {
  return "grid " + std::to_string(grid.x) + " x " + std::to_string(grid.y) + " x " +
         std::to_string(grid.z) + ", " + std::to_string(grid.threads) + " threads, " +
         std::to_string(grid.shared) + " bytes of shared memory";
}

[[noreturn]] void throw_no_code(const char* name) {
  int device = 0, major = 0, minor = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  const std::string number = std::to_string(major) + std::to_string(minor);
  throw DeviceError("the CUDA plug-in holds no code for this GPU",
                    "compute capability " + std::to_string(major) + "." + std::to_string(minor) +
                        " for kernel '" + name + "'",
                    "Build with STRIATE_CUDA_ARCHITECTURES=" + number + ", or use device 'cpu'");
}

}  // namespace

void check_launch(cudaError_t status, const char* name, const Grid& grid) {
  if (status == cudaSuccess) return;
  if (status == cudaErrorNoKernelImageForDevice) throw_no_code(name);
  const std::string fix = remedy();
  throw KernelError(std::string("kernel '") + name +
                        (fix.empty() ? "' could not be launched: " : "' failed: ") +
                        cudaGetErrorString(status),
                    text_of(grid), fix);
}

void check_grid(const char* name, const Grid& grid) {
  if (grid.x <= kMaxGridX && grid.y <= kMaxGridYZ && grid.z <= kMaxGridYZ) return;
  throw KernelError(
      std::string("kernel '") + name + "' takes at most 2147483647 x 65535 x 65535 blocks",
      text_of(grid));
}

}  // namespace striate::cuda
