// Marks in the emulator's list of what launches execute (EMULATOR_COVERAGE) which test begins, so
// that tools/mutate knows whose launches they are.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace striate::testing {
namespace {

class CoverageMarks : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo& test) override {
    const char* path = std::getenv("EMULATOR_COVERAGE");
    if (!path || !*path) return;
    std::ofstream(path, std::ios::app)
        << "{\"test\": \"" << test.test_suite_name() << '.' << test.name() << "\"}\n";
  }
};

const bool is_listening = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new CoverageMarks);
  return true;
}();

}  // namespace
}  // namespace striate::testing
