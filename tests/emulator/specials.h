// Special registers: %tid.x and its kin, and rows of the machine's own.
#pragma once

#include "machine.h"

namespace emulator {

// clang-format off
enum Special : u32 {
  kTidX, kTidY, kTidZ, kNtidX, kNtidY, kNtidZ, kCtaidX, kCtaidY, kCtaidZ,
  kNctaidX, kNctaidY, kNctaidZ, kLaneId, kWarpId, kNwarpId, kSmId, kNsmId, kGridId,
  kLanemaskEq, kLanemaskLe, kLanemaskLt, kLanemaskGe, kLanemaskGt,
  kDynamicShared, kTotalShared, kZero, kOne,
  kSharedBase,   // generic address of shared offset 0
  kLocalBase,    // generic address of the thread's local memory
  kParameters,   // address of the kernel's parameters
  kClock, kClock64, kGlobalTimer,  // not rows: read when executed
  kSpecials,
};
// clang-format on

/// The special register of that PTX name; kSpecials if unknown.
u32 special_of(std::string_view name);

/// Value of a special register for one lane of a warp.
u64 special_value(u32 special, const Warp& warp, u32 lane);

}  // namespace emulator
