// Loops over the lanes of a warp, written so that the compiler vectorises them.
#pragma once

#include <cstring>
#include <tuple>
#include <utility>

#include "machine.h"

namespace emulator {

/// d[lane] = op(sources[lane]...) for the lanes in `mask`. Rows never overlap in part, so the loop
/// carries no dependence.
template <class Op, class D, class... S>
inline void for_lanes(u32 mask, D* d, const S*... sources) {
  const Op op{};
  if (mask == kAllLanes) {
#pragma GCC ivdep
    for (u32 lane = 0; lane < kLanes; ++lane) d[lane] = op(sources[lane]...);
    return;
  }
#pragma GCC ivdep
  for (u32 lane = 0; lane < kLanes; ++lane) {
    const D value = op(sources[lane]...);
    d[lane] = mask >> lane & 1 ? value : d[lane];
  }
}

template <class Op, class D, class... S, size_t... K>
inline void map_rows(Warp& warp, const Instruction& i, std::index_sequence<K...>) {
  for_lanes<Op, D, S...>(warp.mask, warp.row<D>(i.operand[0]),
                         warp.row<const S>(i.operand[K + 1])...);
}

/// Handler: destination operand[0] of type D, sources operand[1...] of types S.
template <class Op, class D, class... S>
void map_lanes(Warp& warp, const Instruction& i) {
  map_rows<Op, D, S...>(warp, i, std::index_sequence_for<S...>{});
}

/// Write the lanes of `warp.mask` of a predicate.
inline void set_predicate(Warp& warp, u32 offset, u32 bits) {
  u32& predicate = warp.predicate(offset);
  predicate = (predicate & ~warp.mask) | (bits & warp.mask);
}

/// Call `body(lane)` for each lane in `mask`, in order.
template <class Body>
inline void each_lane(u32 mask, Body body) {
  for (; mask; mask &= mask - 1) body(static_cast<u32>(__builtin_ctz(mask)));
}

template <class To, class From>
inline To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

}  // namespace emulator
