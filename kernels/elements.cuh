// Elements as kernels read and write them: stored as float, half or bfloat16, computed as float.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <striate/core/dtype.h>

#include <cstdint>
#include <type_traits>

namespace striate::cuda {

__device__ inline float to_float(float v) { return v; }
__device__ inline float to_float(__half v) { return __half2float(v); }
__device__ inline float to_float(__nv_bfloat16 v) { return __bfloat162float(v); }

/// True when `a` is larger; NaN is larger than all numbers.
__device__ inline bool exceeds(float a, float b) { return b == b && !(a <= b); }

template <class T>
__device__ T from_float(float v) {
  if constexpr (std::is_same_v<T, __half>)
    return __float2half_rn(v);
  else if constexpr (std::is_same_v<T, __nv_bfloat16>)
    return __float2bfloat16_rn(v);
  else
    return static_cast<T>(v);
}

/// 16 bytes of elements, read and written by one instruction. Addresses must be multiples of 16:
/// the host decides with `is_aligned`.
template <class T>
struct alignas(16) Pack {
  static constexpr int kSize = 16 / sizeof(T);
  T at[kSize];
};

/// True when rows of `count` elements of `size` bytes that start at `data` allow 16-byte accesses.
inline bool is_aligned(const void* data, int64_t count, size_t size) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 &&
         count * static_cast<int64_t>(size) % 16 == 0;
}

/// Call `run(T())` with the element type of `dtype`: float, __half or __nv_bfloat16.
template <class Run>
void with_type(DType dtype, Run run) {
  switch (dtype) {
    case DType::kF16:
      return run(__half());
    case DType::kBF16:
      return run(__nv_bfloat16());
    default:
      return run(float());
  }
}

/// Return this thread's number in the whole one-dimensional grid.
__device__ inline int64_t thread_number() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

}  // namespace striate::cuda
