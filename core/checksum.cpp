// Eight bytes a step with eight tables ("slicing-by-8", Kounavis and Berry 2005).
#include <striate/core/checksum.h>

#include <array>
#include <bit>
#include <cstring>

namespace striate {
namespace {

static_assert(std::endian::native == std::endian::little);

using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    tables[0][byte] = crc;
  }
  for (size_t t = 1; t < 8; ++t)
    for (uint32_t byte = 0; byte < 256; ++byte)
      tables[t][byte] = tables[t - 1][byte] >> 8 ^ tables[0][tables[t - 1][byte] & 255];
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

uint32_t crc32(const void* data, size_t bytes, uint32_t before) {
  const auto* place = static_cast<const uint8_t*>(data);
  uint32_t crc = ~before;
  for (; bytes >= 8; bytes -= 8, place += 8) {
    uint64_t word;
    std::memcpy(&word, place, 8);
    word ^= crc;
    crc = 0;
    for (size_t t = 0; t < 8; ++t) crc ^= kTables[7 - t][word >> 8 * t & 255];
  }
  for (; bytes > 0; --bytes, ++place) crc = crc >> 8 ^ kTables[0][(crc ^ *place) & 255];
  return ~crc;
}

}  // namespace striate
