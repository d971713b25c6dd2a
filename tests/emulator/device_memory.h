// The map of device memory: every allocation by address, for bounds checks and pointer attributes.
#pragma once

#include "machine.h"

namespace emulator {

enum class MemoryKind : u8 { kDevice, kPinned, kManaged, kVariable };

struct Allocation {
  u64 base = 0;
  u64 bytes = 0;
  MemoryKind kind = MemoryKind::kDevice;
  bool freed = false;         // kept for a while, to name uses after free
  u8* initialised = nullptr;  // one byte per byte: 1 once written; null when not tracked
  u64 serial = 0;             // order of allocation, for messages
};

/// Allocate device memory of `bytes`, 256-byte aligned at least, with unmapped or poisoned space
/// around it. With full checks it is poisoned and tracked. Returns null when memory is exhausted.
Allocation* allocate_memory(u64 bytes, MemoryKind kind);

/// The allocation that contains `address`, freed ones included; null if there is none. Safe to call
/// from several threads; the pointer stays valid until the next allocation or release.
Allocation* find_memory(u64 address);

/// The allocation nearest to `address`, for messages; null if there are none at all.
Allocation* nearest_memory(u64 address);

/// Free an allocation by its base address. False if there is no such living allocation.
bool free_memory(u64 base);

}  // namespace emulator
