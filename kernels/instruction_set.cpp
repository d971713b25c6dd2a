#include <striate/kernels/instruction_set.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace striate::kernels {
namespace {

InstructionSet widest() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return InstructionSet::kAvx512;
  if (__builtin_cpu_supports("avx2")) return InstructionSet::kAvx2;
#endif
  return InstructionSet::kBaseline;
}

/// What STRIATE_ISA allows: `baseline`, `avx2`, or everything.
InstructionSet allowed() {
  const char* name = std::getenv("STRIATE_ISA");
  if (name && std::strcmp(name, "baseline") == 0) return InstructionSet::kBaseline;
  if (name && std::strcmp(name, "avx2") == 0) return InstructionSet::kAvx2;
  return InstructionSet::kAvx512;
}

std::atomic<InstructionSet>& limit() {
  static std::atomic<InstructionSet> now{std::min(widest(), allowed())};
  return now;
}

}  // namespace

InstructionSet instruction_set() { return limit().load(std::memory_order_relaxed); }

InstructionSet limit_instruction_set(InstructionSet wanted) {
  return limit().exchange(std::min(wanted, widest()));
}

}  // namespace striate::kernels
