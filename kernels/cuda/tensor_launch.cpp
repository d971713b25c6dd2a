#include <cuda_runtime_api.h>
#include <striate/kernels/cuda/status.h>
#include <striate/kernels/impl.h>

#include <string>

namespace striate::cuda {

using kernels::Problem;

std::string declines_tensors(const Problem& problem) {
  for (size_t i = 0; i < problem.inputs.size(); ++i) {
    if (!problem.has_input(i)) continue;
    const DType dtype = problem.inputs[i].dtype;
    if (dtype == DType::kF32 && (!problem.tf32 || problem.exact))
      return "takes float32 only where TF32 is asked for";
    if (dtype != DType::kF16 && dtype != DType::kBF16 && dtype != DType::kF32)
      return std::string("takes float16, bfloat16 and, as TF32, float32, got ") + name_of(dtype);
    if (dtype != problem.inputs[0].dtype || dtype != problem.outputs[0].dtype)
      return "takes values of one type";
  }
  int major = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, problem.device.index),
        "the GPU could not be asked");
  return major < 8 ? "needs a device of compute capability 8.0 or newer" : "";
}

kernels::Prepared prepare_other(const Problem& problem, const char* name) {
  for (const kernels::Entry* entry : kernels::entries(problem.operation, DeviceType::kCuda))
    if (entry->name == name) return entry->prepare(problem);
  throw KernelError(std::string("there is no entry '") + name + "'", problem.operation);
}

}  // namespace striate::cuda
