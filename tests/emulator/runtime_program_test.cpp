// A program that finds the library by its name and version, as LD_LIBRARY_PATH makes it.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace emulator {
namespace {

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  for (int c = pipe ? std::fgetc(pipe) : EOF; c != EOF; c = std::fgetc(pipe))
    text += static_cast<char>(c);
  if (pipe && pclose(pipe) != 0) text += "failed";
  return text;
}

TEST(Program, RunsUnderTheLibrary) {
  const std::string command =
      std::string("LD_LIBRARY_PATH=") + EMULATOR_FOLDER + " " + EMULATOR_PROGRAM + " 2>&1";
  EXPECT_EQ(output_of(command), "sum of squares 332833500\n");
  EXPECT_EQ(output_of("EMULATOR_CHECKS=full " + command), "sum of squares 332833500\n");
  EXPECT_NE(output_of("EMULATOR_DEVICES=0 " + command).find("no CUDA-capable device is detected"),
            std::string::npos);
}

}  // namespace
}  // namespace emulator
