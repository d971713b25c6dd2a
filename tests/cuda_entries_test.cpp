// No operation of the CPU is missing on CUDA devices.
#include <gtest/gtest.h>
#include <striate/core/plugin.h>
#include <striate/kernels/impl.h>

#include <cstdlib>
#include <string>

namespace striate::kernels {
namespace {

TEST(CudaEntries, ThereIsOneForEachOperationOfTheCpu) {
  const char* device = std::getenv("STRIATE_TEST_DEVICE");
  const bool wanted = device != nullptr && std::string(device) != "cpu";
  const Plugin& plugin = cuda_plugin();
  ASSERT_TRUE(plugin.loaded || !wanted) << plugin.reason << "; " << plugin.fix;

  int checked = 0;
  for (const std::string& operation : operations_with_entries()) {
    // An operation that only devices have needs no reference. A fusion makes dense updates only
    // where a kernel serves them.
    if (entries(operation, DeviceType::kCpu).empty()) continue;
    if (operation == "dense_sgd" || operation == "dense_adam") continue;
    ++checked;
    EXPECT_EQ(entries(operation, DeviceType::kCuda).empty(), !plugin.loaded) << operation;
  }
  EXPECT_GE(checked, 80);
}

}  // namespace
}  // namespace striate::kernels
