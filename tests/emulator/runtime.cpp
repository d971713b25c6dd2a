// The frame of every call: lock, posed faults, the error that stays, the error of the thread.
#include "runtime.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>

#include "device_memory.h"
#include "split.h"

namespace emulator {
namespace {

thread_local cudaError_t last_error = cudaSuccess;
// Of the last message: plain data, because programs free memory while the process ends.
thread_local size_t last_complaint = 0;

uint64_t number_from(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  if (!text || !*text) return fallback;
  char* end = nullptr;
  const uint64_t value = std::strtoull(text, &end, 10);
  if (*end) throw std::invalid_argument(std::string(name) + "=" + text + " is not a number");
  return value;
}

Pose read_pose() {
  Pose pose;
  pose.devices = static_cast<int>(number_from("EMULATOR_DEVICES", 1));
  if (pose.devices > 1) throw std::invalid_argument("EMULATOR_DEVICES must be 0 or 1");
  pose.runtime = static_cast<int>(number_from("EMULATOR_RUNTIME", CUDART_VERSION));
  pose.driver_given = std::getenv("EMULATOR_DRIVER") != nullptr;
  pose.driver = static_cast<int>(number_from("EMULATOR_DRIVER", CUDART_VERSION));
  pose.memory = number_from("EMULATOR_MEMORY_BYTES", pose.memory);
  pose.host_access = number_from("EMULATOR_HOST_ACCESS", 0) != 0;
  pose.launch_blocking = number_from("CUDA_LAUNCH_BLOCKING", 0) != 0;
  if (const char* report = std::getenv("EMULATOR_REPORT")) pose.report = report;
  if (const char* fail = std::getenv("EMULATOR_FAIL_LAUNCH")) {
    pose.fail_kernel = fail;
    const size_t equals = pose.fail_kernel.rfind('=');
    if (equals != std::string::npos) {
      pose.fail_error = std::atoi(fail + equals + 1);
      pose.fail_kernel.resize(equals);
    }
    if (pose.fail_kernel.empty() || pose.fail_error <= 0)
      throw std::invalid_argument("EMULATOR_FAIL_LAUNCH must be part-of-a-name[=error number]");
  }
  return pose;
}

// The device comes up at the first call that needs it.
void start() {
  static const pid_t process = getpid();
  if (process != getpid() && !is_split())
    refuse(cudaErrorInitializationError, "the device is of no use in a process made by fork");
  static const bool started = [] {
    DeviceMemory& memory = DeviceMemory::instance();
    memory.set_capacity(pose().memory);
    memory.set_tracking(environment_settings().checks == Checks::kFull);
    memory.set_bare(environment_settings().sample_blocks > 0);  // values are wrong anyway
    memory.set_closed(!pose().host_access);
    return true;
  }();
  (void)started;
}

void check(Needs needs) {
  if (needs == Needs::kNothing) return;
  check_pose();
  start();
  if (needs == Needs::kDevice && runtime().sticky != cudaSuccess)
    refuse(runtime().sticky, "the device failed earlier; nothing works until the process ends");
}

}  // namespace

void check_pose() {
  if (pose().driver / 1000 < CUDART_VERSION / 1000)
    refuse(cudaErrorInsufficientDriver,
           "the driver supports CUDA " + std::to_string(pose().driver / 1000) + "." +
               std::to_string(pose().driver % 1000 / 10) + ", older than the runtime");
  if (pose().devices == 0) refuse(cudaErrorNoDevice, "there is no device");
}

const Pose& pose() {
  static const Pose* const pose = new Pose(read_pose());
  return *pose;
}

Runtime& runtime() {
  static Runtime* const runtime = new Runtime();
  return *runtime;
}

void refuse(cudaError_t code, const std::string& message) { throw ApiError{code, message}; }

void complain(const std::string& message) {
  std::fprintf(stderr, "emulator: %s\n", message.c_str());
}

void set_sticky(int error, const std::string& message) {
  Runtime& state = runtime();
  if (state.sticky != cudaSuccess) return;
  state.sticky = static_cast<cudaError_t>(error);
  complain(std::string(cudaGetErrorName(state.sticky)) + ": " + message);
  state.queue.drop();
}

cudaError_t api(const char* name, Needs needs, const std::function<void()>& body) {
  cudaError_t error = cudaSuccess;
  std::string message;
  try {
    if (inside_host_function())
      refuse(cudaErrorNotPermitted, "host functions on a stream must not call the runtime");
    std::lock_guard lock(runtime().mutex);
    check(needs);
    body();
  } catch (const ApiError& thrown) {
    error = thrown.code;
    message = thrown.message;
  } catch (const Fault& thrown) {
    error = static_cast<cudaError_t>(thrown.error);
    message = thrown.message;
  } catch (const std::bad_alloc&) {
    error = cudaErrorMemoryAllocation;
    message = "the machine itself is out of memory";
  } catch (const std::exception& thrown) {
    error = cudaErrorInvalidValue;
    message = thrown.what();
  }
  if (error == cudaSuccess) return error;
  last_error = error;
  // A program that asks again and again gets one line.
  const size_t complaint = std::hash<std::string>()(message);
  if (!message.empty() && complaint != last_complaint) {
    last_complaint = complaint;
    complain(std::string(name) + ": " + cudaGetErrorName(error) + ": " + message);
  }
  return error;
}

}  // namespace emulator

using namespace emulator;

extern "C" {

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  last_error = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  std::lock_guard lock(runtime().mutex);
  return runtime().sticky != cudaSuccess ? runtime().sticky : last_error;
}

}  // extern "C"
