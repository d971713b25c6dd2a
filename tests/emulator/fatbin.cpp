// Fat binaries as nvcc 12.8 to 13.5 write them; offsets read off the files themselves.
#include "fatbin.h"

#include <algorithm>
#include <cstring>

namespace emulator {
namespace {

constexpr uint32_t kWrapperMagic = 0x466243b1;
constexpr uint32_t kContainerMagic = 0xba55ed50;
constexpr uint64_t kLz4 = 0x2000;
constexpr uint64_t kZstd = 0x8000;

struct Wrapper {
  uint32_t magic;
  uint32_t version;
  const void* container;
  const void* unused;
};

struct ContainerHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t header_size;
  uint64_t size;
};

struct EntryHeader {
  uint16_t kind;
  uint16_t unknown;
  uint32_t header_size;
  uint64_t size;
  uint32_t compressed_size;
  uint32_t unknown_too;
  uint32_t ptx_version;
  uint32_t architecture;
  uint32_t name_offset;
  uint32_t name_size;
  uint64_t flags;
  uint64_t raw_size;
};
static_assert(sizeof(ContainerHeader) == 16 && sizeof(EntryHeader) == 56);

// Containers are only aligned to what the linker chose.
template <class T>
T read(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

}  // namespace

const void* fatbin_of_wrapper(const void* wrapper) {
  if (!wrapper) throw FatbinError("the registered fat binary is a null pointer");
  const auto header = read<Wrapper>(static_cast<const char*>(wrapper));
  if (header.magic != kWrapperMagic || !header.container)
    throw FatbinError("the registered fat binary does not start with the wrapper's magic number");
  return header.container;
}

std::vector<FatbinEntry> list_entries(const void* container) {
  const char* at = static_cast<const char*>(container);
  const auto header = read<ContainerHeader>(at);
  if (header.magic != kContainerMagic || header.header_size < sizeof(ContainerHeader))
    throw FatbinError("the fat binary's container does not start with its magic number");
  at += header.header_size;
  const char* const end = at + header.size;
  std::vector<FatbinEntry> entries;
  while (end - at >= static_cast<ptrdiff_t>(sizeof(EntryHeader))) {
    const auto entry = read<EntryHeader>(at);
    const auto left = static_cast<uint64_t>(end - at);
    if (entry.header_size < sizeof(EntryHeader) || entry.header_size > left ||
        entry.size > left - entry.header_size)
      throw FatbinError("an entry of the fat binary reaches past the end of its container");
    FatbinEntry found;
    found.kind = entry.kind;
    found.architecture = static_cast<int>(entry.architecture);
    // The flags decide: a payload packed by LZ4 still starts with the letters of a directive.
    found.compressed = (entry.flags & (kLz4 | kZstd)) != 0;
    found.data = at + entry.header_size;
    found.size = entry.size;
    entries.push_back(found);
    at += entry.header_size + entry.size;
  }
  return entries;
}

Ptx select_ptx(const std::vector<FatbinEntry>& entries, int architecture) {
  const FatbinEntry* best = nullptr;
  std::string present;
  for (const FatbinEntry& entry : entries) {
    if (entry.kind != FatbinEntry::kPtx && entry.kind != FatbinEntry::kElf) continue;
    present += (present.empty() ? "" : ", ") +
               std::string(entry.kind == FatbinEntry::kPtx ? "compute_" : "sm_") +
               std::to_string(entry.architecture);
    if (entry.kind != FatbinEntry::kPtx || entry.architecture > architecture) continue;
    if (!best || entry.architecture > best->architecture) best = &entry;
  }
  if (!best)
    throw FatbinError("no PTX for compute_" + std::to_string(architecture) +
                      " or older in the fat binary, which holds: " +
                      (present.empty() ? "nothing (separable compilation?)" : present));
  if (best->compressed)
    throw FatbinError("the PTX for compute_" + std::to_string(best->architecture) +
                      " is compressed; build with nvcc's option --no-compress");
  const char* end = std::find(best->data, best->data + best->size, '\0');
  return {std::string(best->data, end), best->architecture};
}

const FatbinEntry* select_code(const std::vector<FatbinEntry>& entries, int architecture) {
  const FatbinEntry* best = nullptr;
  for (const FatbinEntry& entry : entries) {
    if (entry.kind != FatbinEntry::kElf || entry.architecture / 10 != architecture / 10) continue;
    if (entry.architecture > architecture) continue;
    if (!best || entry.architecture > best->architecture) best = &entry;
  }
  return best;
}

}  // namespace emulator
