// Launches of real kernels: arguments, shared memory, variables, limits.
#include <gtest/gtest.h>

#include "runtime_kernels.h"
#include "runtime_test.h"

namespace emulator {
namespace {

using namespace kernels;

std::vector<int> counting(int n) {
  std::vector<int> values(n);
  for (int i = 0; i < n; ++i) values[i] = i;
  return values;
}

TEST(Launch, ComputesWhatTheKernelSays) {
  Ints x(counting(1000));
  launch_add(x.data(), 10, 1000, nullptr);
  EXPECT_CUDA(cudaGetLastError());
  std::vector<int> expected = counting(1000);
  for (int& value : expected) value += 10;
  EXPECT_EQ(x.values(), expected);
}

TEST(Launch, IsDeferred) {
  Stream stream;
  Ints x(std::vector<int>{1});
  PinnedInts seen(1, 0);
  launch_add(x.data(), 1, 1, stream);
  EXPECT_CUDA(cudaMemcpyAsync(seen.data(), x.data(), 4, cudaMemcpyDeviceToHost, stream));
  EXPECT_EQ(seen[0], 0);
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(seen[0], 2);
}

TEST(Launch, PacksParametersAsPtxLaysThemOut) {
  long* y = nullptr;
  ASSERT_CUDA(cudaMallocManaged(reinterpret_cast<void**>(&y), sizeof *y, cudaMemAttachGlobal));
  launch_sum_of_parameters(y, nullptr);
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(*y, 1 + 2 + 3 + 4 + 30 * 1000 + 29 * 30 / 2);
  EXPECT_CUDA(cudaFree(y));
}

TEST(Launch, ByHostFunctionAndByHandle) {
  Ints x(std::vector<int>{1, 2});
  int *data = x.data(), value = 5, n = 2;
  void* arguments[] = {&data, &value, &n};
  EXPECT_CUDA(cudaLaunchKernel(add_function(), dim3(1), dim3(32), arguments, 0, nullptr));
  cudaKernel_t handle = nullptr;
  ASSERT_CUDA(cudaGetKernel(&handle, add_function()));
  EXPECT_CUDA(cudaLaunchKernel(reinterpret_cast<const void*>(handle), dim3(1), dim3(32), arguments,
                               0, nullptr));
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(1);
  config.blockDim = dim3(32);
  EXPECT_CUDA(cudaLaunchKernelExC(&config, add_function(), arguments));
  EXPECT_CUDA(
      cudaLaunchCooperativeKernel(add_function(), dim3(1), dim3(32), arguments, 0, nullptr));
  EXPECT_EQ(x.values(), (std::vector<int>{21, 22}));
}

TEST(Launch, Variables) {
  EXPECT_EQ(read_managed_counter(), 100);
  launch_count(nullptr);
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(read_managed_counter(), 110);
  int counter = 0;
  EXPECT_CUDA(
      cudaMemcpyFromSymbol(&counter, counter_symbol(), sizeof counter, 0, cudaMemcpyDeviceToHost));
  EXPECT_EQ(counter, 17);
  const int changed[] = {30, 40};
  EXPECT_CUDA(cudaMemcpyToSymbol(table_symbol(), changed, 8, 8, cudaMemcpyHostToDevice));
  launch_count(nullptr);
  EXPECT_CUDA(
      cudaMemcpyFromSymbol(&counter, counter_symbol(), sizeof counter, 0, cudaMemcpyDeviceToHost));
  EXPECT_EQ(counter, 17 + 1 + 2 + 30 + 40);
  EXPECT_CUDA_ERROR(cudaMemcpyToSymbol(table_symbol(), changed, 8, 12, cudaMemcpyHostToDevice),
                    cudaErrorInvalidValue);
  EXPECT_CUDA_ERROR(cudaMemcpyToSymbol(&counter, changed, 8, 0, cudaMemcpyHostToDevice),
                    cudaErrorInvalidSymbol);
  size_t size = 0;
  EXPECT_CUDA(cudaGetSymbolSize(&size, table_symbol()));
  EXPECT_EQ(size, 16u);
}

TEST(Launch, GridLimits) {
  const std::pair<dim3, dim3> refused[] = {
      {dim3(1, 65536), dim3(1)},    {dim3(1, 1, 65536), dim3(1)}, {dim3(0), dim3(1)},
      {dim3(1), dim3(0)},           {dim3(1), dim3(1025)},        {dim3(1), dim3(1, 1, 65)},
      {dim3(0x80000000u), dim3(1)}, {dim3(1), dim3(32, 32, 2)}};
  for (auto [grid, block] : refused) {
    launch_bounded(nullptr, grid, block, nullptr);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  }
  launch_bounded(nullptr, dim3(1), dim3(129), nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchOutOfResources);
  launch_bounded(nullptr, dim3(1, 2, 3), dim3(4, 4, 4), nullptr);
  EXPECT_CUDA(cudaGetLastError());
  EXPECT_CUDA(cudaDeviceSynchronize());
}

TEST(Launch, DynamicSharedMemory) {
  Ints x(counting(200));
  launch_reverse(x.data(), 200, 800, nullptr);
  EXPECT_CUDA(cudaGetLastError());
  EXPECT_EQ(x.values()[0], 199);
  EXPECT_EQ(x.values()[199], 0);
  launch_reverse(x.data(), 200, (48 << 10) + 4, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_CUDA(cudaFuncSetAttribute(reverse_function(), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   100 << 10));
  launch_reverse(x.data(), 200, 100 << 10, nullptr);
  EXPECT_CUDA(cudaGetLastError());
  EXPECT_EQ(x.values()[0], 0);
  launch_reverse(x.data(), 200, (100 << 10) + 4, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_CUDA_ERROR(
      cudaFuncSetAttribute(reverse_function(), cudaFuncAttributeMaxDynamicSharedMemorySize,
                           (163 << 10) + 1),
      cudaErrorInvalidValue);
  EXPECT_CUDA(cudaFuncSetAttribute(reverse_function(), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   163 << 10));
}

TEST(Launch, UnknownFunctions) {
  int nothing = 0;
  EXPECT_CUDA_ERROR(cudaLaunchKernel(&nothing, dim3(1), dim3(1), nullptr, 0, nullptr),
                    cudaErrorInvalidDeviceFunction);
  cudaFuncAttributes attributes;
  EXPECT_CUDA_ERROR(cudaFuncGetAttributes(&attributes, &nothing), cudaErrorInvalidDeviceFunction);
}

TEST(Launch, Attributes) {
  cudaFuncAttributes attributes;
  ASSERT_CUDA(cudaFuncGetAttributes(&attributes, bounded_function()));
  EXPECT_EQ(attributes.maxThreadsPerBlock, 128);
  EXPECT_EQ(attributes.ptxVersion, 80);
  ASSERT_CUDA(cudaFuncGetAttributes(&attributes, add_function()));
  EXPECT_EQ(attributes.maxThreadsPerBlock, 1024);
  EXPECT_EQ(attributes.maxDynamicSharedSizeBytes, 48 << 10);
  const char* name = nullptr;
  ASSERT_CUDA(cudaFuncGetName(&name, add_function()));
  EXPECT_NE(std::string(name).find("add"), std::string::npos);
  size_t offset = 0, size = 0;
  ASSERT_CUDA(cudaFuncGetParamInfo(add_function(), 2, &offset, &size));
  EXPECT_EQ(offset, 12u);
  EXPECT_EQ(size, 4u);
}

TEST(Launch, Occupancy) {
  int blocks = 0;
  ASSERT_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add_function(), 1024, 0));
  EXPECT_EQ(blocks, 2);
  ASSERT_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add_function(), 32, 0));
  EXPECT_EQ(blocks, 32);
  ASSERT_CUDA(
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, reverse_function(), 64, 80 << 10));
  EXPECT_EQ(blocks, 2);
  ASSERT_CUDA(
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, reverse_function(), 64, 82 << 10));
  EXPECT_EQ(blocks, 1);
  size_t bytes = 0;
  ASSERT_CUDA(cudaOccupancyAvailableDynamicSMemPerBlock(&bytes, add_function(), 2, 128));
  EXPECT_EQ(bytes, size_t{81} << 10);
}

TEST(Launch, RegistersAreTheMachineCodes) {
  cudaFuncAttributes attributes;
  ASSERT_CUDA(cudaFuncGetAttributes(&attributes, hungry_function()));
  EXPECT_GT(attributes.numRegs, 96);
  EXPECT_LE(attributes.numRegs, 255);
  int blocks = 0;
  ASSERT_CUDA(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, hungry_function(), 128, 0));
  EXPECT_EQ(blocks, attributes.numRegs <= 128 ? 4 : 3);
  Ints x(std::vector<int>(100, 0));
  auto* data = reinterpret_cast<float*>(x.data());
  launch_hungry(data, 1024, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchOutOfResources);
  launch_hungry(data, 1, nullptr);
  EXPECT_CUDA(cudaGetLastError());
  EXPECT_CUDA(cudaDeviceSynchronize());
}

TEST(Launch, CooperativeGridsMustFitAtOnce) {
  int *data = nullptr, value = 0, n = 0;
  void* arguments[] = {&data, &value, &n};
  EXPECT_CUDA(cudaLaunchCooperativeKernel(add_function(), dim3(2 * 108), dim3(1024), arguments, 0,
                                          nullptr));
  EXPECT_CUDA_ERROR(cudaLaunchCooperativeKernel(add_function(), dim3(2 * 108 + 1), dim3(1024),
                                                arguments, 0, nullptr),
                    cudaErrorCooperativeLaunchTooLarge);
  EXPECT_CUDA(cudaDeviceSynchronize());
}

TEST(Launch, KernelsOfAGraph) {
  Stream stream;
  Ints x(std::vector<int>{1});
  cudaGraph_t graph = nullptr;
  ASSERT_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  int value = 2;
  launch_add(x.data(), value, 1, stream);
  value = 100;  // the graph has its own copy of the arguments
  ASSERT_CUDA(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t executable = nullptr;
  ASSERT_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  for (int i = 0; i < 3; ++i) EXPECT_CUDA(cudaGraphLaunch(executable, stream));
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(x.values()[0], 7);
  EXPECT_CUDA(cudaGraphExecDestroy(executable));
  EXPECT_CUDA(cudaGraphDestroy(graph));
}

TEST(Launch, PropertiesOfTheDevice) {
  cudaDeviceProp properties;
  ASSERT_CUDA(cudaGetDeviceProperties(&properties, 0));
  EXPECT_EQ(properties.major, 8);
  EXPECT_EQ(properties.minor, 0);
  EXPECT_EQ(properties.multiProcessorCount, 108);
  EXPECT_EQ(properties.sharedMemPerBlockOptin, size_t{163} << 10);
  EXPECT_EQ(properties.totalGlobalMem, size_t{2} << 30);
  int value = 0;
  ASSERT_CUDA(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  EXPECT_EQ(value, 163 << 10);
  EXPECT_CUDA_ERROR(cudaGetDeviceProperties(&properties, 1), cudaErrorInvalidDevice);
  EXPECT_CUDA_ERROR(cudaSetDevice(1), cudaErrorInvalidDevice);
}

}  // namespace
}  // namespace emulator
