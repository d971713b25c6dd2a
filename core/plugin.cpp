#include <dlfcn.h>
#include <striate/core/plugin.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

namespace striate {
namespace {

constexpr const char* kRuntimeName = "libcudart.so.13";
constexpr int kRuntimeVersion = 13;
void* runtime_handle = nullptr;

std::string folder_of_this_library() {
  Dl_info info;
  if (!dladdr(reinterpret_cast<const void*>(&cuda_plugin), &info) || !info.dli_fname) return ".";
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

/// Where a runtime may lie. The plug-in's folder in a Python package is
/// site-packages/striate/lib, so NVIDIA's packages are two folders up.
std::vector<std::string> runtime_places(const std::string& folder) {
  if (const char* chosen = std::getenv("STRIATE_CUDART")) return {chosen};
  std::vector<std::string> places = {kRuntimeName};
  const char* home = std::getenv("CUDA_HOME");
  for (const std::string& toolkit : {std::string(home ? home : ""), std::string("/usr/local/cuda")})
    if (!toolkit.empty()) places.push_back(toolkit + "/lib64/" + kRuntimeName);
  places.push_back(folder + "/../../nvidia/cu13/lib/" + kRuntimeName);
  return places;
}

/// Ask the runtime for a function of no arguments but one int*; -1 where it has none.
int ask(void* handle, const char* name, int* value) {
  const auto function = reinterpret_cast<int (*)(int*)>(dlsym(handle, name));
  return function ? function(value) : -1;
}

/// Write a version as CUDA counts them: 12080 is 12.8.
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

Plugin load() {
  Plugin plugin;
  const std::string folder = folder_of_this_library();
  const std::string library = folder + "/libstriate_cuda.so";
  std::string tried;
  for (const std::string& place : runtime_places(folder)) {
    runtime_handle = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (runtime_handle) {
      plugin.runtime = place;
      break;
    }
    const char* why = dlerror();  // of a file that is there and is no library, say
    const bool is_there = ::access(place.c_str(), F_OK) == 0;
    tried += (tried.empty() ? "" : ", ") + place;
    if (is_there && why) tried += std::string(" (") + why + ")";
  }
  if (!runtime_handle) {
    plugin.reason = "no CUDA runtime in " + tried;
    plugin.fix = "Install CUDA 13, or pip install nvidia-cuda-runtime; device 'cpu' always works";
    return plugin;
  }
  int version = 0;
  const bool is_runtime = ask(runtime_handle, "cudaRuntimeGetVersion", &version) == 0;
  if (version / 1000 != kRuntimeVersion) {
    plugin.reason = is_runtime
                        ? "the CUDA runtime " + plugin.runtime + " is of CUDA " +
                              version_text(version) + ", not " + std::to_string(kRuntimeVersion)
                        : plugin.runtime + " is no CUDA runtime";
    plugin.fix = "Install CUDA 13, or pip install nvidia-cuda-runtime; device 'cpu' always works";
    return plugin;
  }
  int driver = 0, devices = 0;
  const int status = ask(runtime_handle, "cudaGetDeviceCount", &devices);
  ask(runtime_handle, "cudaDriverGetVersion", &driver);
  constexpr int kInsufficientDriver = 35;
  if (status == kInsufficientDriver) {
    plugin.reason = driver == 0 ? "there is no NVIDIA driver"
                                : "the NVIDIA driver serves CUDA " + version_text(driver);
    plugin.fix = "Install NVIDIA's driver 580 or newer; device 'cpu' always works";
    return plugin;
  }
  if (status != 0 || devices == 0) {
    plugin.reason = "the CUDA runtime " + plugin.runtime + " finds no device";
    plugin.fix = "Use device 'cpu', which works everywhere";
    return plugin;
  }
  if (!dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    plugin.reason = dlerror();
    plugin.fix = "Build with STRIATE_CUDA=on; device 'cpu' always works";
    return plugin;
  }
  plugin.loaded = true;
  return plugin;
}

}  // namespace

const Plugin& cuda_plugin() {
  static const auto* plugin = new Plugin(load());  // as long as the process
  return *plugin;
}

void* cuda_runtime_handle() { return runtime_handle; }

}  // namespace striate
