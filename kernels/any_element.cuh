// Elements whose type is known only when the kernel runs: labels, targets, conditions, and values
// that are moved and never computed with.
#pragma once

#include <striate/core/dtype.h>

#include <cstdint>
#include <striate/kernels/elements.cuh>

namespace striate::cuda {

/// N elements that are read or written together, by 16 bytes at most.
template <class T, int N>
struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) Group {
  T at[N];
};

/// Return f of element `i` of `values`; of one of 16 bits as float.
template <class F>
__device__ auto with_value(const void* values, DType dtype, int64_t i, F f) {
  switch (dtype) {
    case DType::kF32:
      return f(static_cast<const float*>(values)[i]);
    case DType::kF16:
      return f(to_float(static_cast<const __half*>(values)[i]));
    case DType::kBF16:
      return f(to_float(static_cast<const __nv_bfloat16*>(values)[i]));
    case DType::kI32:
      return f(static_cast<const int32_t*>(values)[i]);
    case DType::kI64:
      return f(static_cast<const int64_t*>(values)[i]);
    case DType::kF64:
      return f(static_cast<const double*>(values)[i]);
    case DType::kU8:
    case DType::kBool:
      return f(static_cast<const uint8_t*>(values)[i]);
  }
  __builtin_unreachable();  // without it a comparison more that is always true
}

/// Return element `i` of `values` as float.
__device__ inline float number_at(const void* values, DType dtype, int64_t i) {
  return with_value(values, dtype, i, [](auto value) { return static_cast<float>(value); });
}

/// True when element `i` is not zero, as NaN is not.
__device__ inline bool is_not_zero(const void* values, DType dtype, int64_t i) {
  return with_value(values, dtype, i, [](auto value) { return value != 0; });
}

/// Return label `i`; -1, which no label is, for NaN.
__device__ inline int64_t label_at(const void* labels, DType dtype, int64_t i) {
  return with_value(labels, dtype, i, [](auto value) {
    return value == value ? static_cast<int64_t>(value) : int64_t{-1};
  });
}

/// Call `run(Unit())` with an unsigned integer of 1, 2, 4 or 8 bytes: what any element is moved as.
template <class Run>
void with_element(int64_t bytes, Run run) {
  switch (bytes) {
    case 1:
      return run(uint8_t());
    case 2:
      return run(uint16_t());
    case 4:
      return run(uint32_t());
    default:
      return run(uint64_t());
  }
}

/// The same, or with a vector of 16 bytes.
template <class Run>
void with_unit(int64_t bytes, Run run) {
  if (bytes == 16)
    run(uint4());
  else
    with_element(bytes, run);
}

}  // namespace striate::cuda
