// Mutants in copies of the process: what becomes of them, and that the original goes on unchanged.
#include "split.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "ptx_program.h"

namespace emulator::test {
namespace {

// Sums 1 to 4 in a loop (guard 0), adds 1 where a guard lets it (guard 1: never).
const char* const kBody =
    "mov.u32 %r10, 0;\nmov.u32 %r11, 0;\nLOOP:\nadd.u32 %r11, %r11, 1;\n"
    "add.u32 %r10, %r10, %r11;\nsetp.lt.u32 %p1, %r11, 4;\n@%p1 bra LOOP;\n"
    "setp.lt.u32 %p2, %r11, 2;\n@%p2 add.u32 %r10, %r10, 1;\nst.global.u32 [%rd0], %r10;";

/// Exit 0 if all is right; a copy exits 3 if its sum is wrong.
int try_mutants() {
  const std::string path = ::testing::TempDir() + "mutants" + std::to_string(getpid());
  std::ofstream(path) << "test none 0 0 20\ntest drop_guard 1 1 20\ntest drop_guard 0 0 1\n"
                         "test drop_guard 0 9 20\nother drop_guard 0 0 20\n";
  setenv("EMULATOR_MUTANTS", path.c_str(), 1);
  for (int launch = 0; launch < 2; ++launch) {
    const Buffer<u32> out(std::vector<u32>(1));
    const Report report =
        execute(kernel_of(kBody, 1), {out.address()}, {}, {{1, 1, 1}, {1, 1, 1}, 0});
    if (report.error != kSuccess || out.values()[0] != 10) return is_split() ? 3 : 1;
    if (is_split() && launch == 1) return 0;
  }
  std::ifstream file(path + ".tried");
  const std::string tried{std::istreambuf_iterator<char>(file), {}};
  return tried == "test:none:0 0\ntest:drop_guard:0 timeout\ntest:drop_guard:1 3\n" ? 0 : 2;
}

TEST(SplitDeathTest, ACopyHasTheMutantAndTheOriginalHasNot) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::_Exit(try_mutants()), ::testing::ExitedWithCode(0), "");
}

/// Exit 0 if the list of what was executed is right.
int list_executed() {
  const std::string path = ::testing::TempDir() + "coverage" + std::to_string(getpid());
  setenv("EMULATOR_COVERAGE", path.c_str(), 1);
  const Buffer<u32> out(std::vector<u32>(1));
  const std::string body = std::string(
                               "setp.eq.u64 %p3, %rd0, %rd0;\n@%p3 bra OVER;\n"
                               "st.global.u32 [%rd0], 1;\nOVER:\n") +
                           kBody;
  execute(kernel_of(body, 1), {out.address()}, {}, {{1, 1, 1}, {1, 1, 1}, 0});
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return text.find("\"executed\": \"21011111\"") != std::string::npos ? 0 : 1;
}

TEST(SplitDeathTest, AGuardMattersWhereItStopsALane) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::_Exit(list_executed()), ::testing::ExitedWithCode(0), "");
}

TEST(SplitDeathTest, WithoutTheFileNothingForks) { EXPECT_EQ(split("test"), nullptr); }

}  // namespace
}  // namespace emulator::test
