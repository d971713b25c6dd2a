#include <striate/kernels/instruction_set.h>

#include <algorithm>
#include <atomic>

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

std::atomic<InstructionSet>& limit() {
  static std::atomic<InstructionSet> now{widest()};
  return now;
}

}  // namespace

InstructionSet instruction_set() { return limit().load(std::memory_order_relaxed); }

InstructionSet limit_instruction_set(InstructionSet wanted) {
  return limit().exchange(std::min(wanted, widest()));
}

}  // namespace striate::kernels
