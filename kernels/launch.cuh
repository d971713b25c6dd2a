// The one place that launches kernels: checks the grid, passes the stream, turns a status into an
// error.
#pragma once

#include <cuda_runtime_api.h>
#include <striate/core/error.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace striate::cuda {

/// How many threads a kernel runs with. Sizes are 64-bit, so that a grid too large is an error and
/// never a number that wrapped round.
struct Grid {
  int64_t x = 1, y = 1, z = 1;  // blocks
  int threads = 256;            // in each
  size_t shared = 0;            // bytes of dynamic shared memory in each block
};

inline constexpr int64_t kMaxGridX = 2147483647, kMaxGridYZ = 65535;
inline constexpr size_t kDefaultShared = 48 << 10;

/// Return a one-dimensional grid with a thread for every `per_thread` of `elements`.
inline Grid flat_grid(int64_t elements, int per_thread = 1, int threads = 256) {
  const int64_t per_block = int64_t{per_thread} * threads;
  return {(elements + per_block - 1) / per_block, 1, 1, threads, 0};
}

/// Throw KernelError with the kernel, its grid and what the runtime says; do nothing on success.
void check_launch(cudaError_t status, const char* name, const Grid& grid);
/// Throw KernelError when the grid is beyond the device's limits.
void check_grid(const char* name, const Grid& grid);

#if defined(__CUDACC__)
/// Launch `kernel` on `stream`; a grid without blocks is nothing to do. Throws KernelError.
template <class... Parameters, class... Values>
void launch(const char* name, void (*kernel)(Parameters...), const Grid& grid, void* stream,
            Values&&... values) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  check_grid(name, grid);
  if (grid.shared > kDefaultShared)
    check_launch(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                      cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(grid.shared)),
                 name, grid);
  const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y),
                    static_cast<unsigned>(grid.z));
  kernel<<<blocks, dim3(static_cast<unsigned>(grid.threads)), grid.shared,
           static_cast<cudaStream_t>(stream)>>>(static_cast<Parameters>(values)...);
  check_launch(cudaGetLastError(), name, grid);
}
#endif

}  // namespace striate::cuda
