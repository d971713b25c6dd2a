// Launches: the configuration of <<< >>>, the checks before a kernel is queued, and its execution.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "counters.h"
#include "device_memory.h"
#include "parse.h"
#include "runtime.h"

namespace emulator {
namespace {

struct Configuration {
  dim3 grid, block;
  size_t shared = 0;
  cudaStream_t stream = nullptr;
};
thread_local std::vector<Configuration> configurations;

std::string text_of(dim3 size) {
  return std::to_string(size.x) + " x " + std::to_string(size.y) + " x " + std::to_string(size.z);
}

void check_shape(const std::string& kernel, dim3 grid, dim3 block) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 ||
      grid.z > 65535)
    refuse(cudaErrorInvalidConfiguration,
           kernel + ": a grid of " + text_of(grid) +
               " blocks; each must be at least 1, at most 2147483647 x 65535 x 65535");
  const u64 threads = u64{block.x} * block.y * block.z;
  if (threads == 0 || threads > 1024 || block.x > 1024 || block.y > 1024 || block.z > 64)
    refuse(cudaErrorInvalidConfiguration,
           kernel + ": a block of " + text_of(block) +
               " threads; at least 1 and at most 1024 together, 1024 x 1024 x 64 each");
}

void check_resources(const std::string& name, Kernel& kernel, const Function& function, dim3 block,
                     size_t dynamic_shared) {
  const u32 threads = block.x * block.y * block.z;
  if (function.max_threads && threads > function.max_threads)
    refuse(cudaErrorLaunchOutOfResources, name + ": " + std::to_string(threads) +
                                              " threads a block, but its launch bounds say " +
                                              std::to_string(function.max_threads));
  const int registers = known_registers_of(kernel);
  if (registers > 0 && static_cast<int>(threads + 31) / 32 > warps_by_registers(registers))
    refuse(cudaErrorLaunchOutOfResources, name + ": " + std::to_string(threads) +
                                              " threads a block of " + std::to_string(registers) +
                                              " registers each; a multiprocessor has 65536");
  const auto& required = function.required_threads;
  if (required[0] && (block.x != required[0] || block.y != required[1] || block.z != required[2]))
    refuse(cudaErrorInvalidConfiguration, name + ": a block of " + text_of(block) +
                                              " threads, but the kernel requires " +
                                              text_of({required[0], required[1], required[2]}));
  const size_t shared = function.static_shared + dynamic_shared;
  const size_t limit =
      kernel.dynamic_shared_limit > (48 << 10)
          ? static_cast<size_t>(kernel.dynamic_shared_limit) + function.static_shared
          : size_t{48} << 10;
  if (shared > limit || dynamic_shared > static_cast<size_t>(kernel.dynamic_shared_limit))
    refuse(cudaErrorInvalidValue,
           name + ": " + std::to_string(dynamic_shared) + " bytes of dynamic and " +
               std::to_string(function.static_shared) + " of static shared memory; the limit is " +
               std::to_string(limit) + " (cudaFuncAttributeMaxDynamicSharedMemorySize raises it)");
}

std::vector<std::byte> pack(const Function& function, void** arguments) {
  std::vector<std::byte> packed(function.parameter_bytes);
  for (size_t i = 0; i < function.parameters.size(); ++i) {
    const Parameter& parameter = function.parameters[i];
    require(arguments && arguments[i], "a kernel's argument is a null pointer");
    std::memcpy(packed.data() + parameter.offset, arguments[i], parameter.bytes);
  }
  return packed;
}

bool fails_by_pose(Kernel& kernel) {
  const std::string& part = pose().fail_kernel;
  return !part.empty() && (kernel.name.find(part) != std::string::npos ||
                           name_of(kernel).find(part) != std::string::npos);
}

// Errors that the real runtime finds when the launch is made, not when the kernel runs.
bool found_at_launch(int error) { return error < 700 || error == cudaErrorLaunchOutOfResources; }

std::string where(const Dim3& grid, const Dim3& block) {
  return " of " + text_of({grid.x, grid.y, grid.z}) + " blocks of " +
         text_of({block.x, block.y, block.z}) + " threads";
}

// One write, so that lines of several processes do not mix.
void append_report(const KernelWork& work, const Report& report) {
  static const int file = open(pose().report.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  const auto triple = [](const Dim3& d) {
    return "[" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) +
           "]";
  };
  std::string line = "{\"kernel\": \"" + work.kernel->name + "\", \"name\": \"" +
                     name_of(*work.kernel) + "\", \"grid\": " + triple(work.grid) +
                     ", \"block\": " + triple(work.block) +
                     ", \"dynamic_shared\": " + std::to_string(work.dynamic_shared) +
                     ", \"error\": " + std::to_string(report.error) +
                     ", \"thread_instructions\": " + std::to_string(report.thread_instructions);
  if (report.counters) line += ", \"counters\": " + to_json(*report.counters);
  line += "}\n";
  if (file < 0 || write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    complain("cannot write the report to " + pose().report);
}

}  // namespace

KernelWork make_kernel_work(Kernel* kernel, dim3 grid, dim3 block, void** arguments,
                            size_t dynamic_shared, bool cooperative) {
  const Function& function = function_of(*kernel);
  const std::string name = "kernel `" + name_of(*kernel) + "`";
  check_shape(name, grid, block);
  check_resources(name, *kernel, function, block, dynamic_shared);
  if (fails_by_pose(*kernel) && found_at_launch(pose().fail_error))
    refuse(static_cast<cudaError_t>(pose().fail_error), name + ": a launch made to fail");
  if (cooperative) {
    const int resident = blocks_per_multiprocessor(
        *kernel, static_cast<int>(block.x * block.y * block.z), dynamic_shared);
    const u64 room = static_cast<u64>(resident) * device_limits().multiprocessors;
    if (u64{grid.x} * grid.y * grid.z > room)
      refuse(cudaErrorCooperativeLaunchTooLarge, name + ": a cooperative grid of " + text_of(grid) +
                                                     " blocks; " + std::to_string(room) +
                                                     " fit on the device at once");
  }
  KernelWork work;
  work.kernel = kernel;
  work.grid = {grid.x, grid.y, grid.z};
  work.block = {block.x, block.y, block.z};
  work.dynamic_shared = static_cast<u32>(dynamic_shared);
  work.parameters = pack(function, arguments);
  work.cooperative = cooperative;
  return work;
}

Report execute_kernel(const KernelWork& work) {
  Report report;
  if (fails_by_pose(*work.kernel)) {
    report.error = pose().fail_error;
    report.message = "a launch made to fail";
  } else {
    LaunchRequest request;
    request.module = &module_of(*work.kernel->binary);
    request.kernel = work.kernel->name;
    request.grid = work.grid;
    request.block = work.block;
    request.dynamic_shared = work.dynamic_shared;
    request.parameters = work.parameters;
    request.cooperative = work.cooperative;
    DeviceMemory::Access access;
    report = run(request, environment_settings());
  }
  if (report.error != kSuccess)
    report.message = "kernel `" + name_of(*work.kernel) + "`" + where(work.grid, work.block) +
                     ": " + report.message;
  if (!pose().report.empty()) append_report(work, report);
  return report;
}

}  // namespace emulator

using namespace emulator;

namespace {

void launch(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
            cudaStream_t handle, bool cooperative) {
  cudaStream_t stream = stream_of(handle);
  const OperationPointer launched = submit(
      stream, make_kernel_work(kernel_of(function), grid, block, arguments, shared, cooperative));
  if (launched && pose().launch_blocking) finish(launched);
}

}  // namespace

extern "C" {

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  configurations.push_back({grid, block, shared, stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  return api("__cudaPopCallConfiguration", Needs::kNothing, [&] {
    if (configurations.empty()) refuse(cudaErrorMissingConfiguration, "no configuration pushed");
    const Configuration last = configurations.back();
    configurations.pop_back();
    *grid = last.grid;
    *block = last.block;
    *shared = last.shared;
    *static_cast<cudaStream_t*>(stream) = last.stream;
  });
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               size_t shared, cudaStream_t stream) {
  return api("kernel launch",
             [&] { launch(kernel, grid, block, arguments, shared, stream, false); });
}

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             size_t shared, cudaStream_t stream) {
  return api("cudaLaunchKernel",
             [&] { launch(function, grid, block, arguments, shared, stream, false); });
}

cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block,
                                        void** arguments, size_t shared, cudaStream_t stream) {
  return api("cudaLaunchCooperativeKernel",
             [&] { launch(function, grid, block, arguments, shared, stream, true); });
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function,
                                void** arguments) {
  return api("cudaLaunchKernelExC", [&] {
    require(config, "the configuration is null");
    bool cooperative = false;
    for (unsigned i = 0; i < config->numAttrs; ++i) {
      const cudaLaunchAttribute& attribute = config->attrs[i];
      if (attribute.id == cudaLaunchAttributeCooperative)
        cooperative = attribute.val.cooperative != 0;
      else if (attribute.id == cudaLaunchAttributeClusterDimension &&
               attribute.val.clusterDim.x * attribute.val.clusterDim.y *
                       attribute.val.clusterDim.z !=
                   1)
        refuse(cudaErrorNotSupported, "the stand-in runs no clusters of blocks");
    }
    launch(function, config->gridDim, config->blockDim, arguments, config->dynamicSmemBytes,
           config->stream, cooperative);
  });
}

}  // extern "C"
