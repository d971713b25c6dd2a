// Element types, random numbers, devices, memory and tensors.
#include <gtest/gtest.h>
#include <striate/core/plugin.h>
#include <striate/core/random.h>
#include <striate/core/tensor.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <thread>

namespace striate {
namespace {

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

/// Check a 16-bit format with `infinity` as the pattern after its largest number: all patterns
/// round-trip, and between neighbours the nearer one wins, the even one at the midpoint.
void check_format(uint16_t infinity, float (*widen)(uint16_t), uint16_t (*narrow)(float)) {
  for (int bits = 0; bits < 65536; ++bits) {
    const auto pattern = static_cast<uint16_t>(bits);
    const float value = widen(pattern);
    if (std::isnan(value)) {
      EXPECT_GT(pattern & 0x7fff, infinity);
      EXPECT_TRUE(std::isnan(widen(narrow(value)))) << bits;
      EXPECT_EQ(narrow(value) & 0x8000, pattern & 0x8000);
    } else {
      ASSERT_EQ(narrow(value), pattern);
    }
  }
  const float inf = std::numeric_limits<float>::infinity();
  for (int bits = 0; bits < infinity; ++bits)
    for (int sign : {0, 0x8000}) {
      const auto low = static_cast<uint16_t>(bits | sign), high = static_cast<uint16_t>(low + 1);
      const double below = widen(low);
      // Past the largest number the next step of the same size stands for infinity.
      const double above =
          bits + 1 < infinity ? widen(high) : 2 * below - widen(static_cast<uint16_t>(low - 1));
      const auto middle = static_cast<float>((below + above) / 2);
      ASSERT_EQ(middle, (below + above) / 2);
      ASSERT_EQ(narrow(middle), bits % 2 ? high : low) << bits;
      const float away = sign ? -inf : inf;
      ASSERT_EQ(narrow(std::nextafter(middle, away)), high) << bits;
      ASSERT_EQ(narrow(std::nextafter(middle, -away)), low) << bits;
    }
  EXPECT_EQ(narrow(inf), infinity);
  EXPECT_EQ(narrow(-std::numeric_limits<float>::max()), infinity | 0x8000);
  EXPECT_EQ(narrow(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(narrow(-0.0f), 0x8000);
}

TEST(DType, HalfRoundsToNearestEven) { check_format(0x7c00, half_to_float, float_to_half); }

TEST(DType, BFloat16RoundsToNearestEven) {
  // float's smallest number lies at the midpoint grid of subnormal bfloat16, as all others do.
  check_format(0x7f80, bfloat16_to_float, float_to_bfloat16);
}

TEST(DType, KnownNumbers) {
  EXPECT_EQ(half_to_float(0x3c00), 1.0f);
  EXPECT_EQ(half_to_float(0x0001), 0x1p-24f);
  EXPECT_EQ(half_to_float(0x7bff), 65504.0f);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(bfloat16_to_float(0x4049), 3.140625f);
}

TEST(DType, NamesAndSizes) {
  for (const char* name :
       {"float32", "float16", "bfloat16", "uint8", "int32", "int64", "bool", "float64"})
    EXPECT_STREQ(name_of(dtype_from_name(name)), name);
  EXPECT_EQ(size_of(DType::kBF16), 2u);
  EXPECT_THROW(dtype_from_name("float"), DTypeError);
  EXPECT_TRUE(is_floating(DType::kF16));
  EXPECT_FALSE(is_floating(DType::kBool));
}

TEST(Random, PhiloxKnownAnswers) {
  // From kat_vectors of Random123: philox4x32, 10 rounds.
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, HashAndUniform) {
  EXPECT_EQ(hash_of(""), 0xcbf29ce484222325u);  // FNV-1a's published values
  EXPECT_EQ(hash_of("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(hash_of("foobar"), 0x85944171f73967e8u);
  EXPECT_EQ(uniform01(0), 0.0f);
  EXPECT_LT(uniform01(~0u), 1.0f);
}

TEST(Random, StreamsDifferInEachPart) {
  const RandomStream stream{1, hash_of("dropout"), 3};
  const auto words = stream.words(5, 7);
  EXPECT_EQ(words, (RandomStream{1, hash_of("dropout"), 3}.words(5, 7)));
  EXPECT_NE(words, stream.words(6, 7));
  EXPECT_NE(words, stream.words(5, 8));
  EXPECT_NE(words, (RandomStream{2, hash_of("dropout"), 3}.words(5, 7)));
  EXPECT_NE(words, (RandomStream{1, hash_of("other"), 3}.words(5, 7)));
  EXPECT_NE(words, (RandomStream{1, hash_of("dropout"), 4}.words(5, 7)));
}

TEST(Random, NormalNumbersHaveTheirMoments) {
  const RandomStream stream{9, hash_of("normal"), 0};
  double sum = 0, squares = 0;
  constexpr int kGroups = 20000;
  for (uint32_t i = 0; i < kGroups; ++i) {
    const auto words = stream.words(0, i);
    for (const auto& [a, b] : {std::pair(words[0], words[1]), std::pair(words[2], words[3])})
      for (double value : normal_pair(a, b)) {
        ASSERT_TRUE(std::isfinite(value));
        sum += value;
        squares += value * value;
      }
  }
  EXPECT_NEAR(sum / (4 * kGroups), 0, 0.015);  // four standard errors
  EXPECT_NEAR(squares / (4 * kGroups), 1, 0.02);
}

TEST(Device, NamesAreParsed) {
  EXPECT_EQ(device_from_name("cpu"), Device{});
  EXPECT_EQ(Device{}.to_string(), "cpu");
  EXPECT_EQ((Device{DeviceType::kCuda, 1}).to_string(), "cuda:1");
  EXPECT_EQ(devices().front(), Device{});
  EXPECT_FALSE(backend(DeviceType::kCpu).describe(0).empty());
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", "cpu:0", "cuda:99999"})
    EXPECT_THROW(device_from_name(name), DeviceError) << name;
}

TEST(Device, SaysWhyThereIsNoCuda) {
  if (cuda_plugin().loaded) return;  // a machine with CUDA knows the device
  EXPECT_EQ(device_from_name("auto"), Device{});
  const std::string message = message_of([] { device_from_name("cuda"); });
  EXPECT_EQ(message.rfind("device 'cuda' cannot be used: ", 0), 0u) << message;
  EXPECT_NE(message.find(cuda_plugin().fix), std::string::npos) << message;
  EXPECT_FALSE(cuda_plugin().fix.empty());
}

TEST(Memory, IsAlignedAndCounted) {
  const MemoryStats before = memory_stats();
  for (size_t bytes : {0, 1, 63, 64, 65, 1000, 4097, 1 << 20, (2 << 20) + 1, 40 << 20}) {
    const auto buffer = Buffer::allocate(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % 64, 0u);
    EXPECT_EQ(buffer->bytes(), bytes);
    EXPECT_EQ(memory_stats().bytes, before.bytes + static_cast<int64_t>(bytes));
    std::memset(buffer->data(), 0xee, bytes);
  }
  EXPECT_EQ(memory_stats().allocations, before.allocations + 10);
  EXPECT_EQ(memory_stats().bytes, before.bytes);
  EXPECT_GE(memory_stats().peak, before.bytes + (40 << 20));
}

// AddressSanitizer's build keeps freed blocks apart, to see their later use.
#if !defined(__SANITIZE_ADDRESS__)
TEST(Memory, AFreedBlockServesTheNextTensor) {
  const void* first = Buffer::allocate(100000)->data();
  EXPECT_EQ(Buffer::allocate(100000)->data(), first);
}

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

TEST(Memory, ManyShapesDoNotGrowIt) {
  auto touch = [](int64_t n) { Tensor::zeros({n, 14}); };
  for (int64_t n = 1; n < 2000; ++n) touch(n);
  const int64_t before = resident_bytes();
  for (int64_t n = 1; n < 10000; ++n) touch(n);
  EXPECT_LT(resident_bytes() - before, 32 << 20);
}

TEST(Memory, FreedBlocksGoBackToTheSystem) {
  const int64_t before = resident_bytes();
  {
    std::vector<Tensor> many;
    for (int64_t i = 0; i < 40; ++i) many.push_back(Tensor::zeros({1 << 20}));
    EXPECT_GT(resident_bytes() - before, 140 << 20);
  }
  EXPECT_LT(resident_bytes() - before, 80 << 20);  // 64 MiB may wait for the next tensors
}
#endif

TEST(Memory, ThreadsShareTheFreedBlocks) {
  const int64_t before = memory_stats().bytes;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t, &wrong] {
      for (int i = 0; i < 3000; ++i) {
        const Tensor tensor({16 + i % 50, 33}, DType::kU8);
        std::memset(tensor.data(), t, tensor.bytes());
        const auto values = tensor.to_vector<uint8_t>();
        wrong += std::count(values.begin(), values.end(), t) != tensor.elements();
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(memory_stats().bytes, before);
}

TEST(Memory, SaysWhatItCouldNotGet) {
  const std::string message = message_of([] { Tensor({int64_t{1} << 55}, DType::kF32); });
  EXPECT_NE(message.find("144115188075855872 bytes"), std::string::npos) << message;
  EXPECT_THROW(Tensor({int64_t{1} << 55}, DType::kF32), OutOfMemoryError);
}

TEST(Memory, WrappedMemoryIsReleasedOnce) {
  int released = 0;
  float values[4] = {1, 2, 3, 4};
  {
    const Tensor tensor({2, 2}, DType::kF32,
                        Buffer::wrap(values, sizeof values, {}, [&] { ++released; }));
    const Tensor view = tensor.reshape({4}).rows(1, 3);
    EXPECT_EQ(view.to_vector<float>(), (std::vector<float>{2, 3}));
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
}

TEST(Tensor, HoldsAndCopiesValues) {
  const Tensor tensor = Tensor::from<int32_t>({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(tensor.bytes(), 24u);
  const Tensor copy = tensor.clone();
  copy.data_as<int32_t>()[0] = 9;
  EXPECT_EQ(tensor.to_vector<int32_t>()[0], 1);
  EXPECT_EQ(tensor.to(Device{}).data(), tensor.data());
  EXPECT_EQ(Tensor::zeros({3}).to_vector<float>(), (std::vector<float>{0, 0, 0}));
  EXPECT_FALSE(Tensor().defined());
  EXPECT_EQ(Tensor::zeros({0, 5}).elements(), 0);
}

TEST(Tensor, ItemReadsEachType) {
  EXPECT_EQ(Tensor::from<float>({}, {1.5f}).item(), 1.5);
  EXPECT_EQ(Tensor::from<double>({1, 1}, {0.1}).item(), 0.1);
  EXPECT_EQ(Tensor::from<uint8_t>({1}, {200}).item(), 200);
  EXPECT_EQ(Tensor::from<int32_t>({1}, {-3}).item(), -3);
  EXPECT_EQ(Tensor::from<int64_t>({1}, {int64_t{1} << 40}).item(), 0x1p40);
  const uint16_t half = 0x3e00, bfloat = 0x3fc0, yes = 1;
  for (const auto& [dtype, bits, value] : {std::tuple(DType::kF16, half, 1.5),
                                           {DType::kBF16, bfloat, 1.5},
                                           {DType::kBool, yes, 1.0}}) {
    const Tensor tensor({1}, dtype);
    tensor.copy_from_host(&bits);
    EXPECT_EQ(tensor.item(), value);
  }
  EXPECT_THROW(Tensor::zeros({2}).item(), ShapeError);
  EXPECT_THROW(Tensor().item(), ShapeError);
}

TEST(Tensor, RefusesWhatDoesNotFit) {
  const Tensor tensor = Tensor::zeros({4, 2});
  EXPECT_THROW(tensor.data_as<int32_t>(), DTypeError);
  EXPECT_THROW(tensor.to_vector<double>(), DTypeError);
  EXPECT_THROW(tensor.reshape({3, 3}), ShapeError);
  EXPECT_THROW(tensor.reshape({kUnknown, 2}), ShapeError);
  EXPECT_THROW(tensor.rows(3, 5), ShapeError);
  EXPECT_THROW(tensor.rows(-1, 2), ShapeError);
  EXPECT_THROW(tensor.rows(2, 1), ShapeError);
  EXPECT_THROW(Tensor::zeros({}).rows(0, 0), ShapeError);
  EXPECT_THROW(Tensor({kUnknown, 2}, DType::kF32), ShapeError);
  EXPECT_THROW(Tensor({int64_t{1} << 61}, DType::kF32), ShapeError);
  EXPECT_THROW(Tensor({int64_t{1} << 40, int64_t{1} << 40}, DType::kU8), ShapeError);
  EXPECT_THROW(Tensor::from<float>({3}, {1, 2}), ShapeError);
  EXPECT_THROW(Tensor().clone().copy_to_host(nullptr), ShapeError);
  EXPECT_THROW(Tensor().data_as<float>(), ShapeError);
  const auto buffer = Buffer::allocate(16);
  EXPECT_NO_THROW(Tensor({3}, DType::kF32, buffer, 4));
  EXPECT_THROW(Tensor({4}, DType::kF32, buffer, 4), ShapeError);
  EXPECT_THROW(Tensor({0}, DType::kF32, buffer, 20), ShapeError);
  EXPECT_THROW(Tensor({2}, DType::kF32, buffer, 2), ShapeError);
  EXPECT_THROW(Tensor({2}, DType::kF32, nullptr), ShapeError);
  EXPECT_EQ(message_of([&] { tensor.rows(3, 5); }),
            "rows must lie inside the tensor's first size, got rows 3 to 5 of [4, 2].");
}

TEST(Tensor, RowsAndReshapeShareMemory) {
  const Tensor tensor = Tensor::from<float>({3, 2}, {0, 1, 2, 3, 4, 5});
  const Tensor view = tensor.rows(1, 3).rows(1, 2);
  EXPECT_EQ(view.shape(), Shape({1, 2}));
  view.data_as<float>()[1] = 50;
  EXPECT_EQ(tensor.reshape({6}).to_vector<float>(), (std::vector<float>{0, 1, 2, 3, 4, 50}));
  EXPECT_EQ(tensor.rows(3, 3).elements(), 0);
}

TEST(Tensor, PrintsAsNumPyDoes) {
  EXPECT_EQ(Tensor().to_string(), "Tensor()");
  EXPECT_EQ(Tensor::from<float>({}, {2.5f}).to_string(), "Tensor([], float32, cpu)\n2.5");
  EXPECT_EQ(Tensor::from<float>({2, 3}, {1, 2.5, 3, -4, 5, 1.0f / 3}).to_string(),
            "Tensor([2, 3], float32, cpu)\n"
            "[[       1,      2.5,        3],\n"
            " [      -4,        5, 0.333333]]");
  EXPECT_EQ(Tensor::from<int64_t>({1, 2, 1}, {1, 20}).to_string(),
            "Tensor([1, 2, 1], int64, cpu)\n[[[ 1],\n  [20]]]");
  EXPECT_EQ(Tensor::from<int64_t>({2, 1, 1}, {1, 20}).to_string(),
            "Tensor([2, 1, 1], int64, cpu)\n[[[ 1]],\n\n [[20]]]");
  std::vector<int32_t> many(1000);
  for (int i = 0; i < 1000; ++i) many[i] = i;
  EXPECT_EQ(Tensor::from<int32_t>({1000}, many).to_string(),
            "Tensor([1000], int32, cpu)\n[  0,   1,   2, ..., 997, 998, 999]");
  EXPECT_EQ(Tensor::zeros({0, 3}).to_string(), "Tensor([0, 3], float32, cpu)\n[]");
}

TEST(Shape, CountsPrintsAndRefuses) {
  EXPECT_EQ((Shape{kUnknown, 28, kUnknown, 1}).to_string(), "[N, 28, ?, 1]");
  EXPECT_EQ((Shape{2, 3, 4})[-1], 4);
  EXPECT_EQ((Shape{2, 3, 4}).product(1, 3), 12);
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ((Shape{0, int64_t{1} << 62, int64_t{1} << 62}).elements(), 0);
  EXPECT_THROW((Shape{int64_t{1} << 32, int64_t{1} << 32}).elements(), ShapeError);
  EXPECT_THROW((Shape{kUnknown}).elements(), ShapeError);
  EXPECT_THROW((Shape{-2}), ShapeError);
  EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
  EXPECT_TRUE(compatible({kUnknown, 3}, {5, 3}));
  EXPECT_FALSE(compatible({kUnknown, 3}, {5, 4}));
  EXPECT_FALSE(compatible({3}, {3, 1}));
}

}  // namespace
}  // namespace striate
