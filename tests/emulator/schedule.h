// How lanes, warps and blocks take turns.
#pragma once

#include "machine.h"

namespace emulator {

/// Run a warp until it has exited, waits at a barrier, or has executed `budget` instructions.
/// Returns false if it could not execute anything.
bool run_warp(Warp& warp, u64 budget);

/// Lanes `taken` of the running group go to `target`, the others of `warp.active` go on.
void branch(Warp& warp, u32 taken, u32 target);

/// Take the lanes of `warp.mask` out of the running group; they become a group of their own that
/// stands at `pc`.
Group& park(Warp& warp, u32 pc);

/// End the threads of `warp.mask`.
void exit_lanes(Warp& warp, const Instruction& instruction);

/// Complete barriers that count all living threads, after some have exited (barriers.cpp).
void settle_barriers(Block& block);

/// One sentence a waiting group, for the report of a deadlock.
std::string describe_waits(const Block& block);

}  // namespace emulator
