// A program as others write them, built with one default stream per thread; loads the library by
// name.
#include <cstdio>
#include <cstdlib>

namespace {

__global__ void square(float* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] *= x[i];
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

}  // namespace

int main() {
  const int n = 1000;
  float host[n];
  for (int i = 0; i < n; ++i) host[i] = static_cast<float>(i);
  float* x = nullptr;
  cudaEvent_t done = nullptr;
  check(cudaMallocAsync(&x, sizeof host, nullptr), "cudaMallocAsync");
  check(cudaMemcpyAsync(x, host, sizeof host, cudaMemcpyHostToDevice), "cudaMemcpyAsync");
  square<<<(n + 127) / 128, 128>>>(x, n);
  check(cudaGetLastError(), "launch");
  check(cudaMemcpyAsync(host, x, sizeof host, cudaMemcpyDeviceToHost), "cudaMemcpyAsync");
  check(cudaFreeAsync(x, nullptr), "cudaFreeAsync");
  check(cudaEventCreate(&done), "cudaEventCreate");
  check(cudaEventRecord(done), "cudaEventRecord");
  check(cudaEventSynchronize(done), "cudaEventSynchronize");
  double sum = 0;
  for (float value : host) sum += value;
  std::printf("sum of squares %.0f\n", sum);
  return 0;
}
