// A hot loop compiled once for each instruction set; the loader picks the one the processor has.
//
// Only for plain loops over pointers, called once for thousands of elements: the call goes through
// a pointer, and code inside an OpenMP region or a lambda is not compiled again. Every clone
// computes the same bits, since contraction to fused multiply-add is off and sums name their own
// lanes.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define STRIATE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define STRIATE_CLONES
#endif
