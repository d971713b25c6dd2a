// The runtime's functions as hidden trampolines, filled from the library that core/plugin.cpp
// chose.
//
// The plug-in is linked with no runtime of its own. A function here jumps through its slot of a
// table, whatever its parameters; the table is filled by a constructor that runs before those of
// nvcc's stubs, which register the kernels. So the chosen runtime is used whatever other copy
// another package has loaded.
#include <dlfcn.h>
#include <striate/core/plugin.h>
#include <striate/kernels/cuda/runtime_functions.h>

#if !defined(__x86_64__)
#error "the CUDA plug-in's trampolines are written for x86-64"
#endif

namespace {

constexpr const char* kNames[] = {
#define STRIATE_NAME(function) #function,
    STRIATE_CUDA_RUNTIME_FUNCTIONS(STRIATE_NAME)
#undef STRIATE_NAME
};
constexpr int kCount = sizeof kNames / sizeof *kNames;

/// Stands for a function that the runtime lacks: cudaErrorSymbolNotFound.
long missing() { return 500; }

}  // namespace

extern "C" __attribute__((visibility("hidden"))) void* striate_cuda_runtime[kCount];
void* striate_cuda_runtime[kCount];

// Slot numbers count up as the assembler meets the functions.
asm(".text\n.set striate_slot, 0\n");
#define STRIATE_TRAMPOLINE(function)                             \
  asm(".globl " #function "\n.hidden " #function                 \
      "\n"                                                       \
      ".type " #function ", @function\n" #function               \
      ":\n"                                                      \
      "  jmp *(striate_cuda_runtime + striate_slot * 8)(%rip)\n" \
      ".set striate_slot, striate_slot + 1\n");
STRIATE_CUDA_RUNTIME_FUNCTIONS(STRIATE_TRAMPOLINE)
#undef STRIATE_TRAMPOLINE

__attribute__((constructor(101))) static void fill_runtime() {
  void* handle = striate::cuda_runtime_handle();
  for (int i = 0; i < kCount; ++i) {
    striate_cuda_runtime[i] = handle ? dlsym(handle, kNames[i]) : nullptr;
    if (!striate_cuda_runtime[i]) striate_cuda_runtime[i] = reinterpret_cast<void*>(&missing);
  }
}
