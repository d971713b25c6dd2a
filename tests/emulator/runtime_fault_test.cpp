// Faults, real and posed. Each needs a process of its own: an error of the device never goes away.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "runtime_kernels.h"
#include "runtime_test.h"

namespace emulator {
namespace {

using namespace kernels;

int* ints(size_t count) {
  int* data = nullptr;
  cudaMalloc(reinterpret_cast<void**>(&data), count * sizeof(int));
  return data;
}

bool illegal_address_stays() {
  int* x = ints(4);
  launch_write(x, 4, 1, nullptr);
  if (cudaGetLastError() != cudaSuccess) return false;  // not yet known
  if (cudaDeviceSynchronize() != cudaErrorIllegalAddress) return false;
  void* memory = nullptr;
  int device = -1;
  cudaEvent_t event = nullptr;
  launch_add(x, 1, 1, nullptr);
  return cudaGetLastError() == cudaErrorIllegalAddress &&
         cudaGetLastError() == cudaErrorIllegalAddress &&
         cudaPeekAtLastError() == cudaErrorIllegalAddress &&
         cudaMalloc(&memory, 4) == cudaErrorIllegalAddress &&
         cudaEventCreate(&event) == cudaErrorIllegalAddress &&
         cudaDeviceReset() == cudaErrorIllegalAddress && cudaGetDevice(&device) == cudaSuccess &&
         cudaGetDeviceCount(&device) == cudaSuccess && device == 1;
}

TEST(FaultDeathTest, OutOfBounds) {
  EXPECT_IN_NEW_PROCESS(({}), illegal_address_stays,
                        "cudaErrorIllegalAddress: kernel .*write.* of 1 x 1 x 1 blocks.*");
}

bool misaligned() {
  launch_write(reinterpret_cast<int*>(reinterpret_cast<char*>(ints(4)) + 2), 0, 1, nullptr);
  return cudaDeviceSynchronize() == cudaErrorMisalignedAddress;
}

TEST(FaultDeathTest, Misaligned) {
  EXPECT_IN_NEW_PROCESS(({}), misaligned, "cudaErrorMisalignedAddress");
}

bool freed() {
  int* x = ints(4);
  cudaFree(x);
  launch_write(x, 0, 1, nullptr);
  return cudaDeviceSynchronize() == cudaErrorIllegalAddress;
}

TEST(FaultDeathTest, UseAfterFree) { EXPECT_IN_NEW_PROCESS(({}), freed, "freed"); }

bool pageable_memory_in_a_kernel() {
  static int host = 0;
  launch_write(&host, 0, 1, nullptr);
  return cudaDeviceSynchronize() == cudaErrorIllegalAddress && host == 0;
}

TEST(FaultDeathTest, KernelsDoNotSeePageableMemory) {
  EXPECT_IN_NEW_PROCESS(({}), pageable_memory_in_a_kernel, "neither pinned nor managed");
}

bool no_device() {
  int count = -1, driver = 0;
  void* memory = nullptr;
  launch_bounded(nullptr, dim3(1), dim3(1), nullptr);
  return cudaGetLastError() == cudaErrorNoDevice &&
         cudaGetDeviceCount(&count) == cudaErrorNoDevice && count == 0 &&
         cudaMalloc(&memory, 4) == cudaErrorNoDevice &&
         cudaDriverGetVersion(&driver) == cudaSuccess && driver >= 13000;
}

TEST(FaultDeathTest, NoDevice) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_DEVICES", "0"}}), no_device, "there is no device");
}

bool old_driver() {
  int count = -1, driver = 0, version = 0;
  return cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver &&
         cudaSetDevice(0) == cudaErrorInsufficientDriver &&
         cudaDriverGetVersion(&driver) == cudaSuccess && driver == 12080 &&
         cudaRuntimeGetVersion(&version) == cudaSuccess && version == CUDART_VERSION;
}

TEST(FaultDeathTest, OldDriver) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_DRIVER", "12080"}}), old_driver,
                        "the driver supports CUDA 12.8, older than the runtime");
}

bool no_code() {
  launch_bounded(nullptr, dim3(1), dim3(1), nullptr);
  return cudaGetLastError() == cudaErrorNoKernelImageForDevice && cudaGetLastError() == cudaSuccess;
}

TEST(FaultDeathTest, NoCodeForTheDevice) {
  EXPECT_IN_NEW_PROCESS(
      ({{"EMULATOR_CAPABILITY", "7.5"}}), no_code,
      "no PTX for compute_75 or older in the fat binary, which holds: sm_80, compute_80");
}

bool runs_on_newer() {
  cudaDeviceProp properties;
  launch_bounded(nullptr, dim3(1), dim3(1), nullptr);
  return cudaDeviceSynchronize() == cudaSuccess &&
         cudaGetDeviceProperties(&properties, 0) == cudaSuccess && properties.major == 9 &&
         properties.sharedMemPerBlockOptin == 227 << 10;
}

TEST(FaultDeathTest, CodeForAnOlderDeviceRuns) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_CAPABILITY", "9.0"}}), runs_on_newer, "");
}

bool second_kernel_fails() {
  int* x = ints(4);
  cudaMemset(x, 0, 16);
  launch_add(x, 1, 4, nullptr);
  if (cudaDeviceSynchronize() != cudaSuccess) return false;
  launch_bounded(x, dim3(1), dim3(1), nullptr);
  return cudaGetLastError() == cudaSuccess && cudaDeviceSynchronize() == cudaErrorLaunchFailure &&
         cudaFree(x) == cudaErrorLaunchFailure;
}

TEST(FaultDeathTest, ALaunchMadeToFail) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_FAIL_LAUNCH", "bounded"}}), second_kernel_fails,
                        "kernel .*bounded.*: a launch made to fail");
}

bool refused_at_launch() {
  launch_bounded(nullptr, dim3(1), dim3(1), nullptr);
  return cudaGetLastError() == cudaErrorLaunchOutOfResources &&
         cudaDeviceSynchronize() == cudaSuccess;
}

TEST(FaultDeathTest, ALaunchMadeToBeRefused) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_FAIL_LAUNCH", "bounded=701"}}), refused_at_launch,
                        "a launch made to fail");
}

bool nonsense_is_refused() {
  void* memory = nullptr;
  return cudaMalloc(&memory, 4) == cudaErrorInvalidValue;
}

TEST(FaultDeathTest, EnvironmentThatIsNotUnderstood) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_MEMORY_BYTES", "much"}}), nonsense_is_refused,
                        "EMULATOR_MEMORY_BYTES=much is not a number");
}

// ---- Full checks --------------------------------------------------------------------------------

struct TwoStreams {
  int* x = ints(256);
  int* y = ints(256);
  cudaStream_t one = nullptr, two = nullptr;
  cudaEvent_t event = nullptr;

  TwoStreams() {
    cudaStreamCreateWithFlags(&one, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&two, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaMemset(x, 0, 1024);
    cudaMemset(y, 0, 1024);
    cudaDeviceSynchronize();
  }
};

bool missing_wait() {
  TwoStreams s;
  launch_add(s.x, 1, 256, s.one);
  launch_copy(s.y, s.x, 256, s.two);
  return cudaDeviceSynchronize() == cudaErrorLaunchFailure;
}

TEST(OrderDeathTest, AMissingWaitNamesBothKernels) {
  // Whichever of them ran first.
  for (const char* seed : {"1", "2", "3"})
    EXPECT_IN_NEW_PROCESS(
        ({{"EMULATOR_CHECKS", "full"}, {"EMULATOR_SEED", seed}}), missing_wait,
        "(copy.* reads what .*add.* writes|add.* overwrites what .*copy.* reads).*nothing orders");
}

bool with_wait() {
  TwoStreams s;
  launch_add(s.x, 1, 256, s.one);
  cudaEventRecord(s.event, s.one);
  cudaStreamWaitEvent(s.two, s.event, 0);
  launch_copy(s.y, s.x, 256, s.two);
  // Other bytes of the same allocation need no order.
  launch_add(s.y + 128, 1, 128, s.two);
  return cudaDeviceSynchronize() == cudaSuccess;
}

TEST(OrderDeathTest, AWaitOrders) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_CHECKS", "full"}}), with_wait, "");
}

bool copy_over_memory_in_use() {
  TwoStreams s;
  launch_copy(s.y, s.x, 256, s.one);
  const int zero = 0;
  cudaMemcpyAsync(s.x + 255, &zero, 4, cudaMemcpyHostToDevice, s.two);
  return cudaDeviceSynchronize() == cudaErrorLaunchFailure;
}

TEST(OrderDeathTest, ACopyOverMemoryInUse) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_CHECKS", "full"}}), copy_over_memory_in_use,
                        "a copy of 4 bytes");
}

bool other_half() {
  TwoStreams s;
  launch_add(s.x, 1, 128, s.one);
  launch_add(s.x + 128, 1, 128, s.two);
  return cudaDeviceSynchronize() == cudaSuccess;
}

TEST(OrderDeathTest, HalvesOfAnAllocationAreIndependent) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_CHECKS", "full"}}), other_half, "");
}

bool unjoined_branches_of_a_graph() {
  TwoStreams s;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  cudaEvent_t joined = nullptr;
  cudaEventCreate(&joined);
  cudaStreamBeginCapture(s.one, cudaStreamCaptureModeGlobal);
  cudaEventRecord(s.event, s.one);
  cudaStreamWaitEvent(s.two, s.event, 0);
  launch_add(s.x, 1, 256, s.one);
  launch_copy(s.y, s.x, 256, s.two);
  cudaEventRecord(joined, s.two);
  cudaStreamWaitEvent(s.one, joined, 0);
  cudaStreamEndCapture(s.one, &graph);
  cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphLaunch(executable, s.one);
  return cudaStreamSynchronize(s.one) == cudaErrorLaunchFailure;
}

TEST(OrderDeathTest, BranchesOfAGraphAreUnordered) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_CHECKS", "full"}}), unjoined_branches_of_a_graph,
                        "in a graph.*nothing orders");
}

bool early_read_is_spoilt() {
  TwoStreams s;
  int *host = nullptr, *used = nullptr;
  cudaMallocHost(reinterpret_cast<void**>(&host), 1024);
  cudaMallocHost(reinterpret_cast<void**>(&used), 1024);
  host[0] = used[0] = 5;  // as if an earlier step had left it
  cudaMemcpyAsync(host, s.x, 1024, cudaMemcpyDeviceToHost, s.one);
  launch_copy(s.y, used, 256, s.one);
  cudaMemcpyAsync(used, s.x, 1024, cudaMemcpyDeviceToHost, s.one);
  const int early = host[0], needed = used[0];
  return cudaDeviceSynchronize() == cudaSuccess && early == -1 && needed == 5 && host[0] == 0;
}

TEST(OrderDeathTest, AResultReadTooEarlyIsSpoilt) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_CHECKS", "full"}}), early_read_is_spoilt, "");
}

bool after_fork() {
  cudaFree(nullptr);
  const pid_t child = fork();
  if (child == 0) leave(cudaFree(nullptr) == cudaErrorInitializationError);
  int status = 1;
  waitpid(child, &status, 0);
  return status == 0;
}

TEST(FaultDeathTest, NoUseAfterFork) {
  EXPECT_IN_NEW_PROCESS(({}), after_fork, "a process made by fork");
}

bool newer_ptx() {
  launch_bounded(nullptr, dim3(1), dim3(1), nullptr);
  const cudaError_t error = cudaGetLastError();
  // The kernels here are PTX 9.0 where the toolkit is 13.0.
  return CUDART_VERSION / 10 % 100 > 0 ? error == cudaErrorUnsupportedPtxVersion
                                       : error == cudaSuccess;
}

TEST(FaultDeathTest, PtxNewerThanTheDriver) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_DRIVER", "13000"}}), newer_ptx, "");
}

bool repeated_graph() {
  TwoStreams s;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  cudaStreamBeginCapture(s.one, cudaStreamCaptureModeGlobal);
  launch_add(s.x, 1, 256, s.one);
  launch_copy(s.y, s.x, 256, s.one);
  cudaStreamEndCapture(s.one, &graph);
  cudaGraphInstantiate(&executable, graph, 0);
  for (int i = 0; i < 3; ++i) cudaGraphLaunch(executable, s.one);
  int host[256];
  cudaMemcpyAsync(host, s.y, 1024, cudaMemcpyDeviceToHost, s.one);
  return cudaStreamSynchronize(s.one) == cudaSuccess && host[255] == 3;
}

TEST(OrderDeathTest, LaunchesOfAGraphAreOrdered) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_CHECKS", "full"}}), repeated_graph, "");
}

bool memory_of_another_stream() {
  TwoStreams s;
  int* x = nullptr;
  cudaMallocAsync(reinterpret_cast<void**>(&x), 1024, s.one);
  cudaMemsetAsync(x, 0, 1024, s.two);
  return cudaDeviceSynchronize() == cudaErrorLaunchFailure;
}

TEST(OrderDeathTest, MemoryAppearsInTheOrderOfItsStream) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_CHECKS", "full"}}), memory_of_another_stream,
                        "cudaMallocAsync.*nothing orders|memset.*nothing orders");
}

bool reads_fresh_memory() {
  launch_add(ints(4), 1, 4, nullptr);
  return cudaDeviceSynchronize() != cudaSuccess;
}

TEST(OrderDeathTest, UninitialisedMemory) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_CHECKS", "full"}}), reads_fresh_memory,
                        "read of global memory that nobody has written");
}

// ---- Reports ------------------------------------------------------------------------------------

bool reports() {
  const std::string path = std::getenv("EMULATOR_REPORT");
  int* x = ints(64);
  cudaMemset(x, 0, 256);
  launch_add(x, 1, 64, nullptr);
  launch_bounded(x, dim3(2), dim3(3), nullptr);
  if (cudaDeviceSynchronize() != cudaSuccess) return false;
  std::ifstream file(path);
  std::string first, second, third;
  std::getline(file, first);
  std::getline(file, second);
  const bool ended = !std::getline(file, third);
  const auto has = [](const std::string& line, const char* part) {
    return line.find(part) != std::string::npos;
  };
  return ended && has(first, "add") && has(first, "\"grid\": [1, 1, 1]") &&
         has(first, "\"block\": [128, 1, 1]") && has(second, "bounded") &&
         has(second, "\"grid\": [2, 1, 1]") && has(second, "\"block\": [3, 1, 1]") &&
         has(second, "\"error\": 0");
}

TEST(ReportDeathTest, OneLinePerLaunch) {
  const std::string path = ::testing::TempDir() + "emulator_report.json";
  std::remove(path.c_str());
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_REPORT", path.c_str()}}), reports, "");
}

}  // namespace
}  // namespace emulator
