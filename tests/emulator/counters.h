// What a launch asks of the memory system and of the arithmetic units, as counts.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "machine.h"

namespace emulator {

/// Requests of warps to one kind of memory.
struct Traffic {
  u64 requests = 0;          // warp-instructions
  u64 accesses = 0;          // thread-instructions
  u64 bytes = 0;             // different bytes asked for, request by request
  u64 sectors = 0;           // of 32 bytes, different in their request (global memory)
  u64 ideal_sectors = 0;     // had the bytes of each request been side by side
  u64 wavefronts = 0;        // turns of the 32 banks (shared memory)
  u64 ideal_wavefronts = 0;  // without conflicts: one for each 128 bytes' worth of lanes

  Traffic& operator+=(const Traffic& other);
  u64 conflicts() const { return wavefronts - ideal_wavefronts; }
};

/// A memory instruction of the kernel.
struct Site {
  std::string file;
  u32 line = 0;
  u32 ptx_line = 0;
  std::string text;
  Space space = Space::kGlobal;
  AccessKind kind = AccessKind::kLoad;
  u32 width = 0;  // bytes a thread
  bool asynchronous = false;
  Traffic traffic;
};

struct Counters {
  u64 blocks = 0;       // executed
  u64 grid_blocks = 0;  // of the launch; more than `blocks` when they were sampled
  u64 warps = 0;
  std::map<std::string, u64> instructions;  // thread-instructions by class
  u64 multiply_adds = 0;                    // of fma and mma together
  u64 mma = 0;                              // warp-instructions
  std::vector<Site> sites;

  /// The sum over the sites of a space and kind.
  Traffic total(Space space, AccessKind kind) const;
};

/// The class an instruction counts under: fma, mma, float, special, integer, move, memory,
/// exchange, control.
std::string class_of(std::string_view ptx);

/// Write text as a JSON string; control characters become spaces.
std::string quote(std::string_view text);

/// Write as one JSON object.
std::string to_json(const Counters& counters);

/// Choose `count` blocks of a grid: corners, edges, the middle, and others spread evenly; sorted.
/// All blocks when the grid has no more, or `count` is 0.
std::vector<u64> sample_blocks(Dim3 grid, u64 count);

/// Turns of the banks for one request to shared memory, and the least that its lanes need.
struct Wavefronts {
  u32 needed = 0;
  u32 ideal = 0;
};
Wavefronts count_wavefronts(const u64* address, u32 mask, u32 bytes);

/// Different sectors of one request to global memory, and the least for as many bytes.
struct Sectors {
  u32 touched = 0;
  u32 ideal = 0;
  u32 bytes = 0;
};
Sectors count_sectors(const u64* address, u32 mask, u32 bytes);

}  // namespace emulator
