// What the tests of the runtime share: buffers that free themselves, and work in a fresh process.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <initializer_list>
#include <utility>
#include <vector>

namespace emulator {

/// Expect success, with the error's name when it fails.
#define EXPECT_CUDA(call) EXPECT_STREQ(cudaGetErrorName(call), "cudaSuccess")
#define ASSERT_CUDA(call) ASSERT_STREQ(cudaGetErrorName(call), "cudaSuccess")
/// Expect an error and forget it.
#define EXPECT_CUDA_ERROR(call, error)                                           \
  do {                                                                           \
    EXPECT_STREQ(cudaGetErrorName(call), cudaGetErrorName(error));               \
    EXPECT_STREQ(cudaGetErrorName(cudaGetLastError()), cudaGetErrorName(error)); \
  } while (false)

/// Run `bool body()` in a new process whose environment, `({{"NAME", "value"}})`, is set before the
/// runtime looks at it. It must return true; stderr must match.
#define EXPECT_IN_NEW_PROCESS(environment, body, message)                                   \
  do {                                                                                      \
    GTEST_FLAG_SET(death_test_style, "threadsafe");                                         \
    EXPECT_EXIT((set_environment environment, leave(body())), ::testing::ExitedWithCode(0), \
                message);                                                                   \
  } while (false)

inline void set_environment(std::initializer_list<std::pair<const char*, const char*>> variables) {
  for (auto [name, value] : variables) setenv(name, value, 1);
}

[[noreturn]] inline void leave(bool good) { std::_Exit(good ? 0 : 1); }

/// Device memory of ints.
class Ints {
 public:
  explicit Ints(size_t count) : count_(count) {
    EXPECT_CUDA(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(int)));
  }
  explicit Ints(const std::vector<int>& values) : Ints(values.size()) {
    EXPECT_CUDA(cudaMemcpy(data_, values.data(), bytes(), cudaMemcpyHostToDevice));
    // Only work of blocking streams would come after the copy by itself.
    EXPECT_CUDA(cudaDeviceSynchronize());
  }
  ~Ints() { cudaFree(data_); }
  Ints(const Ints&) = delete;
  Ints& operator=(const Ints&) = delete;

  int* data() const { return data_; }
  size_t bytes() const { return count_ * sizeof(int); }
  std::vector<int> values() const {
    std::vector<int> values(count_);
    EXPECT_CUDA(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  int* data_ = nullptr;
  size_t count_;
};

/// Pinned host memory of ints.
class PinnedInts {
 public:
  explicit PinnedInts(size_t count, int value = 0) : count_(count) {
    EXPECT_CUDA(cudaMallocHost(reinterpret_cast<void**>(&data_), count * sizeof(int)));
    for (size_t i = 0; i < count; ++i) data_[i] = value;
  }
  ~PinnedInts() { cudaFreeHost(data_); }
  PinnedInts(const PinnedInts&) = delete;
  PinnedInts& operator=(const PinnedInts&) = delete;

  int* data() const { return data_; }
  int& operator[](size_t i) const { return data_[i]; }
  size_t bytes() const { return count_ * sizeof(int); }

 private:
  int* data_ = nullptr;
  size_t count_;
};

class Stream {
 public:
  explicit Stream(unsigned int flags = cudaStreamNonBlocking) {
    EXPECT_CUDA(cudaStreamCreateWithFlags(&stream_, flags));
  }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  explicit Event(unsigned int flags = cudaEventDefault) {
    EXPECT_CUDA(cudaEventCreateWithFlags(&event_, flags));
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace emulator
