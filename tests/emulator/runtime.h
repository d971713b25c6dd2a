// What the parts of the stand-in runtime share: handles, errors, and the frame around every call.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "machine.h"
#include "runtime_queue.h"

namespace emulator {

struct Binary;
struct Capture;
struct Function;  // parse.h

/// What the environment poses beside the executor's own Settings.
struct Pose {
  int devices = 1;                      // EMULATOR_DEVICES: 0 or 1
  int runtime = CUDART_VERSION;         // EMULATOR_RUNTIME: 12080 is another version
  int driver = CUDART_VERSION;          // EMULATOR_DRIVER: 12080 is too old, 0 is none at all
  bool driver_given = false;            // then PTX that is newer than the driver is refused
  uint64_t memory = uint64_t{2} << 30;  // EMULATOR_MEMORY_BYTES
  std::string fail_kernel;              // EMULATOR_FAIL_LAUNCH=part-of-a-name[=error]
  int fail_error = cudaErrorLaunchFailure;
  std::string report;            // EMULATOR_REPORT=FILE
  bool host_access = false;      // EMULATOR_HOST_ACCESS=1: leave device memory open
  bool launch_blocking = false;  // CUDA_LAUNCH_BLOCKING=1, CUDA's own: launches return when done
};

/// The pose by the environment, read at the first call that needs it. Throws std::invalid_argument.
const Pose& pose();

/// A variable that the program registered, `__device__`, `__constant__` or `__managed__`.
struct RegisteredVariable {
  Binary* binary = nullptr;
  std::string name;  // mangled
  size_t size = 0;
  void** managed_pointer = nullptr;  // of a managed variable: where the program reads its address
};

}  // namespace emulator

/// A kernel of a binary; the runtime's opaque cudaKernel_t and cudaFunction_t.
struct CUkern_st {
  emulator::Binary* binary = nullptr;
  std::string name;      // mangled
  std::string readable;  // filled by name_of
  int dynamic_shared_limit = 48 << 10;
  int carveout = -1;
};

struct CUstream_st {
  int lane = 0;  // names the stream in messages and in the order of work
  unsigned int flags = 0;
  int priority = 0;
  bool legacy = false;
  emulator::OperationPointer last;
  std::shared_ptr<emulator::Capture> capture;
  std::vector<cudaGraphNode_t> tail;  // of the capture: what the next node comes after

  bool blocking() const { return !(flags & cudaStreamNonBlocking); }
};

struct CUevent_st {
  unsigned int flags = 0;
  emulator::OperationPointer recorded;
  std::shared_ptr<emulator::Capture> capture;  // of the last record, if it was captured
  std::vector<cudaGraphNode_t> nodes;
};

namespace emulator {

using Kernel = CUkern_st;

struct Runtime {
  std::mutex mutex;
  cudaError_t sticky = cudaSuccess;  // of a fault on the device: every later call returns it
  Queue queue;
  std::set<cudaStream_t> streams;          // made by the program
  std::set<cudaStream_t> default_streams;  // legacy and one per thread that used it
  std::set<cudaEvent_t> events;
  std::set<cudaGraph_t> graphs;
  std::set<cudaGraphExec_t> executables;
  std::vector<std::shared_ptr<Capture>> captures;                 // that have not ended
  std::unordered_map<const void*, Kernel*> kernels;               // by host function and by handle
  std::unordered_map<const void*, RegisteredVariable> variables;  // by host address
};

/// The one state of the process; never destroyed.
Runtime& runtime();

/// An error for the caller of the API; `message` is written to stderr once.
struct ApiError {
  cudaError_t code;
  std::string message;
};

/// Throw an ApiError.
[[noreturn]] void refuse(cudaError_t code, const std::string& message);
/// Write one line to stderr.
void complain(const std::string& message);
/// Record a fault of the device: the error stays, and queued work is dropped.
void set_sticky(int error, const std::string& message);

/// Tell whether this thread is inside a host function that a stream runs.
bool inside_host_function();

/// What a call needs before it can do anything.
enum class Needs {
  kNothing,
  kPose,    // a driver that is new enough and a device
  kDevice,  // and a device that has not failed
};

/// Run the body of an API call under the lock; return and record its error.
cudaError_t api(const char* name, Needs needs, const std::function<void()>& body);
inline cudaError_t api(const char* name, const std::function<void()>& body) {
  return api(name, Needs::kDevice, body);
}

/// Throw when the pose is an old driver or no device.
void check_pose();

/// Throw cudaErrorInvalidValue unless `condition` holds.
inline void require(bool condition, const std::string& message) {
  if (!condition) refuse(cudaErrorInvalidValue, message);
}

// ---- Streams and captures (runtime_stream.cpp, runtime_capture.cpp) -----------------------------

/// Return the stream of a handle, default streams included. Throws for a handle nobody made.
cudaStream_t stream_of(cudaStream_t handle);
/// Return "stream 3", "the legacy default stream".
std::string name_of(const CUstream_st& stream);
/// Throw unless the event was made and not destroyed.
cudaEvent_t event_of(cudaEvent_t handle);

/// Queue work on a stream, or add it to the graph that the stream captures.
/// Return the operation, null when captured.
OperationPointer submit(cudaStream_t stream, Work work);
/// Return what must be done before new work of a stream may start.
std::vector<OperationPointer> predecessors(cudaStream_t stream);
/// Queue work on a stream that does not capture, after `others` as well.
OperationPointer submit_after(cudaStream_t stream, Work work,
                              const std::vector<OperationPointer>& others);
/// Do an operation and all that comes before it, as a synchronising call does. Throws the device's
/// error.
void finish(const OperationPointer& operation);
void finish_everything();

/// For calls that conflict with any capture in a mode that forbids them (cudaMalloc and such):
/// invalidate it and throw cudaErrorStreamCaptureUnsupported.
void forbid_while_capturing(const char* call);
/// For synchronising with a stream: throw when it captures.
void forbid_on_capturing(cudaStream_t stream, const char* call);
/// For work of the legacy stream: throw cudaErrorStreamCaptureImplicit when a blocking stream
/// captures.
void forbid_implicit_dependency(cudaStream_t stream);
/// Add a node to the graph that `stream` captures.
cudaGraphNode_t capture_node(cudaStream_t stream, Work work);
/// Make the captured work of `stream` wait for a captured event, or join the stream to the capture.
void capture_wait(cudaStream_t stream, cudaEvent_t event, bool external);

// ---- Kernels (runtime_registration.cpp, runtime_launch.cpp) -------------------------------------

/// Return the kernel of a host function or handle. Throws cudaErrorInvalidDeviceFunction.
Kernel* kernel_of(const void* function);
/// Return the parsed kernel; loads its binary. Throws when there is no code for the device.
const Function& function_of(Kernel& kernel);
/// Return a kernel's registers a thread by the machine code for the device, 0 without it.
int known_registers_of(Kernel& kernel);
/// Return the module of a loaded binary; loads it, which places its variables.
Module& module_of(Binary& binary);
/// Return the device address of a registered variable. Throws cudaErrorInvalidSymbol.
uint64_t address_of_symbol(const void* symbol, size_t* size);
/// Return a mangled name in readable form.
std::string demangle(const std::string& name);
/// Return the kernel's name in readable form.
const std::string& name_of(Kernel& kernel);

/// Check a launch against the device's and the kernel's limits and make it work for a stream.
KernelWork make_kernel_work(Kernel* kernel, dim3 grid, dim3 block, void** arguments,
                            size_t dynamic_shared, bool cooperative);
/// Run a queued kernel; writes the report line. Returns the executor's report.
Report execute_kernel(const KernelWork& work);

// ---- Device (runtime_device.cpp) ----------------------------------------------------------------

/// Limits of the posed device that launches and occupancy are checked against.
struct DeviceLimits {
  int capability = 80;
  int multiprocessors = 108;
  int threads_per_multiprocessor = 2048;
  int blocks_per_multiprocessor = 32;
  int shared_per_multiprocessor = 164 << 10;
  int shared_per_block_optin = 163 << 10;
  int shared_reserved = 1 << 10;
  const char* name = "";
};
const DeviceLimits& device_limits();

/// Return a kernel's registers a thread by its machine code for the device, else an estimate.
int registers_of(Kernel& kernel);
/// Return the warps that fit on one multiprocessor by their registers.
int warps_by_registers(int registers);
/// Return the blocks of a kernel that fit on one multiprocessor at once.
int blocks_per_multiprocessor(Kernel& kernel, int threads, size_t dynamic_shared);

}  // namespace emulator
