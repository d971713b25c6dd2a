// Philox4x32-10 (Salmon et al., SC 2011): random numbers as a function of a key and a counter.
// What kernels call is constexpr, so that CUDA devices can, too.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace striate {

/// Return four random words for a counter and a key.
constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter,
                                         std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

/// Return the FNV-1a hash of a layer's path and role: the part of a key that names an operation.
constexpr uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

/// Map a word to [0, 1): its upper 24 bits.
constexpr float uniform01(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

/// The random numbers of one operation at one step: element i of sample n is always the same,
/// whatever the number of threads, shards or devices.
struct RandomStream {
  uint64_t seed = 0;
  uint64_t operation = 0;  // hash_of(path and role)
  uint64_t step = 0;

  /// Return the four words of group `group` of sample `sample`.
  constexpr std::array<uint32_t, 4> words(uint64_t sample, uint32_t group) const {
    const uint64_t key = seed ^ operation * 0x9E3779B97F4A7C15;
    return philox({group, static_cast<uint32_t>(sample),
                   static_cast<uint32_t>(sample >> 32) ^ static_cast<uint32_t>(step >> 32),
                   static_cast<uint32_t>(step)},
                  {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)});
  }
};

/// Two normal numbers from two words (Box and Muller 1958).
inline std::array<double, 2> normal_pair(uint32_t a, uint32_t b) {
  const double radius = std::sqrt(-2.0 * std::log((a + 1.0) * 0x1p-32));
  const double angle = 6.283185307179586 * (b * 0x1p-32);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace striate
