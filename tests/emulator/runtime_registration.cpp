// What static constructors of a program register: fat binaries, kernels, variables.
//
// A constructor must not fail, so a binary is only looked at when something of it is used; the
// error comes back from that call, as it does with the real runtime's lazy loading.
#include <cxxabi.h>

#include <cstdlib>

#include "cubin.h"
#include "device_memory.h"
#include "fatbin.h"
#include "parse.h"
#include "runtime.h"

namespace emulator {

struct Binary {
  const void* wrapper = nullptr;
  std::unique_ptr<Module> module;
  std::map<std::string, int> registers;  // by kernel; empty without machine code
  std::vector<std::unique_ptr<Kernel>> kernels;
  std::vector<const void*> host_functions;
  std::vector<const void*> host_variables;
  cudaError_t error = cudaSuccess;  // of an attempt to load
  std::string message;
};

namespace {

// PTX 9.1 comes with CUDA 13.1, and so on; a driver takes what its own CUDA version knows.
void check_ptx_version(const std::string& version) {
  if (!pose().driver_given) return;
  const int minor = pose().driver % 1000 / 10;
  const std::string newest = "9." + std::to_string(minor);
  const auto number = [](const std::string& text) { return std::atof(text.c_str()); };
  if (number(version) > number(newest))
    refuse(cudaErrorUnsupportedPtxVersion,
           "the driver knows PTX up to " + newest + "; this is " + version);
}

void load(Binary& binary) {
  const int architecture = device_limits().capability;
  std::vector<FatbinEntry> entries;
  try {
    entries = list_entries(fatbin_of_wrapper(binary.wrapper));
  } catch (const FatbinError& error) {
    refuse(cudaErrorInvalidKernelImage, error.what());
  }
  Ptx ptx;
  try {
    ptx = select_ptx(entries, architecture);
  } catch (const FatbinError& error) {
    refuse(cudaErrorNoKernelImageForDevice, error.what());
  }
  try {
    binary.module = parse(ptx.text);
  } catch (const std::invalid_argument& error) {
    refuse(cudaErrorInvalidPtx, error.what());
  }
  check_ptx_version(binary.module->version);
  const FatbinEntry* code = select_code(entries, architecture);
  if (code && !code->compressed) binary.registers = registers_of_cubin(code->data, code->size);
  static bool said = false;
  if (code && code->architecture > ptx.architecture && !said) {
    said = true;
    complain("executing PTX for compute_" + std::to_string(ptx.architecture) +
             " where a device would run code for sm_" + std::to_string(code->architecture));
  }
  DeviceMemory::Access access;
  place_variables(*binary.module);
}

Binary* binary_of(void** handle) { return reinterpret_cast<Binary*>(handle); }

}  // namespace

Module& module_of(Binary& binary) {
  if (binary.error != cudaSuccess) refuse(binary.error, binary.message);
  if (binary.module) return *binary.module;
  try {
    load(binary);
  } catch (const ApiError& error) {
    binary.module.reset();
    binary.error = error.code;
    binary.message = error.message;
    throw;
  }
  for (const void* host : binary.host_variables) {
    const RegisteredVariable& variable = runtime().variables.at(host);
    const Variable* placed = binary.module->variable(variable.name);
    if (variable.managed_pointer && placed)
      *variable.managed_pointer = reinterpret_cast<void*>(placed->address);
  }
  return *binary.module;
}

Kernel* kernel_of(const void* function) {
  auto found = runtime().kernels.find(function);
  if (found == runtime().kernels.end())
    refuse(cudaErrorInvalidDeviceFunction, "no kernel was registered for this function");
  return found->second;
}

const Function& function_of(Kernel& kernel) {
  Module& module = module_of(*kernel.binary);
  const Function* function = module.kernel(kernel.name);
  if (!function)
    refuse(cudaErrorInvalidDeviceFunction,
           "kernel `" + name_of(kernel) + "` is not in the PTX of its binary");
  return *function;
}

int known_registers_of(Kernel& kernel) {
  module_of(*kernel.binary);
  auto found = kernel.binary->registers.find(kernel.name);
  return found == kernel.binary->registers.end() ? 0 : found->second;
}

uint64_t address_of_symbol(const void* symbol, size_t* size) {
  auto found = runtime().variables.find(symbol);
  if (found == runtime().variables.end())
    refuse(cudaErrorInvalidSymbol, "no variable was registered at this address");
  const RegisteredVariable& registered = found->second;
  const Variable* variable = module_of(*registered.binary).variable(registered.name);
  if (!variable)
    refuse(cudaErrorInvalidSymbol, "variable `" + demangle(registered.name) +
                                       "` is not in the PTX of its binary (never used?)");
  if (size) *size = registered.size;
  return variable->address;
}

std::string demangle(const std::string& name) {
  int status = 0;
  std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 && text ? text.get() : name;
}

const std::string& name_of(Kernel& kernel) {
  if (kernel.readable.empty()) kernel.readable = demangle(kernel.name);
  return kernel.readable;
}

}  // namespace emulator

using namespace emulator;

extern "C" {

void** __cudaRegisterFatBinary(void* wrapper) {
  auto* binary = new Binary();
  binary->wrapper = wrapper;
  return reinterpret_cast<void**>(binary);
}

void __cudaRegisterFatBinaryEnd(void**) {}

void __cudaUnregisterFatBinary(void** handle) {
  // Kernels that were queued by a program that ends, or a plug-in that is closed, are dropped with
  // it.
  std::lock_guard lock(runtime().mutex);
  Binary* binary = binary_of(handle);
  runtime().queue.drop();
  // Two binaries may hold the same template and register the same host function.
  for (const void* function : binary->host_functions) {
    auto found = runtime().kernels.find(function);
    if (found != runtime().kernels.end() && found->second->binary == binary)
      runtime().kernels.erase(found);
  }
  for (const auto& kernel : binary->kernels) runtime().kernels.erase(kernel.get());
  for (const void* variable : binary->host_variables) runtime().variables.erase(variable);
  if (binary->module)
    for (const Variable& variable : binary->module->variables)
      DeviceMemory::instance().release(variable.address);
  delete binary;
}

void __cudaRegisterFunction(void** handle, const char* host_function, char*, const char* name, int,
                            uint3*, uint3*, dim3*, dim3*, int*) {
  std::lock_guard lock(runtime().mutex);
  Binary* binary = binary_of(handle);
  auto kernel = std::make_unique<Kernel>();
  kernel->binary = binary;
  kernel->name = name;
  runtime().kernels[host_function] = kernel.get();
  runtime().kernels[kernel.get()] = kernel.get();
  binary->host_functions.push_back(host_function);
  binary->kernels.push_back(std::move(kernel));
}

void __cudaRegisterVar(void** handle, char* host_variable, char*, const char* name, int,
                       size_t size, int, int) {
  std::lock_guard lock(runtime().mutex);
  runtime().variables[host_variable] = {binary_of(handle), name, size, nullptr};
  binary_of(handle)->host_variables.push_back(host_variable);
}

void __cudaRegisterManagedVar(void** handle, void** host_pointer, char*, const char* name, int,
                              size_t size, int, int) {
  std::lock_guard lock(runtime().mutex);
  runtime().variables[host_pointer] = {binary_of(handle), name, size, host_pointer};
  binary_of(handle)->host_variables.push_back(host_pointer);
}

void __cudaRegisterHostVar(void**, const char*, char*, size_t) {}

// Called before a managed variable is first used on the host; newer compilers leave it out, so
// their managed variables get their address at the first launch.
char __cudaInitModule(void** handle) {
  return api("__cudaInitModule", [&] { module_of(*binary_of(handle)); }) == cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  return api("__cudaGetKernel", Needs::kNothing, [&] { *kernel = kernel_of(function); });
}

cudaError_t cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  return api("cudaGetKernel", [&] { *kernel = kernel_of(function); });
}

cudaError_t cudaGetFuncBySymbol(cudaFunction_t* function, const void* symbol) {
  return api("cudaGetFuncBySymbol",
             [&] { *function = reinterpret_cast<cudaFunction_t>(kernel_of(symbol)); });
}

cudaError_t cudaGetSymbolAddress(void** address, const void* symbol) {
  return api("cudaGetSymbolAddress", [&] {
    require(address, "the place for the address is null");
    *address = reinterpret_cast<void*>(address_of_symbol(symbol, nullptr));
  });
}

cudaError_t cudaGetSymbolSize(size_t* size, const void* symbol) {
  return api("cudaGetSymbolSize", [&] { address_of_symbol(symbol, size); });
}

}  // extern "C"
