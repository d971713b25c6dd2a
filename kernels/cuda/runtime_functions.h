// The functions of the CUDA runtime that the plug-in calls, itself or through nvcc's stubs.
#pragma once

// clang-format off
#define STRIATE_CUDA_RUNTIME_FUNCTIONS(X) \
  X(__cudaRegisterFatBinary) X(__cudaRegisterFatBinaryEnd) X(__cudaUnregisterFatBinary) \
  X(__cudaRegisterFunction) X(__cudaRegisterVar) X(__cudaInitModule) \
  X(__cudaPushCallConfiguration) X(__cudaPopCallConfiguration) \
  X(__cudaGetKernel) X(__cudaLaunchKernel) X(__cudaLaunchKernel_ptsz) X(cudaLaunchKernel) \
  X(cudaLaunchKernelExC) \
  X(cudaGetDeviceCount) X(cudaGetDevice) X(cudaSetDevice) X(cudaDeviceGetAttribute) \
  X(cudaGetDeviceProperties) X(cudaDeviceSynchronize) X(cudaDriverGetVersion) \
  X(cudaRuntimeGetVersion) X(cudaGetErrorString) X(cudaGetErrorName) X(cudaGetLastError) \
  X(cudaPeekAtLastError) X(cudaMemGetInfo) \
  X(cudaMalloc) X(cudaFree) X(cudaMallocAsync) X(cudaFreeAsync) X(cudaMallocHost) X(cudaFreeHost) \
  X(cudaDeviceGetDefaultMemPool) X(cudaMemPoolSetAttribute) X(cudaMemPoolTrimTo) \
  X(cudaMemcpy) X(cudaMemcpyAsync) X(cudaMemset) X(cudaMemsetAsync) X(cudaPointerGetAttributes) \
  X(cudaStreamCreateWithFlags) X(cudaStreamDestroy) X(cudaStreamSynchronize) X(cudaStreamQuery) \
  X(cudaStreamWaitEvent) X(cudaStreamBeginCapture) X(cudaStreamEndCapture) \
  X(cudaStreamIsCapturing) \
  X(cudaEventCreate) X(cudaEventCreateWithFlags) X(cudaEventRecord) X(cudaEventSynchronize) \
  X(cudaEventElapsedTime) X(cudaEventDestroy) \
  X(cudaGraphInstantiate) X(cudaGraphLaunch) X(cudaGraphDestroy) X(cudaGraphExecDestroy) \
  X(cudaGraphGetNodes) \
  X(cudaFuncGetAttributes) X(cudaFuncSetAttribute) \
  X(cudaOccupancyMaxActiveBlocksPerMultiprocessor) \
  X(cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags)
// clang-format on
