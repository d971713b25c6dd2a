// Kernels for the tests of the full checks: each `bad_*` has one mistake, on the line that says
// MISTAKE, where it must be found; each `good_*` must run clean.
#include <cuda_runtime.h>

namespace {

__device__ void copy_16_bytes(void* shared, const void* global) {
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(global) : "memory");
}
__device__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N>
__device__ void wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

}  // namespace

extern "C" {

// ---- Mistakes (x: n or more floats in, y: floats out; blocks of 64 threads) ---------------------

__global__ void bad_missing_syncthreads(float* y, const float* x, int) {
  __shared__ float tile[64];
  tile[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = tile[63 - threadIdx.x];  // MISTAKE bad_missing_syncthreads
}

__global__ void bad_reuse_without_barrier(float* y, const float* x, int n) {
  __shared__ float tile[64];
  float sum = 0;
  for (int i = 0; i < n; i += 64) {
    tile[threadIdx.x] = x[i + threadIdx.x];  // MISTAKE bad_reuse_without_barrier
    __syncthreads();
    sum += tile[63 - threadIdx.x];  // MISTAKE bad_reuse_without_barrier
  }
  y[threadIdx.x] = sum;
}

__global__ void bad_missing_syncwarp(float* y, const float* x, int) {
  __shared__ float tile[64];
  const int lane = threadIdx.x % 32, first = threadIdx.x - lane;
  tile[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = tile[first + 31 - lane];  // MISTAKE bad_missing_syncwarp
}

__global__ void bad_two_writers(float* y, const float* x, int) {
  __shared__ float tile[64];
  tile[threadIdx.x / 2] = x[threadIdx.x];  // MISTAKE bad_two_writers
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x / 2];
}

__global__ void bad_missing_wait(float* y, const float* x, int) {
  __shared__ __align__(16) float tile[256];
  copy_16_bytes(&tile[4 * threadIdx.x], &x[4 * threadIdx.x]);
  commit();
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x];  // MISTAKE bad_missing_wait
}

__global__ void bad_wait_for_too_few(float* y, const float* x, int) {
  __shared__ __align__(16) float tile[2][256];
  copy_16_bytes(&tile[0][4 * threadIdx.x], &x[4 * threadIdx.x]);
  commit();
  copy_16_bytes(&tile[1][4 * threadIdx.x], &x[4 * threadIdx.x]);
  commit();
  wait<1>();
  __syncthreads();
  y[threadIdx.x] = tile[0][threadIdx.x];
  y[threadIdx.x] += tile[1][threadIdx.x];  // MISTAKE bad_wait_for_too_few
}

__global__ void bad_wait_without_barrier(float* y, const float* x, int) {
  __shared__ __align__(16) float tile[256];
  copy_16_bytes(&tile[4 * threadIdx.x], &x[4 * threadIdx.x]);
  commit();
  wait<0>();
  y[threadIdx.x] = tile[255 - threadIdx.x];  // MISTAKE bad_wait_without_barrier
}

__global__ void bad_out_of_bounds(float* y, const float* x, int n) {
  const int i = threadIdx.x;
  if (i <= n) y[i] = x[i];  // MISTAKE bad_out_of_bounds
}

__global__ void bad_shared_out_of_bounds(float* y, const float* x, int n) {
  extern __shared__ float dynamic[];
  dynamic[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = dynamic[threadIdx.x + n];  // MISTAKE bad_shared_out_of_bounds
}

__global__ void bad_alignment(float* y, const float* x, int) {
  const float4 v = *reinterpret_cast<const float4*>(x + 1);  // MISTAKE bad_alignment
  y[threadIdx.x] = v.x + v.y + v.z + v.w;
}

__global__ void bad_uninitialised_shared(float* y, const float* x, int n) {
  __shared__ float tile[64];
  if (threadIdx.x < n - 1) tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = tile[threadIdx.x];  // MISTAKE bad_uninitialised_shared
}

__global__ void bad_uninitialised_global(float* y, const float*, int) {
  y[threadIdx.x] += 1;  // MISTAKE bad_uninitialised_global
}

__global__ void bad_uninitialised_local(float* y, const float* x, int n) {
  float values[8];
  for (int i = 0; i < n; ++i) values[static_cast<int>(x[i]) & 7] = x[i];
  y[threadIdx.x] = values[n & 7];  // MISTAKE bad_uninitialised_local
}

__global__ void bad_barrier_after_exit(float* y, const float* x, int n) {
  __shared__ float tile[64];
  if (threadIdx.x >= n) return;
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();  // MISTAKE bad_barrier_after_exit
  y[threadIdx.x] = tile[n - 1 - threadIdx.x];
}

__global__ void bad_divergent_barrier(float* y, const float* x, int) {
  __shared__ float tile[64];
  if (threadIdx.x < 32) {
    tile[threadIdx.x] = x[threadIdx.x];
    asm volatile("bar.sync 0; // first" ::: "memory");  // MISTAKE bad_divergent_barrier
  } else {
    tile[threadIdx.x] = -x[threadIdx.x];
    asm volatile("bar.sync 0; // second" ::: "memory");  // MISTAKE bad_divergent_barrier
  }
  y[threadIdx.x] = tile[63 - threadIdx.x];
}

__global__ void bad_syncwarp_mask(float* y, const float* x, int n) {
  if (threadIdx.x >= n) return;
  __syncwarp(0xffffffff);  // MISTAKE bad_syncwarp_mask
  y[threadIdx.x] = x[threadIdx.x];
}

__global__ void bad_threads_write_the_same(float* y, const float* x, int) {
  y[threadIdx.x / 2] = x[0];  // MISTAKE bad_threads_write_the_same
}

__global__ void bad_read_of_a_neighbour(float* y, float* x, int) {
  y[threadIdx.x] = x[threadIdx.x ^ 32];  // MISTAKE bad_read_of_a_neighbour
  x[threadIdx.x] = 1;                    // MISTAKE bad_read_of_a_neighbour
}

__global__ void bad_blocks_write_the_same(float* y, const float* x, int) {
  y[threadIdx.x] = x[threadIdx.x] + blockIdx.x;  // MISTAKE bad_blocks_write_the_same
}

__global__ void bad_blocks_read_each_other(float* y, const float*, int) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = y[(i + blockDim.x) % (gridDim.x * blockDim.x)];  // MISTAKE bad_blocks_read_each_other
}

__global__ void bad_missing_fence(float* y, float* x, int) {
  __shared__ bool last;
  unsigned* counter = reinterpret_cast<unsigned*>(y + 1);
  if (threadIdx.x == 0) {
    x[blockIdx.x] = blockIdx.x;
    last = atomicAdd(counter, 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  float sum = 0;
  for (int i = 0; i < gridDim.x; ++i) sum += x[i];  // MISTAKE bad_missing_fence
  y[0] = sum;
}

// ---- Correct -----------------------------------------------------------------------------------

__global__ void good_tile(float* y, const float* x, int n) {
  __shared__ float tile[64];
  float sum = 0;
  for (int i = 0; i < n; i += 64) {
    __syncthreads();
    tile[threadIdx.x] = x[i + threadIdx.x];
    __syncthreads();
    sum += tile[63 - threadIdx.x];
  }
  y[threadIdx.x] = sum;
}

__global__ void good_exchange_in_global_memory(float* y, const float* x, int) {
  y[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  const float other = y[threadIdx.x ^ 32];
  __syncthreads();
  y[threadIdx.x] = other;
}

__global__ void good_syncwarp(float* y, const float* x, int) {
  __shared__ float tile[64];
  const int lane = threadIdx.x % 32, first = threadIdx.x - lane;
  tile[threadIdx.x] = x[threadIdx.x];
  for (int by = 16; by > 0; by /= 2) {
    __syncwarp();
    const float other = tile[first + (lane ^ by)];
    __syncwarp();
    tile[threadIdx.x] += other;
  }
  y[threadIdx.x] = tile[threadIdx.x];
}

__global__ void good_pipeline(float* y, const float* x, int n) {
  __shared__ __align__(16) float tile[3][256];
  const int steps = n / 256;
  for (int stage = 0; stage < 2; ++stage) {
    if (stage < steps)
      copy_16_bytes(&tile[stage][4 * threadIdx.x], &x[256 * stage + 4 * threadIdx.x]);
    commit();
  }
  float sum = 0;
  for (int step = 0; step < steps; ++step) {
    wait<1>();
    __syncthreads();
    const int next = step + 2;
    if (next < steps)
      copy_16_bytes(&tile[next % 3][4 * threadIdx.x], &x[256 * next + 4 * threadIdx.x]);
    commit();
    for (int i = 0; i < 4; ++i) sum += tile[step % 3][255 - threadIdx.x - 64 * i];
  }
  y[threadIdx.x] = sum;
}

__global__ void good_named_barriers(float* y, const float* x, int n) {
  // The first warp fills, the second uses: bar.arrive and bar.sync of 64 threads.
  __shared__ float tile[32];
  const int lane = threadIdx.x % 32;
  float sum = 0;
  for (int i = 0; i < n; i += 32) {
    if (threadIdx.x < 32) {
      tile[lane] = x[i + lane];
      asm volatile("bar.arrive 1, 64;" ::: "memory");
      asm volatile("bar.sync 2, 64;" ::: "memory");
    } else {
      asm volatile("bar.sync 1, 64;" ::: "memory");
      sum += tile[31 - lane];
      asm volatile("bar.arrive 2, 64;" ::: "memory");
    }
  }
  y[threadIdx.x] = sum;
}

__global__ void good_shared_atomics(float* y, const float* x, int) {
  __shared__ int bins[8];
  if (threadIdx.x < 8) bins[threadIdx.x] = 0;
  __syncthreads();
  atomicAdd(&bins[static_cast<int>(x[threadIdx.x]) & 7], 1);
  __syncthreads();
  if (threadIdx.x < 8) y[threadIdx.x] = bins[threadIdx.x];
}

__global__ void good_bytes(unsigned char* y, const unsigned char* x, int) {
  __shared__ unsigned char tile[64];
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  const unsigned word = reinterpret_cast<const unsigned*>(tile)[threadIdx.x / 4];
  y[64 * blockIdx.x + threadIdx.x] = word >> 8 * (threadIdx.x % 4);
}

__global__ void good_last_block_sums(float* y, float* x, int) {
  __shared__ bool last;
  unsigned* counter = reinterpret_cast<unsigned*>(y + 1);
  if (threadIdx.x == 0) {
    x[blockIdx.x] = blockIdx.x;
    __threadfence();
    last = atomicAdd(counter, 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  __threadfence();
  float sum = 0;
  for (int i = 0; i < gridDim.x; ++i) sum += x[i];
  y[0] = sum;
}

__global__ void good_local_array(float* y, const float* x, int n) {
  float values[8];
  for (int i = 0; i < 8; ++i) values[i] = 0;
  for (int i = 0; i < n; ++i) values[static_cast<int>(x[i]) & 7] += x[i];
  y[threadIdx.x] = values[threadIdx.x & 7];
}

__global__ void good_whole_warps_exit(float* y, const float* x, int n) {
  if (threadIdx.x >= n) return;
  float sum = x[threadIdx.x];
  for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(0xffffffff, sum, by);
  y[threadIdx.x] = sum;
}

}  // extern "C"
