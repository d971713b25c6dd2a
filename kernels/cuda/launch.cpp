#include <striate/kernels/launch.cuh>

namespace striate::cuda {
namespace {

std::string text_of(const Grid& grid) {
  return "grid " + std::to_string(grid.x) + " x " + std::to_string(grid.y) + " x " +
         std::to_string(grid.z) + ", " + std::to_string(grid.threads) + " threads, " +
         std::to_string(grid.shared) + " bytes of shared memory";
}

}  // namespace

void check_launch(cudaError_t status, const char* name, const Grid& grid) {
  if (status == cudaSuccess) return;
  throw KernelError(
      std::string("kernel '") + name + "' could not be launched: " + cudaGetErrorString(status),
      text_of(grid));
}

void check_grid(const char* name, const Grid& grid) {
  if (grid.x <= kMaxGridX && grid.y <= kMaxGridYZ && grid.z <= kMaxGridYZ) return;
  throw KernelError(
      std::string("kernel '") + name + "' takes at most 2147483647 x 65535 x 65535 blocks",
      text_of(grid));
}

}  // namespace striate::cuda
