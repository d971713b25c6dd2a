// Finds the PTX inside the fat binaries that nvcc puts into a program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace emulator {

/// A container that cannot be read; what() says why in a sentence.
struct FatbinError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One entry of a container: PTX text, or machine code that is passed over.
struct FatbinEntry {
  enum Kind { kPtx = 1, kElf = 2 };

  int kind = 0;          // other values are passed over
  int architecture = 0;  // 80 for compute_80 and sm_80
  bool compressed = false;
  const char* data = nullptr;  // the payload, in the container
  size_t size = 0;
};

/// Return the container's bytes behind the wrapper that the registration call is handed.
/// Throws FatbinError when it is no wrapper.
const void* fatbin_of_wrapper(const void* wrapper);

/// List the entries of a container. Throws FatbinError when a header contradicts itself.
std::vector<FatbinEntry> list_entries(const void* container);

struct Ptx {
  std::string text;  // without the zero bytes that end it
  int architecture = 0;
};

/// Return the PTX for a device: the newest that is not newer than `architecture`.
/// Throws FatbinError: no entry fits, or the one that fits is compressed.
Ptx select_ptx(const std::vector<FatbinEntry>& entries, int architecture);

/// Return the machine code that a real device would run, or null: of the same major number and not
/// newer. It may be compressed.
const FatbinEntry* select_code(const std::vector<FatbinEntry>& entries, int architecture);

}  // namespace emulator
