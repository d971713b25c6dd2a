// Random test problems whose seed is printed; STRIATE_TEST_SEED repeats a run.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>

namespace striate::testing {

class PrintedSeed {
 public:
  PrintedSeed() {
    const char* given = std::getenv("STRIATE_TEST_SEED");
    const auto seed = static_cast<uint32_t>(given ? std::atoll(given) : std::time(nullptr));
    std::printf("  STRIATE_TEST_SEED=%u\n", seed);
    random_.seed(seed);
  }
  /// Return a whole number in [0, limit).
  int64_t below(int64_t limit) { return static_cast<int64_t>(random_()) % limit; }
  /// Return a number in [-1, 1).
  double unit() { return static_cast<double>(below(1 << 20)) / (1 << 19) - 1; }

 private:
  std::mt19937 random_;
};

}  // namespace striate::testing
