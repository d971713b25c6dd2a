// CUB and Thrust under the full checks: right results, and no false alarm.
#include <algorithm>
#include <numeric>
#include <random>

#include "runtime_cub_kernels.h"
#include "runtime_test.h"

namespace emulator {
namespace {

std::vector<int> numbers(size_t count, int below) {
  std::mt19937 random(11);
  std::vector<int> values(count);
  for (int& value : values) value = static_cast<int>(random() % static_cast<unsigned>(below));
  return values;
}

bool blocks() {
  const std::vector<int> x = numbers(96, 100);
  const Ints in(x), out(103);
  if (kernels::cub_blocks(out.data(), in.data()) != cudaSuccess) return false;
  std::vector<int> expected(103);
  for (size_t i = 0; i < 96; ++i) {
    expected[1 + i] = expected[0];
    expected[0] += x[i];
    expected[97 + i / 16] += x[i];
  }
  return out.values() == expected;
}

bool sum() {
  constexpr int n = 70000;
  std::vector<float> x(n);
  const std::vector<int> whole = numbers(n, 8);
  std::copy(whole.begin(), whole.end(), x.begin());
  float *in = nullptr, *out = nullptr, result = 0;
  cudaMalloc(reinterpret_cast<void**>(&in), n * sizeof(float));
  cudaMalloc(reinterpret_cast<void**>(&out), sizeof(float));
  cudaMemcpy(in, x.data(), n * sizeof(float), cudaMemcpyHostToDevice);
  if (kernels::cub_sum(out, in, n) != cudaSuccess) return false;
  cudaMemcpy(&result, out, sizeof(float), cudaMemcpyDeviceToHost);
  return result == std::accumulate(x.begin(), x.end(), 0.0f);
}

bool scan() {
  const std::vector<int> x = numbers(20000, 10);
  const Ints in(x), out(x.size());
  if (kernels::cub_scan(out.data(), in.data(), static_cast<int>(x.size())) != cudaSuccess)
    return false;
  std::vector<int> expected(x.size());
  std::partial_sum(x.begin(), x.end(), expected.begin());
  return out.values() == expected;
}

bool sort_pairs() {
  const std::vector<int> keys = numbers(9000, 1 << 30);
  std::vector<int> order(keys.size());
  std::iota(order.begin(), order.end(), 0);
  const Ints in(keys), places(order), keys_out(keys.size()), places_out(keys.size());
  if (kernels::cub_sort_pairs(reinterpret_cast<unsigned*>(keys_out.data()),
                              reinterpret_cast<const unsigned*>(in.data()), places_out.data(),
                              places.data(), static_cast<int>(keys.size())) != cudaSuccess)
    return false;
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return keys[static_cast<size_t>(a)] > keys[static_cast<size_t>(b)];
  });
  return places_out.values() == order;
}

bool thrust_sort() {
  std::vector<int> bits = numbers(5000, 1 << 30);  // as floats: positive, in the same order
  const Ints data(bits);
  kernels::thrust_sort(reinterpret_cast<float*>(data.data()), static_cast<int>(bits.size()));
  if (cudaDeviceSynchronize() != cudaSuccess) return false;
  std::sort(bits.begin(), bits.end());
  return data.values() == bits;
}

TEST(Cub, IsCleanUnderFullChecks) {
  for (const char* seed : {"1", "2"}) {
    const std::initializer_list<std::pair<const char*, const char*>> full = {
        {"EMULATOR_CHECKS", "full"}, {"EMULATOR_SEED", seed}};
    EXPECT_IN_NEW_PROCESS((full), blocks, "");
    EXPECT_IN_NEW_PROCESS((full), sum, "");
    EXPECT_IN_NEW_PROCESS((full), scan, "");
    EXPECT_IN_NEW_PROCESS((full), sort_pairs, "");
    EXPECT_IN_NEW_PROCESS((full), thrust_sort, "");
  }
}

}  // namespace
}  // namespace emulator
