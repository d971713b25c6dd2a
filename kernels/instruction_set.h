// Compiles a loop for several instruction sets and runs the widest that the processor has.
//
// The library is built for baseline x86-64 (SSE2). A loop that is worth more is written once, as
// plain code the compiler turns into vectors: `struct Loop { static STRIATE_INLINE void run(...)
// }`, and called with `on_widest<Loop>(arguments...)`. Nothing is contracted to fused
// multiply-adds, so a loop without sums across its vector gives the same bits everywhere.
#pragma once

#define STRIATE_INLINE inline __attribute__((always_inline))
#define STRIATE_INLINED __attribute__((always_inline))  // of a lambda, after its parameters

namespace striate::kernels {

enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

/// Return the instruction set that loops use now.
InstructionSet instruction_set();
/// Use at most `limit` from now on, as tests do to compare. Returns the limit that held before.
InstructionSet limit_instruction_set(InstructionSet limit);

#if defined(__x86_64__)
template <class Loop, class... A>
__attribute__((target("avx2"))) void on_avx2(A... arguments) {
  Loop::run(arguments...);
}
template <class Loop, class... A>
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"))) void
on_avx512(A... arguments) {
  Loop::run(arguments...);
}
#endif

/// Call `Loop::run(arguments...)`, compiled for the widest instruction set there is.
template <class Loop, class... A>
void on_widest(A... arguments) {
#if defined(__x86_64__)
  switch (instruction_set()) {
    case InstructionSet::kAvx512:
      return on_avx512<Loop, A...>(arguments...);
    case InstructionSet::kAvx2:
      return on_avx2<Loop, A...>(arguments...);
    case InstructionSet::kBaseline:
      break;
  }
#endif
  Loop::run(arguments...);
}

}  // namespace striate::kernels
