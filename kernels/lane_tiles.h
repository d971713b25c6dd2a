// Cuts a run of contiguous lanes into tiles whose width the compiler knows.
#pragma once

#include <striate/kernels/instruction_set.h>

#include <cstdint>
#include <type_traits>

namespace striate::kernels {

/// Call `body(width, first, count)` for tiles of lanes that cover [0, lanes): 16 wide, 8 wide where
/// there are fewer than 16 lanes, and one of `count` < 8 lanes with a width of 0. The last tile may
/// lie over the one before it, so `body` must only assign what it computes from elsewhere.
template <class Body>
STRIATE_INLINE void for_each_tile(int64_t lanes, const Body& body) {
  if (lanes >= 16) {
    for (int64_t l = 0; l < lanes; l += 16)
      body(std::integral_constant<int, 16>(), l + 16 <= lanes ? l : lanes - 16, int64_t{16});
  } else if (lanes >= 8) {
    for (int64_t l = 0; l < lanes; l += 8)
      body(std::integral_constant<int, 8>(), l + 8 <= lanes ? l : lanes - 8, int64_t{8});
  } else if (lanes > 0) {
    body(std::integral_constant<int, 0>(), int64_t{0}, lanes);
  }
}

}  // namespace striate::kernels
