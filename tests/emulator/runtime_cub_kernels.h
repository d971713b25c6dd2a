// CUB and Thrust calls for the tests of the full checks.
#pragma once

#include <cuda_runtime_api.h>

namespace emulator::kernels {

/// x: 96 numbers -> y[0] their sum, y[1..96] the sums before each, y[97..102] the sums of 16 each.
cudaError_t cub_blocks(int* y, const int* x);
/// y[0] = the sum of x.
cudaError_t cub_sum(float* y, const float* x, int n);
/// y[i] = x[0] + ... + x[i]
cudaError_t cub_scan(int* y, const int* x, int n);
/// Sort pairs by falling key.
cudaError_t cub_sort_pairs(unsigned* keys_out, const unsigned* keys, int* values_out,
                           const int* values, int n);
/// Sort in place, rising.
void thrust_sort(float* x, int n);

}  // namespace emulator::kernels
