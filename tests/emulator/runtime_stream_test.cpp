// Streams and events: what runs when, and in which order.
#include <gtest/gtest.h>

#include <thread>

#include "runtime_test.h"

namespace emulator {
namespace {

// A host function that notes its place in the order.
struct Note {
  std::vector<int>* order;
  int name;
};

void CUDART_CB note(void* data) {
  const Note* note = static_cast<Note*>(data);
  note->order->push_back(note->name);
}

TEST(Streams, WorkIsDeferredUntilSomebodyWaits) {
  Ints device(std::vector<int>{5});
  PinnedInts host(1, 0);
  Stream stream;
  EXPECT_CUDA(cudaMemcpyAsync(host.data(), device.data(), 4, cudaMemcpyDeviceToHost, stream));
  EXPECT_EQ(host[0], 0);
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(host[0], 5);
}

TEST(Streams, PinnedMemoryIsReadLate) {
  Ints device(1);
  PinnedInts host(1, 1);
  Stream stream;
  EXPECT_CUDA(cudaMemcpyAsync(device.data(), host.data(), 4, cudaMemcpyHostToDevice, stream));
  host[0] = 2;
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(device.values()[0], 2);
}

TEST(Streams, PageableMemoryIsStagedAtOnce) {
  Ints device(1);
  int host = 1;
  Stream stream;
  EXPECT_CUDA(cudaMemcpyAsync(device.data(), &host, 4, cudaMemcpyHostToDevice, stream));
  host = 2;
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(device.values()[0], 1);
}

TEST(Streams, CopiesToPageableMemoryWait) {
  Ints device(std::vector<int>{5});
  int host = 0;
  Stream stream;
  EXPECT_CUDA(cudaMemcpyAsync(&host, device.data(), 4, cudaMemcpyDeviceToHost, stream));
  EXPECT_EQ(host, 5);
}

TEST(Streams, WaitingForOneStreamLeavesOthers) {
  Stream one, two;
  std::vector<int> order;
  Note first{&order, 1}, second{&order, 2};
  EXPECT_CUDA(cudaLaunchHostFunc(one, note, &first));
  EXPECT_CUDA(cudaLaunchHostFunc(two, note, &second));
  EXPECT_CUDA(cudaStreamSynchronize(two));
  EXPECT_EQ(order, (std::vector<int>{2}));
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(order, (std::vector<int>{2, 1}));
}

TEST(Streams, AnEventOrdersTwoStreams) {
  Stream one, two;
  Event event(cudaEventDisableTiming);
  std::vector<int> order;
  Note first{&order, 1}, second{&order, 2}, third{&order, 3};
  EXPECT_CUDA(cudaLaunchHostFunc(one, note, &first));
  EXPECT_CUDA(cudaEventRecord(event, one));
  EXPECT_CUDA(cudaLaunchHostFunc(one, note, &third));
  EXPECT_CUDA(cudaStreamWaitEvent(two, event, 0));
  EXPECT_CUDA(cudaLaunchHostFunc(two, note, &second));
  EXPECT_CUDA(cudaStreamSynchronize(two));
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_CUDA(cudaDeviceSynchronize());
}

TEST(Streams, AnEventIsThePointOfItsLastRecord) {
  Stream one, two;
  Event event;
  std::vector<int> order;
  Note first{&order, 1}, second{&order, 2}, third{&order, 3};
  EXPECT_CUDA(cudaEventRecord(event, one));
  EXPECT_CUDA(cudaStreamWaitEvent(two, event, 0));  // of the first record
  EXPECT_CUDA(cudaLaunchHostFunc(one, note, &first));
  EXPECT_CUDA(cudaEventRecord(event, one));
  EXPECT_CUDA(cudaLaunchHostFunc(two, note, &second));
  EXPECT_CUDA(cudaStreamSynchronize(two));
  EXPECT_EQ(order, (std::vector<int>{2}));
  EXPECT_CUDA(cudaStreamWaitEvent(two, event, 0));
  EXPECT_CUDA(cudaLaunchHostFunc(two, note, &third));
  EXPECT_CUDA(cudaStreamSynchronize(two));
  EXPECT_EQ(order, (std::vector<int>{2, 1, 3}));
}

TEST(Streams, TheLegacyStreamWaitsForBlockingStreams) {
  Stream blocking(cudaStreamDefault), free_stream(cudaStreamNonBlocking);
  std::vector<int> order;
  Note one{&order, 1}, two{&order, 2}, three{&order, 3}, four{&order, 4};
  EXPECT_CUDA(cudaLaunchHostFunc(blocking, note, &one));
  EXPECT_CUDA(cudaLaunchHostFunc(free_stream, note, &two));
  EXPECT_CUDA(cudaLaunchHostFunc(nullptr, note, &three));
  EXPECT_CUDA(cudaLaunchHostFunc(blocking, note, &four));
  EXPECT_CUDA(cudaStreamSynchronize(blocking));
  EXPECT_EQ(order, (std::vector<int>{1, 3, 4}));
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(order.size(), 4u);
}

TEST(Streams, ThePerThreadStreamIsABlockingStreamOfItsThread) {
  std::vector<int> order;
  Note one{&order, 1}, two{&order, 2}, three{&order, 3};
  EXPECT_CUDA(cudaLaunchHostFunc(cudaStreamPerThread, note, &one));
  std::thread([&] {
    EXPECT_CUDA(cudaLaunchHostFunc(cudaStreamPerThread, note, &two));
    EXPECT_CUDA(cudaStreamSynchronize(cudaStreamPerThread));
  }).join();
  EXPECT_EQ(order, (std::vector<int>{2}));
  EXPECT_CUDA(cudaLaunchHostFunc(cudaStreamLegacy, note, &three));
  EXPECT_CUDA(cudaStreamSynchronize(nullptr));
  EXPECT_EQ(order, (std::vector<int>{2, 1, 3}));
}

TEST(Streams, PollingEnds) {
  Stream stream;
  std::vector<int> order;
  Note one{&order, 1}, two{&order, 2};
  EXPECT_CUDA(cudaLaunchHostFunc(stream, note, &one));
  EXPECT_CUDA(cudaLaunchHostFunc(stream, note, &two));
  int questions = 1;
  while (cudaStreamQuery(stream) == cudaErrorNotReady) ++questions;
  EXPECT_EQ(cudaGetLastError(), cudaErrorNotReady);
  EXPECT_EQ(questions, 3);
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(Streams, HandlesAreChecked) {
  cudaStream_t stream = nullptr;
  ASSERT_CUDA(cudaStreamCreate(&stream));
  ASSERT_CUDA(cudaStreamDestroy(stream));
  EXPECT_CUDA_ERROR(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
  EXPECT_CUDA_ERROR(cudaStreamDestroy(nullptr), cudaErrorInvalidResourceHandle);
  EXPECT_CUDA_ERROR(cudaEventRecord(nullptr, nullptr), cudaErrorInvalidResourceHandle);
  EXPECT_CUDA_ERROR(cudaStreamCreateWithFlags(&stream, 8), cudaErrorInvalidValue);
}

TEST(Streams, WorkOutlivesItsStream) {
  Ints device(std::vector<int>{5});
  PinnedInts host(1, 0);
  {
    Stream stream;
    EXPECT_CUDA(cudaMemcpyAsync(host.data(), device.data(), 4, cudaMemcpyDeviceToHost, stream));
  }
  EXPECT_EQ(host[0], 0);
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(host[0], 5);
}

TEST(Streams, Priorities) {
  int least = 9, greatest = 9, priority = 9;
  ASSERT_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  EXPECT_EQ(least, 0);
  EXPECT_EQ(greatest, -5);
  cudaStream_t stream = nullptr;
  ASSERT_CUDA(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, -100));
  EXPECT_CUDA(cudaStreamGetPriority(stream, &priority));
  EXPECT_EQ(priority, -5);
  EXPECT_CUDA(cudaStreamDestroy(stream));
}

TEST(Streams, HostFunctionsMustNotCallTheRuntime) {
  Stream stream;
  cudaError_t inside = cudaSuccess;
  EXPECT_CUDA(cudaLaunchHostFunc(
      stream, [](void* data) { *static_cast<cudaError_t*>(data) = cudaDeviceSynchronize(); },
      &inside));
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(inside, cudaErrorNotPermitted);
  cudaGetLastError();
}

TEST(Streams, CallbacksGetStreamAndStatus) {
  struct Seen {
    cudaStream_t stream = nullptr;
    cudaError_t status = cudaErrorUnknown;
  } seen;
  Stream stream;
  EXPECT_CUDA(cudaStreamAddCallback(
      stream,
      [](cudaStream_t s, cudaError_t status, void* data) {
        *static_cast<Seen*>(data) = {s, status};
      },
      &seen, 0));
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(seen.stream, static_cast<cudaStream_t>(stream));
  EXPECT_EQ(seen.status, cudaSuccess);
}

TEST(Streams, AQueueIsNotEndless) {
  Stream stream;
  std::vector<int> order;
  Note one{&order, 1};
  EXPECT_CUDA(cudaLaunchHostFunc(stream, note, &one));
  for (int i = 0; i < 1100; ++i)
    EXPECT_CUDA(cudaLaunchHostFunc(
        stream, [](void*) {}, nullptr));
  EXPECT_EQ(order, (std::vector<int>{1}));
}

TEST(Events, QueryAndTime) {
  Stream stream;
  Event start, end, never, untimed(cudaEventDisableTiming);
  EXPECT_CUDA(cudaEventQuery(never));
  EXPECT_CUDA(cudaEventRecord(start, stream));
  EXPECT_CUDA(cudaLaunchHostFunc(
      stream, [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(3)); }, nullptr));
  EXPECT_CUDA(cudaEventRecord(end, stream));
  float milliseconds = -1;
  EXPECT_CUDA_ERROR(cudaEventElapsedTime(&milliseconds, start, end), cudaErrorNotReady);
  EXPECT_CUDA_ERROR(cudaEventQuery(end), cudaErrorNotReady);
  EXPECT_CUDA(cudaEventSynchronize(end));
  EXPECT_CUDA(cudaEventQuery(end));
  EXPECT_CUDA(cudaEventElapsedTime(&milliseconds, start, end));
  EXPECT_GE(milliseconds, 3.0f);
  EXPECT_LT(milliseconds, 1000.0f);
  EXPECT_CUDA_ERROR(cudaEventElapsedTime(&milliseconds, start, never),
                    cudaErrorInvalidResourceHandle);
  EXPECT_CUDA(cudaEventRecord(untimed, stream));
  EXPECT_CUDA_ERROR(cudaEventElapsedTime(&milliseconds, start, untimed),
                    cudaErrorInvalidResourceHandle);
}

TEST(Streams, CudaMemcpyDoesNotWaitForDeviceMemory) {
  // Documented, and a trap: pageable memory is staged, and the copy itself is only ordered for
  // streams that wait for the default stream.
  Ints device(std::vector<int>{1});
  PinnedInts seen(1, 0);
  EXPECT_CUDA(cudaDeviceSynchronize());
  const int two = 2;
  EXPECT_CUDA(cudaMemcpy(device.data(), &two, 4, cudaMemcpyHostToDevice));
  Stream nonblocking;
  EXPECT_CUDA(cudaMemcpyAsync(seen.data(), device.data(), 4, cudaMemcpyDeviceToHost, nonblocking));
  EXPECT_CUDA(cudaStreamSynchronize(nonblocking));
  EXPECT_EQ(seen[0], 1);
  EXPECT_EQ(device.values()[0], 2);
}

}  // namespace
}  // namespace emulator
