// Sums over the threads of a warp or a block, always in the same order.
#pragma once

#include <cuda_runtime_api.h>

namespace striate::cuda {

inline constexpr unsigned kAllLanes = 0xFFFFFFFFu;

/// Combine the values of a warp's lanes; every lane gets the result. Neighbours exchange, so the
/// order is the same tree in each lane only for functions that commute: sums and maxima do.
template <class T, class Combine>
__device__ T over_warp(T value, const Combine& combine) {
  for (int distance = 16; distance > 0; distance /= 2)
    value = combine(value, __shfl_xor_sync(kAllLanes, value, distance));
  return value;
}

/// Combine the values of all threads of a block of whole warps, in two trees; every thread gets the
/// result. `start` combines to nothing; `space` holds a value for each warp, and who used it before
/// waits for its readers.
template <class T, class Combine>
__device__ T over_block(T value, T start, T* space, const Combine& combine) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  value = over_warp(value, combine);
  if (lane == 0) space[warp] = value;
  __syncthreads();
  const int warps = static_cast<int>(blockDim.x) / 32;
  return over_warp(lane < warps ? space[lane] : start, combine);
}

/// Combine over the threads of one row: a warp's or a block's. It may be called again and again.
template <int kPerRow, class Combine>
__device__ float over_row(float value, float start, float* space, const Combine& combine) {
  if constexpr (kPerRow == 32) {
    return over_warp(value, combine);
  } else {
    __syncthreads();  // readers of an earlier result are done
    return over_block(value, start, space, combine);
  }
}

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};
/// The larger number; NaN only when both are.
struct LargerNumber {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

}  // namespace striate::cuda
