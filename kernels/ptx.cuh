// The instructions that CUDA C++ has no words for: asynchronous copies to shared memory, matrices
// from shared memory to registers, and their products on tensor cores. And what the compiler makes
// several instructions of in the loops of gathered operands: addresses and carries between digits.
// All inline PTX is here.
//
// Copies, matrices and their products need compute capability 8.0; code for older devices is
// compiled, never launched.
// Source: PTX ISA 9.0, sections 9.7.9.25 (cp.async), 9.7.14.5 (mma, ldmatrix).
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

namespace striate::cuda {

/// Return the address of shared memory as these instructions take it.
__device__ inline uint32_t shared_address(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

/// Return `data` in global memory moved by some elements, by one instruction. The compiler would
/// take sums of several offsets apart, which costs four for every load.
template <class T>
__device__ const T* moved(const T* data, int elements) {
  size_t address = 0;
  asm("mad.wide.s32 %0, %1, %2, %3;"
      : "=l"(address)
      : "r"(elements), "n"(sizeof(T)), "l"(__cvta_generic_to_global(data)));
  return static_cast<const T*>(__cvta_global_to_generic(address));
}

/// Where a place has reached its end, take `span` off and add `step` to the next place.
__device__ inline void carry(int& place, int end, int span, int& next, int step) {
  asm("{ .reg .pred reached; setp.ge.s32 reached, %0, %2; @reached sub.s32 %0, %0, %3; "
      "@reached add.s32 %1, %1, %4; }"
      : "+&r"(place), "+&r"(next)
      : "r"(end), "r"(span), "r"(step));
}

/// The same with a distance, to which `more` is added then; it may wrap around on the way.
__device__ inline void carry(int& place, int end, int span, int& next, int step, int& distance,
                             int more) {
  asm("{ .reg .pred reached; setp.ge.s32 reached, %0, %3; @reached sub.s32 %0, %0, %4; "
      "@reached add.s32 %1, %1, %5; @reached add.s32 %2, %2, %6; }"
      : "+&r"(place), "+&r"(next), "+&r"(distance)
      : "r"(end), "r"(span), "r"(step), "r"(more));
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define STRIATE_PTX(...) asm volatile(__VA_ARGS__)
#else
#define STRIATE_PTX(...) __trap()
#endif

/// Start a copy of 16 bytes from global to shared memory, or of 16 zero bytes.
__device__ inline void copy_16_async(uint32_t shared, const void* global, bool valid) {
  const int bytes = valid ? 16 : 0;
  STRIATE_PTX("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(global), "r"(bytes)
              : "memory");
}

/// Store 16 bytes to shared memory: `first` and twelve zero bytes.
__device__ inline void store_16(uint32_t shared, uint32_t first) {
  STRIATE_PTX("st.shared.v4.b32 [%0], {%1, %2, %2, %2};" ::"r"(shared), "r"(first), "r"(0)
              : "memory");
}

/// Close a group of copies; groups may be empty.
__device__ inline void close_copies() { STRIATE_PTX("cp.async.commit_group;" ::: "memory"); }

/// Wait until at most `groups` of this thread's groups are under way.
template <int groups>
__device__ void wait_for_copies() {
  STRIATE_PTX("cp.async.wait_group %0;" ::"n"(groups) : "memory");
}

/// Read 32 bits of shared memory.
__device__ inline uint32_t read_word(uint32_t shared) {
  uint32_t word = 0;
  STRIATE_PTX("ld.shared.b32 %0, [%1];" : "=r"(word) : "r"(shared) : "memory");
  return word;
}

/// Read four 8 x 8 matrices of 16-bit elements; lanes 8i to 8i + 7 give the rows of matrix i.
__device__ inline void read_matrices(uint32_t (&to)[4], uint32_t shared) {
  STRIATE_PTX("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
              : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
              : "r"(shared)
              : "memory");
}

/// The same, each matrix transposed.
__device__ inline void read_matrices_transposed(uint32_t (&to)[4], uint32_t shared) {
  STRIATE_PTX("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
              : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
              : "r"(shared)
              : "memory");
}

/// sum[16, 8] += a[16, k] * b[k, 8] by a warp, in float32; k is 16, and 8 for float32 factors,
/// whose last 13 bits do not count (TF32).
template <class T>
__device__ void multiply_matrices(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0,
                                  uint32_t b1) {
  if constexpr (std::is_same_v<T, __half>)
    STRIATE_PTX(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else if constexpr (std::is_same_v<T, float>)
    STRIATE_PTX(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  else
    STRIATE_PTX(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#undef STRIATE_PTX

}  // namespace striate::cuda
