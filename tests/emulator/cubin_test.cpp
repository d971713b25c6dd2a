// Files that are no cubin must not be taken for one; the right counts are in
// runtime_launch_test.cpp.
#include "cubin.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>

namespace emulator {
namespace {

TEST(Cubin, OtherFilesTellNothing) {
  const std::string text = "this is no ELF file, though it is long enough to hold a header of one.";
  EXPECT_TRUE(registers_of_cubin(text.data(), text.size()).empty());
  EXPECT_TRUE(registers_of_cubin(nullptr, 0).empty());
  // This program is an ELF file without such a section.
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::string program{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(registers_of_cubin(program.data(), program.size()).empty());
}

TEST(Cubin, SectionsBeyondTheEndAreNotRead) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_shnum = 3;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shoff = 1000000;
  EXPECT_TRUE(registers_of_cubin(reinterpret_cast<const char*>(&header), sizeof header).empty());
}

}  // namespace
}  // namespace emulator
