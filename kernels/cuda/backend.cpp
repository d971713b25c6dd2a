// CUDA devices as the core sees them: memory from the stream-ordered pool, one stream a device,
// work recorded as CUDA graphs.
#include <cuda_runtime_api.h>
#include <striate/core/device.h>
#include <striate/core/error.h>
#include <striate/kernels/cuda/status.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace striate::cuda {
namespace {

/// Forget the error of a call whose caller can do nothing about it, lest the next launch tells it.
void forget(cudaError_t status) {
  if (status != cudaSuccess) cudaGetLastError();
}

class Graph : public Recording {
 public:
  Graph(cudaGraph_t graph, cudaStream_t stream) : stream_(stream) {
    size_t count = 0;
    const cudaError_t counted = cudaGraphGetNodes(graph, nullptr, &count);
    nodes_ = static_cast<int>(count);
    const cudaError_t made = cudaGraphInstantiate(&executable_, graph, 0);
    forget(cudaGraphDestroy(graph));
    check(counted, "a graph's nodes could not be counted");
    check(made, "a recorded step could not be made a graph");
  }
  ~Graph() override { forget(cudaGraphExecDestroy(executable_)); }
  void replay() override {
    check(cudaGraphLaunch(executable_, stream_), "a recorded step could not be launched");
  }
  int nodes() const override { return nodes_; }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t executable_ = nullptr;
  int nodes_ = 0;
};

/// One device: its streams are made, and its pool told to keep what is freed, when it is first
/// used.
struct DeviceState {
  std::once_flag made;
  cudaStream_t stream = nullptr, copies = nullptr;
  cudaEvent_t worked = nullptr, copied = nullptr;
};

/// The stream that this thread records a step on. It is none that others use: what they give the
/// device meanwhile is not of the step.
thread_local cudaStream_t recording_stream = nullptr;

class CudaBackend : public Backend {
 public:
  CudaBackend() {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
    devices_ = std::vector<DeviceState>(static_cast<size_t>(count));
  }

  int count() const override { return static_cast<int>(devices_.size()); }
  void* stream(int index) override { return current(index); }

  void* allocate(size_t bytes, int index) override {
    void* data = nullptr;
    const cudaError_t status =
        cudaMallocAsync(&data, std::max<size_t>(bytes, 1), use(index).stream);
    if (status == cudaSuccess) return data;
    if (status != cudaErrorMemoryAllocation) check(status, "device memory could not be had");
    cudaGetLastError();  // not a fault of the device: it is usable afterwards
    size_t available = 0, total = 0;
    cudaMemGetInfo(&available, &total);
    throw OutOfMemoryError("the GPU's memory has no room",
                           std::to_string(bytes) + " bytes asked, " + std::to_string(available) +
                               " of " + std::to_string(total) + " free",
                           "Use a smaller batch; model.max_batch(bytes) says what fits");
  }

  void release(void* data, size_t, int index) noexcept override {
    forget(cudaFreeAsync(data, devices_[static_cast<size_t>(index)].stream));
  }

  void copy_to_host(void* host, const void* data, size_t bytes, int index) override {
    transfer(host, data, bytes, cudaMemcpyDeviceToHost, index);
    wait(index);
  }
  void copy_from_host(void* data, const void* host, size_t bytes, int index) override {
    transfer(data, host, bytes, cudaMemcpyHostToDevice, index);
    wait(index);
  }
  void copy(void* to, const void* from, size_t bytes, int index) override {
    transfer(to, from, bytes, cudaMemcpyDeviceToDevice, index);
  }
  void upload(void* to, const void* staging, size_t bytes, int index) override {
    transfer(to, staging, bytes, cudaMemcpyHostToDevice, index);
  }
  void download(void* staging, const void* from, size_t bytes, int index) override {
    transfer(staging, from, bytes, cudaMemcpyDeviceToHost, index);
  }

  void upload_beside(void* to, const void* staging, size_t bytes, int index) override {
    const cudaStream_t copies = use(index).copies;
    check(cudaMemcpyAsync(to, staging, bytes, cudaMemcpyHostToDevice, copies), "a copy failed");
  }
  void copies_after_work(int index) override {
    const DeviceState& state = use(index);
    order(state.stream, state.worked, state.copies);
  }
  void work_after_copies(int index) override {
    const DeviceState& state = use(index);
    order(state.copies, state.copied, state.stream);
  }
  void wait_for_copies(int index) noexcept override {
    forget(cudaStreamSynchronize(devices_[static_cast<size_t>(index)].copies));
  }

  void* allocate_staging(size_t bytes, int index) override {
    use(index);
    void* data = nullptr;
    if (cudaMallocHost(&data, std::max<size_t>(bytes, 1)) == cudaSuccess) return data;
    cudaGetLastError();
    throw OutOfMemoryError("the host has no room for staging memory",
                           std::to_string(bytes) + " bytes asked");
  }
  void release_staging(void* data, int) noexcept override { forget(cudaFreeHost(data)); }

  void wait(int index) override {
    check(cudaStreamSynchronize(use(index).stream), "work on the GPU failed");
  }

  std::unique_ptr<Recording> record(const std::function<void()>& work, int index) override {
    const char* graphs = std::getenv("STRIATE_CUDA_GRAPHS");  // 0: launch one by one, to compare
    if (graphs && std::string(graphs) == "0") return nullptr;
    const cudaStream_t stream = use(index).stream;
    cudaStream_t own = nullptr;
    check(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking), "a stream could not be made");
    const std::unique_ptr<CUstream_st, void (*)(cudaStream_t)> owner(
        own, [](cudaStream_t made) { forget(cudaStreamDestroy(made)); });
    check(cudaStreamBeginCapture(own, cudaStreamCaptureModeThreadLocal),
          "a step could not be recorded");
    cudaGraph_t graph = nullptr;
    recording_stream = own;
    try {
      work();
    } catch (...) {
      recording_stream = nullptr;
      if (cudaStreamEndCapture(own, &graph) == cudaSuccess) forget(cudaGraphDestroy(graph));
      cudaGetLastError();
      throw;
    }
    recording_stream = nullptr;
    check(cudaStreamEndCapture(own, &graph), "a step could not be recorded");
    return std::make_unique<Graph>(graph, stream);
  }

  std::string describe(int index) const override {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, index), "the GPU could not be asked");
    return std::string(properties.name) + ", compute capability " +
           std::to_string(properties.major) + "." + std::to_string(properties.minor);
  }

 private:
  DeviceState& use(int index) {
    DeviceState& state = devices_[static_cast<size_t>(index)];
    check(cudaSetDevice(index), "the GPU could not be chosen");
    std::call_once(state.made, [&] { make(state, index); });
    return state;
  }

  void make(DeviceState& state, int index) {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, index), "the GPU could not be asked");
    if (properties.major * 10 + properties.minor < 75)
      throw DeviceError("CUDA devices need compute capability 7.5 or more", describe(index),
                        "Use device 'cpu', which works everywhere");
    cudaMemPool_t pool;
    uint64_t keep = ~uint64_t{0};
    check(cudaDeviceGetDefaultMemPool(&pool, index), "the GPU has no memory pool");
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep),
          "the GPU's memory pool could not be set");
    for (cudaStream_t* stream : {&state.stream, &state.copies})
      check(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), "a stream could not be made");
    for (cudaEvent_t* event : {&state.worked, &state.copied})
      check(cudaEventCreateWithFlags(event, cudaEventDisableTiming), "an event could not be made");
  }

  /// Let what `second` is given from now on begin after what `first` was given so far.
  static void order(cudaStream_t first, cudaEvent_t event, cudaStream_t second) {
    check(cudaEventRecord(event, first), "an event could not be recorded");
    check(cudaStreamWaitEvent(second, event, 0), "a stream could not wait for another");
  }

  /// Return the stream that work of this thread goes to.
  cudaStream_t current(int index) {
    const cudaStream_t usual = use(index).stream;
    return recording_stream ? recording_stream : usual;
  }

  void transfer(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, int index) {
    if (bytes) check(cudaMemcpyAsync(to, from, bytes, kind, current(index)), "a copy failed");
  }

  std::vector<DeviceState> devices_;
};

const bool registered = [] {
  static auto* backend = new CudaBackend;  // as long as the process: buffers are freed at its end
  register_backend(DeviceType::kCuda, backend);
  return true;
}();

}  // namespace
}  // namespace striate::cuda
