#include "runtime_kernels.h"

namespace emulator::kernels {
namespace {

__constant__ int table[4] = {1, 2, 3, 4};
__device__ int counter = 7;
__managed__ int managed_counter = 100;

struct Parameters {
  char first;
  long values[30];
  short last;
};

__global__ void add(int* x, int value, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] += value;
}

__global__ void copy(int* y, const int* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = x[i];
}

__global__ void write(int* x, long index, int value) { x[index] = value; }

__global__ void reverse(int* x, int n) {
  extern __shared__ int row[];
  for (int i = threadIdx.x; i < n; i += blockDim.x) row[i] = x[i];
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += blockDim.x) x[i] = row[n - 1 - i];
}

__global__ void sum_of_parameters(char before, Parameters p, int between, long* y) {
  long sum = before + p.first + p.last + between;
  for (int i = 0; i < 30; ++i) sum += p.values[i];
  *y = sum;
}

__global__ void count() {
  const int sum = table[0] + table[1] + table[2] + table[3];
  counter += sum;
  managed_counter += sum;
}

__global__ void __launch_bounds__(128) bounded(int* x) {
  if (x) x[0] = 1;
}

__global__ void hungry(float* x) {
  float value[100];
#pragma unroll
  for (int i = 0; i < 100; ++i) value[i] = x[i];
  for (int k = 0; k < 3; ++k) {
#pragma unroll
    for (int i = 0; i < 100; ++i) value[i] = value[i] * value[(i + 1) % 100] + x[k];
  }
#pragma unroll
  for (int i = 0; i < 100; ++i) x[i] = value[i];
}

int blocks(int n) { return (n + 127) / 128; }

}  // namespace

void launch_add(int* x, int value, int n, cudaStream_t stream) {
  add<<<blocks(n), 128, 0, stream>>>(x, value, n);
}

void launch_copy(int* y, const int* x, int n, cudaStream_t stream) {
  copy<<<blocks(n), 128, 0, stream>>>(y, x, n);
}

void launch_write(int* x, long index, int value, cudaStream_t stream) {
  write<<<1, 1, 0, stream>>>(x, index, value);
}

void launch_reverse(int* x, int n, size_t shared, cudaStream_t stream) {
  reverse<<<1, 64, shared, stream>>>(x, n);
}

void launch_sum_of_parameters(long* y, cudaStream_t stream) {
  Parameters p{};
  p.first = 1;
  for (int i = 0; i < 30; ++i) p.values[i] = 1000 + i;
  p.last = 2;
  sum_of_parameters<<<1, 1, 0, stream>>>(3, p, 4, y);
}

void launch_count(cudaStream_t stream) { count<<<1, 1, 0, stream>>>(); }

void launch_bounded(int* x, dim3 grid, dim3 block, cudaStream_t stream) {
  bounded<<<grid, block, 0, stream>>>(x);
}

void launch_hungry(float* x, int threads, cudaStream_t stream) {
  hungry<<<1, threads, 0, stream>>>(x);
}

const void* add_function() { return reinterpret_cast<const void*>(&add); }
const void* reverse_function() { return reinterpret_cast<const void*>(&reverse); }
const void* bounded_function() { return reinterpret_cast<const void*>(&bounded); }
const void* hungry_function() { return reinterpret_cast<const void*>(&hungry); }
const void* table_symbol() { return &table; }
const void* counter_symbol() { return &counter; }
int read_managed_counter() { return managed_counter; }

}  // namespace emulator::kernels
