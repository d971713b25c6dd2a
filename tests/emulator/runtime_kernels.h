// Small kernels for the tests of the runtime, and the variables they use.
#pragma once

#include <cuda_runtime_api.h>

namespace emulator::kernels {

/// x[i] += value
void launch_add(int* x, int value, int n, cudaStream_t stream);
/// y[i] = x[i]
void launch_copy(int* y, const int* x, int n, cudaStream_t stream);
/// x[index] = value by one thread; out of bounds when the test wants it
void launch_write(int* x, long index, int value, cudaStream_t stream);
/// x reversed in one block, through dynamic shared memory
void launch_reverse(int* x, int n, size_t shared, cudaStream_t stream);
/// y[0] = the sum of a parameter of 256 bytes, padded oddly
void launch_sum_of_parameters(long* y, cudaStream_t stream);
/// counter and managed_counter += sum of table
void launch_count(cudaStream_t stream);
/// a kernel with __launch_bounds__(128), with any shape
void launch_bounded(int* x, dim3 grid, dim3 block, cudaStream_t stream);

/// a kernel that needs more than 64 registers a thread
void launch_hungry(float* x, int threads, cudaStream_t stream);

/// Host functions of kernels, for calls that take one.
const void* add_function();
const void* reverse_function();
const void* bounded_function();
const void* hungry_function();

/// Host addresses of variables.
const void* table_symbol();    // __constant__ int[4]
const void* counter_symbol();  // __device__ int
int read_managed_counter();    // on the host

}  // namespace emulator::kernels
