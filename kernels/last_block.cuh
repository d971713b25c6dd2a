// The block that comes last to a tile may add what the others have left there: no second launch.
//
// A counter for each tile counts the blocks that have written their part and goes back to 0 with
// the last. Only integers are counted atomically: the parts are added in their own order, whichever
// block is last, so the bits are always the same. A fence before the count makes the writes of a
// block visible to those that see the count, one behind it what the others wrote. The launches of a
// device follow each other on one stream, so one array of counters serves them all.
//
// Method: "threadFenceReduction" of the CUDA C++ Programming Guide, section on memory fences.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace striate::cuda {

inline constexpr int64_t kMostSharedTiles = 4096;  // of a launch whose last blocks add

#if defined(__CUDACC__)
/// Zero between launches; each file of kernels has its own.
static __device__ unsigned tile_arrivals[kMostSharedTiles];

/// True in the last of `blocks` blocks that call this for `tile`, with all their threads; what the
/// others wrote before may be read then.
static __device__ bool comes_last(int tile, int blocks) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    const auto most = static_cast<unsigned>(blocks - 1);
    last = atomicInc(&tile_arrivals[tile], most) == most;
    __threadfence();
  }
  __syncthreads();
  return last;
}
#endif

}  // namespace striate::cuda
