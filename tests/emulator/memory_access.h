// Addresses of the lanes and the checks before data move.
#pragma once

#include "decode.h"
#include "lanes.h"

namespace emulator {

/// The space of a memory instruction by its modifiers, which are consumed; kGeneric if none is
/// written. `.param` of both kinds is kParam.
Space take_space(Selection& selection);

/// Consume cache hints, scopes and memory orders that have no meaning here.
void take_hints(Selection& selection);

/// The lanes' addresses of operand[row], whose lanes have 4 or 8 bytes. Lanes that are off get the
/// address of one that is on.
inline void fill_addresses(const Warp& warp, u32 row, u32 width, i64 addend, u64* out) {
  if (width == 4) {
    const u32* base = warp.row<u32>(row);
    const u32 add = static_cast<u32>(addend);
    for (u32 lane = 0; lane < kLanes; ++lane) out[lane] = base[lane] + add;
  } else {
    const u64* base = warp.row<u64>(row);
    const u64 add = static_cast<u64>(addend);
    for (u32 lane = 0; lane < kLanes; ++lane) out[lane] = base[lane] + add;
  }
  if (warp.mask == kAllLanes) return;
  const u64 any = out[__builtin_ctz(warp.mask)];
  for (u32 lane = 0; lane < kLanes; ++lane) out[lane] = warp.mask >> lane & 1 ? out[lane] : any;
}

/// True if all addresses are multiples of `bytes` in [begin, begin + size].
inline bool all_inside(const u64* address, u64 begin, u64 size, u32 bytes) {
  if (size < bytes) return false;
  const u64 last = size - bytes;
  const u64 low = bytes - 1;
  u64 bad = 0;
  for (u32 lane = 0; lane < kLanes; ++lane) {
    bad |= (address[lane] - begin > last ? 1 : 0) | (address[lane] & low);
  }
  return bad == 0;
}

/// The space in which a generic address lies: kShared, kLocal, kParam, else kGlobal.
Space generic_space(const Warp& warp, u64 address);

/// Check an access whose addresses are filled for all lanes, and return what to add to an address
/// to get a host address. Generic accesses are split by space for the observers.
u64 reach(Warp& warp, const Instruction& instruction, Space space, AccessKind kind, u32 bytes,
          const u64* address);

}  // namespace emulator
