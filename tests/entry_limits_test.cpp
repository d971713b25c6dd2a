// The error limits of convolution entries: every entry has one, and it refuses what lies above it.
#include <gtest/gtest.h>
#include <striate/tests/conv2d_cases.h>
#include <striate/tests/entry_limits.h>

#include <string>

namespace striate::testing {
namespace {

const char* const kOperations[] = {"conv2d", "conv2d_backward_input", "conv2d_backward_weight"};

TEST(EntryLimits, EveryConvolutionEntryHasOne) {
  for (const char* operation : kOperations)
    for (const auto* entry : kernels::entries(operation, DeviceType::kCpu)) {
      const auto limit = rms_limit(operation, entry->name);
      ASSERT_TRUE(limit) << operation << " " << entry->name;
      EXPECT_LE(*limit, entry->name == "winograd" ? 5e-6 : 3e-6) << operation << " " << entry->name;
    }
  EXPECT_FALSE(rms_limit("matmul", "onednn"));
}

TEST(EntryLimits, AreThoseOfLargeTiles) {
  EXPECT_EQ(rms_limit("conv2d", "winograd"), 3e-6);
  EXPECT_EQ(rms_limit("conv2d_backward_input", "winograd"), 3e-6);
  EXPECT_EQ(rms_limit("conv2d_backward_weight", "winograd"), 5e-6);
}

/// An error just below the limit passes, one just above it does not.
TEST(EntryLimits, RefuseALargerError) {
  for (Case& c : all_directions(dense_case({1, 6, 6, 8, 8})))
    for (const auto* entry : kernels::entries(c.operation, DeviceType::kCpu)) {
      const double limit = *rms_limit(c.operation, entry->name);
      const Values expected = run_entry(c, "reference", draw_inputs(c))[0];
      const auto error_of = [&](double part) {
        Values values = expected;
        for (double& v : values) v *= 1 + part * limit;
        return nmse(values, expected);
      };
      EXPECT_LE(error_of(0.99), nmse_limit(c, *entry)) << entry->name;
      EXPECT_GT(error_of(1.01), nmse_limit(c, *entry)) << entry->name;
      c.limit = 1e-20;  // a case may ask for more
      EXPECT_EQ(nmse_limit(c, *entry), 1e-20);
      c.limit = kLimit;
    }
}

}  // namespace
}  // namespace striate::testing
