// CUB and Thrust, unchanged, as programs use them: what they do must pass the full checks.
#include <thrust/execution_policy.h>
#include <thrust/sort.h>

#include <cub/cub.cuh>

#include "runtime_cub_kernels.h"

namespace emulator::kernels {
namespace {

/// Memory for the two-phase calls of CUB: `call(storage, bytes)` twice.
template <class Call>
cudaError_t with_storage(Call call) {
  size_t bytes = 0;
  void* storage = nullptr;
  cudaError_t error = call(storage, bytes);
  if (error == cudaSuccess) error = cudaMalloc(&storage, bytes);
  if (error == cudaSuccess) error = call(storage, bytes);
  if (error == cudaSuccess) error = cudaDeviceSynchronize();
  cudaFree(storage);
  return error;
}

__global__ void block_algorithms(int* y, const int* x) {
  using Reduce = cub::BlockReduce<int, 96>;
  using Scan = cub::BlockScan<int, 96>;
  using WarpReduce = cub::WarpReduce<int, 16>;
  __shared__ union {
    Reduce::TempStorage reduce;
    Scan::TempStorage scan;
    WarpReduce::TempStorage warp[6];
  } storage;
  const int value = x[threadIdx.x];
  const int sum = Reduce(storage.reduce).Sum(value);
  __syncthreads();
  int before = 0;
  Scan(storage.scan).ExclusiveSum(value, before);
  __syncthreads();
  const int part = WarpReduce(storage.warp[threadIdx.x / 16]).Sum(value);
  if (threadIdx.x == 0) y[0] = sum;
  y[1 + threadIdx.x] = before;
  if (threadIdx.x % 16 == 0) y[97 + threadIdx.x / 16] = part;
}

}  // namespace

cudaError_t cub_blocks(int* y, const int* x) {
  block_algorithms<<<1, 96>>>(y, x);
  return cudaDeviceSynchronize();
}

cudaError_t cub_sum(float* y, const float* x, int n) {
  return with_storage([=](void* storage, size_t& bytes) {
    return cub::DeviceReduce::Sum(storage, bytes, x, y, n);
  });
}

cudaError_t cub_scan(int* y, const int* x, int n) {
  return with_storage([=](void* storage, size_t& bytes) {
    return cub::DeviceScan::InclusiveSum(storage, bytes, x, y, n);
  });
}

cudaError_t cub_sort_pairs(unsigned* keys_out, const unsigned* keys, int* values_out,
                           const int* values, int n) {
  return with_storage([=](void* storage, size_t& bytes) {
    return cub::DeviceRadixSort::SortPairsDescending(storage, bytes, keys, keys_out, values,
                                                     values_out, n);
  });
}

void thrust_sort(float* x, int n) { thrust::sort(thrust::device, x, x + n); }

}  // namespace emulator::kernels
