// CRC-32 as zlib, PNG and Python's `zlib.crc32` compute it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace striate {

/// Return the CRC-32 of `bytes` bytes that follow those whose CRC-32 is `before` (0: none).
uint32_t crc32(const void* data, size_t bytes, uint32_t before = 0);

}  // namespace striate
