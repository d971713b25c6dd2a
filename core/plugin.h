// Finds and loads the CUDA plug-in, once, when a device other than the CPU is first asked for.
#pragma once

#include <string>

namespace striate {

/// What came of looking for libstriate_cuda.so and a CUDA runtime.
struct Plugin {
  bool loaded = false;
  std::string runtime;  // path of the libcudart in use
  std::string reason;   // why it is not loaded
  std::string fix;      // what a user can do about it
};

/// Return the state of the CUDA plug-in. The first call looks for the runtime, in this order:
/// STRIATE_CUDART (a path; nothing else is tried), the loader's search path, the toolkit in
/// CUDA_HOME or /usr/local/cuda, the PyPI package nvidia-cuda-runtime; then it opens
/// libstriate_cuda.so beside this library. Throws nothing: a machine without CUDA is no error.
const Plugin& cuda_plugin();

/// Return the open handle of the runtime; the plug-in takes its functions from it.
void* cuda_runtime_handle();

}  // namespace striate
