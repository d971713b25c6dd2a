// The variants of calls that a program gets when it is built with one default stream per thread.
#include <cuda_runtime_api.h>

namespace {

cudaStream_t per_thread(cudaStream_t stream) { return stream ? stream : cudaStreamPerThread; }

}  // namespace

// The real library exports a variant of every call that takes a stream; these are the ones that
// programs of ours and Thrust use.
extern "C" {

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               size_t shared, cudaStream_t stream);

#define PER_THREAD(name, parameters, ...) \
  cudaError_t name##_ptsz parameters;     \
  cudaError_t name##_ptsz parameters { return name(__VA_ARGS__); }

PER_THREAD(__cudaLaunchKernel,
           (cudaKernel_t k, dim3 grid, dim3 block, void** a, size_t shared, cudaStream_t s), k,
           grid, block, a, shared, per_thread(s))
PER_THREAD(cudaLaunchKernel,
           (const void* f, dim3 grid, dim3 block, void** a, size_t shared, cudaStream_t s), f, grid,
           block, a, shared, per_thread(s))
PER_THREAD(cudaLaunchCooperativeKernel,
           (const void* f, dim3 grid, dim3 block, void** a, size_t shared, cudaStream_t s), f, grid,
           block, a, shared, per_thread(s))
PER_THREAD(cudaMemcpyAsync,
           (void* to, const void* from, size_t n, cudaMemcpyKind kind, cudaStream_t s), to, from, n,
           kind, per_thread(s))
PER_THREAD(cudaMemsetAsync, (void* to, int value, size_t n, cudaStream_t s), to, value, n,
           per_thread(s))
PER_THREAD(cudaMallocAsync, (void** p, size_t n, cudaStream_t s), p, n, per_thread(s))
PER_THREAD(cudaFreeAsync, (void* p, cudaStream_t s), p, per_thread(s))
PER_THREAD(cudaStreamSynchronize, (cudaStream_t s), per_thread(s))
PER_THREAD(cudaStreamQuery, (cudaStream_t s), per_thread(s))
PER_THREAD(cudaStreamWaitEvent, (cudaStream_t s, cudaEvent_t e, unsigned int flags), per_thread(s),
           e, flags)
PER_THREAD(cudaStreamBeginCapture, (cudaStream_t s, cudaStreamCaptureMode mode), per_thread(s),
           mode)
PER_THREAD(cudaStreamEndCapture, (cudaStream_t s, cudaGraph_t* graph), per_thread(s), graph)
PER_THREAD(cudaStreamIsCapturing, (cudaStream_t s, cudaStreamCaptureStatus* status), per_thread(s),
           status)
PER_THREAD(cudaEventRecord, (cudaEvent_t e, cudaStream_t s), e, per_thread(s))
PER_THREAD(cudaLaunchHostFunc, (cudaStream_t s, cudaHostFn_t f, void* data), per_thread(s), f, data)
PER_THREAD(cudaGraphLaunch, (cudaGraphExec_t g, cudaStream_t s), g, per_thread(s))

cudaError_t cudaLaunchKernelExC_ptsz(const cudaLaunchConfig_t* config, const void* function,
                                     void** arguments) {
  if (!config) return cudaLaunchKernelExC(config, function, arguments);
  cudaLaunchConfig_t changed = *config;
  changed.stream = per_thread(config->stream);
  return cudaLaunchKernelExC(&changed, function, arguments);
}

}  // extern "C"
