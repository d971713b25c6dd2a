// Allocation, copies and fills, and what they refuse.
#include <gtest/gtest.h>

#include <cstring>

#include "device_memory.h"
#include "runtime_test.h"

namespace emulator {
namespace {

TEST(Memory, CopiesRoundTrip) {
  const std::vector<int> values{3, 1, 4, 1, 5};
  Ints a(values);
  Ints b(std::vector<int>(5, 0));
  EXPECT_CUDA(cudaMemcpy(b.data() + 1, a.data(), 2 * sizeof(int), cudaMemcpyDeviceToDevice));
  EXPECT_EQ(b.values(), (std::vector<int>{0, 3, 1, 0, 0}));
}

TEST(Memory, FreshMemoryIsPoison) {
  Ints fresh(3);
  EXPECT_EQ(fresh.values(), (std::vector<int>{-1, -1, -1}));
}

TEST(Memory, AddressesAreAlignedToWhatIsPromisedAndNotMore) {
  for (size_t size : {1, 1000, 4096, 100000}) {
    void* memory = nullptr;
    ASSERT_CUDA(cudaMalloc(&memory, size));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 512, 256u) << size;
    EXPECT_CUDA(cudaFree(memory));
  }
}

TEST(Memory, NoBytesAreANullPointer) {
  void* memory = &memory;
  EXPECT_CUDA(cudaMalloc(&memory, 0));
  EXPECT_EQ(memory, nullptr);
  EXPECT_CUDA(cudaFree(nullptr));
  EXPECT_CUDA(cudaMemcpy(nullptr, nullptr, 0, cudaMemcpyDefault));
}

TEST(Memory, OutOfMemoryLeavesTheRestUsable) {
  size_t free_before = 0, total = 0;
  ASSERT_CUDA(cudaMemGetInfo(&free_before, &total));
  EXPECT_EQ(total, size_t{2} << 30);
  void* memory = &memory;
  EXPECT_CUDA_ERROR(cudaMalloc(&memory, total + 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(memory, nullptr);
  Ints small(1000);
  size_t free_after = 0;
  ASSERT_CUDA(cudaMemGetInfo(&free_after, nullptr));
  EXPECT_EQ(free_before - free_after, 4000u);
}

TEST(Memory, FreedTwice) {
  void* memory = nullptr;
  ASSERT_CUDA(cudaMalloc(&memory, 16));
  EXPECT_CUDA(cudaFree(memory));
  EXPECT_CUDA_ERROR(cudaFree(memory), cudaErrorInvalidValue);
}

TEST(Memory, FreedByTheWrongCall) {
  void* pinned = nullptr;
  ASSERT_CUDA(cudaMallocHost(&pinned, 16));
  EXPECT_CUDA_ERROR(cudaFree(pinned), cudaErrorInvalidValue);
  EXPECT_CUDA(cudaFreeHost(pinned));
  Ints device(4);
  EXPECT_CUDA_ERROR(cudaFreeHost(device.data()), cudaErrorInvalidValue);
  EXPECT_CUDA_ERROR(cudaFree(device.data() + 1), cudaErrorInvalidValue);
}

TEST(Memory, CopiesStayInsideTheirAllocations) {
  Ints a(4);
  int host[5] = {};
  EXPECT_CUDA_ERROR(cudaMemcpy(host, a.data(), sizeof host, cudaMemcpyDeviceToHost),
                    cudaErrorInvalidValue);
  EXPECT_CUDA_ERROR(cudaMemcpy(a.data() - 1, host, 4, cudaMemcpyHostToDevice),
                    cudaErrorInvalidValue);
  EXPECT_CUDA_ERROR(cudaMemset(a.data(), 0, sizeof host), cudaErrorInvalidValue);
  EXPECT_CUDA_ERROR(cudaMemset(host, 0, sizeof host), cudaErrorInvalidValue);
}

TEST(Memory, CopyFromFreedMemory) {
  void* memory = nullptr;
  ASSERT_CUDA(cudaMalloc(&memory, 16));
  ASSERT_CUDA(cudaFree(memory));
  int host[4];
  EXPECT_CUDA_ERROR(cudaMemcpy(host, memory, 16, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
}

TEST(Memory, DirectionMustFitThePointers) {
  Ints a(4), b(4);
  int host[4] = {};
  EXPECT_CUDA_ERROR(cudaMemcpy(a.data(), host, 16, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_CUDA_ERROR(cudaMemcpy(host, a.data(), 16, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_CUDA_ERROR(cudaMemcpy(a.data(), b.data(), 16, cudaMemcpyHostToDevice),
                    cudaErrorInvalidValue);
  EXPECT_CUDA_ERROR(cudaMemcpy(a.data(), host, 16, static_cast<cudaMemcpyKind>(9)),
                    cudaErrorInvalidValue);
  EXPECT_CUDA(cudaMemcpy(a.data(), host, 16, cudaMemcpyDefault));
  EXPECT_EQ(a.values(), (std::vector<int>{0, 0, 0, 0}));
}

TEST(Memory, CopiesMustNotOverlap) {
  Ints a(std::vector<int>{1, 2, 3, 4});
  EXPECT_CUDA_ERROR(cudaMemcpy(a.data() + 1, a.data(), 8, cudaMemcpyDeviceToDevice),
                    cudaErrorInvalidValue);
  EXPECT_CUDA(cudaMemcpy(a.data() + 2, a.data(), 8, cudaMemcpyDeviceToDevice));
  EXPECT_EQ(a.values(), (std::vector<int>{1, 2, 1, 2}));
}

TEST(Memory, RowsOfTwoPitches) {
  // Two rows of three ints, out of rows of four into rows of five.
  Ints a(std::vector<int>{1, 2, 3, 0, 4, 5, 6, 0});
  Ints b(std::vector<int>(10, 9));
  EXPECT_CUDA(cudaMemcpy2D(b.data(), 20, a.data(), 16, 12, 2, cudaMemcpyDeviceToDevice));
  EXPECT_EQ(b.values(), (std::vector<int>{1, 2, 3, 9, 9, 4, 5, 6, 9, 9}));
  EXPECT_CUDA(cudaMemset2D(b.data() + 1, 20, 0, 8, 2));
  EXPECT_EQ(b.values(), (std::vector<int>{1, 0, 0, 9, 9, 4, 0, 0, 9, 9}));
  EXPECT_CUDA_ERROR(cudaMemcpy2D(b.data(), 8, a.data(), 16, 12, 2, cudaMemcpyDeviceToDevice),
                    cudaErrorInvalidPitchValue);
}

TEST(Memory, PitchedAllocation) {
  void* memory = nullptr;
  size_t pitch = 0;
  ASSERT_CUDA(cudaMallocPitch(&memory, &pitch, 700, 3));
  EXPECT_EQ(pitch, 1024u);
  EXPECT_CUDA(cudaMemset2D(memory, pitch, 1, 700, 3));
  EXPECT_CUDA(cudaFree(memory));
}

TEST(Memory, AttributesOfPointers) {
  Ints device(4);
  PinnedInts pinned(4);
  void* managed = nullptr;
  ASSERT_CUDA(cudaMallocManaged(&managed, 16, cudaMemAttachGlobal));
  int host = 0;
  const std::pair<const void*, cudaMemoryType> expected[] = {
      {device.data() + 3, cudaMemoryTypeDevice},
      {pinned.data(), cudaMemoryTypeHost},
      {managed, cudaMemoryTypeManaged},
      {&host, cudaMemoryTypeUnregistered}};
  for (auto [pointer, type] : expected) {
    cudaPointerAttributes attributes;
    ASSERT_CUDA(cudaPointerGetAttributes(&attributes, pointer));
    EXPECT_EQ(attributes.type, type);
    EXPECT_EQ(attributes.hostPointer != nullptr, type != cudaMemoryTypeDevice);
    EXPECT_EQ(attributes.devicePointer != nullptr, type != cudaMemoryTypeUnregistered);
  }
  EXPECT_CUDA(cudaFree(managed));
}

TEST(Memory, ManagedMemoryIsWrittenByBothSides) {
  int* managed = nullptr;
  ASSERT_CUDA(cudaMallocManaged(reinterpret_cast<void**>(&managed), 16, cudaMemAttachGlobal));
  managed[0] = 5;
  Ints device(std::vector<int>{1, 2});
  EXPECT_CUDA(cudaMemcpy(managed + 1, device.data(), 8, cudaMemcpyDefault));
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(managed[0], 5);
  EXPECT_EQ(managed[1], 1);
  EXPECT_EQ(managed[2], 2);
  EXPECT_CUDA(cudaFree(managed));
}

TEST(Memory, RegisteredHostMemory) {
  std::vector<int> values(100, 7);
  ASSERT_CUDA(cudaHostRegister(values.data(), 400, cudaHostRegisterDefault));
  EXPECT_CUDA_ERROR(cudaHostRegister(values.data() + 99, 8, cudaHostRegisterDefault),
                    cudaErrorHostMemoryAlreadyRegistered);
  cudaPointerAttributes attributes;
  ASSERT_CUDA(cudaPointerGetAttributes(&attributes, &values[50]));
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  EXPECT_CUDA(cudaHostUnregister(values.data()));
  EXPECT_CUDA_ERROR(cudaHostUnregister(values.data()), cudaErrorHostMemoryNotRegistered);
}

TEST(Memory, PoolAttributesAreKept) {
  cudaMemPool_t pool = nullptr;
  ASSERT_CUDA(cudaDeviceGetDefaultMemPool(&pool, 0));
  uint64_t threshold = UINT64_MAX, read = 0;
  ASSERT_CUDA(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
  ASSERT_CUDA(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &read));
  EXPECT_EQ(read, UINT64_MAX);
  EXPECT_CUDA(cudaMemPoolTrimTo(pool, 0));
  EXPECT_CUDA_ERROR(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &threshold),
                    cudaErrorInvalidValue);
}

TEST(Memory, MemoryOfAStream) {
  Stream stream;
  void* memory = nullptr;
  ASSERT_CUDA(cudaMallocAsync(&memory, 16, stream));
  EXPECT_CUDA(cudaMemsetAsync(memory, 0, 16, stream));
  EXPECT_CUDA(cudaFreeAsync(memory, stream));
  EXPECT_CUDA_ERROR(cudaFreeAsync(memory, stream), cudaErrorInvalidValue);
  EXPECT_CUDA(cudaStreamSynchronize(stream));
  EXPECT_CUDA_ERROR(cudaMemsetAsync(memory, 0, 16, stream), cudaErrorInvalidValue);
}

TEST(Memory, MessagesNameTheAllocation) {
  Ints a(4);
  const DeviceMemory& memory = DeviceMemory::instance();
  const auto base = reinterpret_cast<uint64_t>(a.data());
  EXPECT_NE(memory.describe(base + 20, 4).find("4 bytes past the end of allocation"),
            std::string::npos);
  EXPECT_NE(memory.describe(base + 12, 8).find("the last 4 of them lie past the end"),
            std::string::npos);
  EXPECT_NE(memory.describe(base - 8, 4).find("8 bytes before allocation"), std::string::npos);
  EXPECT_NE(memory.describe(8, 4).find("a null pointer"), std::string::npos);
  int host = 0;
  EXPECT_NE(memory.describe(reinterpret_cast<uint64_t>(&host), 4).find("host memory"),
            std::string::npos);
}

TEST(Memory, FreedMemoryIsKnown) {
  uint64_t address = 0;
  {
    Ints gone(4);
    address = reinterpret_cast<uint64_t>(gone.data());
  }
  EXPECT_NE(DeviceMemory::instance().describe(address, 4).find(", freed"), std::string::npos);
  EXPECT_EQ(DeviceMemory::instance().find(address), nullptr);
}

TEST(MemoryDeathTest, HostCodeMustNotFollowDevicePointers) {
  Ints a(4);
  EXPECT_EXIT(std::_Exit(*static_cast<volatile int*>(a.data())), ::testing::KilledBySignal(SIGSEGV),
              "host code touched device memory.*inside allocation");
}

bool second_allocation_fails() {
  void *a = nullptr, *b = nullptr;
  return cudaMalloc(&a, 600) == cudaSuccess && cudaMalloc(&b, 600) == cudaErrorMemoryAllocation &&
         !b;
}

TEST(MemoryDeathTest, SizeOfTheDevice) {
  EXPECT_IN_NEW_PROCESS(({{"EMULATOR_MEMORY_BYTES", "1000"}}), second_allocation_fails,
                        "600 bytes asked, 400 of 1000 free");
}

}  // namespace
}  // namespace emulator
