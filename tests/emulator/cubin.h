// Reads from machine code what only ptxas knows of a kernel: its registers.
#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace emulator {

/// Return the registers a thread of each kernel of a cubin (an ELF file), by mangled name. Empty
/// when the file is not understood: the registers are then unknown.
std::map<std::string, int> registers_of_cubin(const char* data, size_t size);

}  // namespace emulator
