// What the files of tensor-core instructions share.
#pragma once

#include "decode.h"

namespace emulator {

/// Gather the whole warp for a `.sync.aligned` instruction. False: lanes were parked, do nothing.
/// Throws a Fault when lanes of the warp do not exist or have exited.
bool whole_warp(Warp& warp, const Instruction& instruction);

void register_mma();               // tensor.cpp
void register_matrix_transfers();  // tensor_transfer.cpp: ldmatrix stmatrix movmatrix
void register_async_copies();      // tensor_copy.cpp: cp.async

/// Make a decoded cp.async take all bytes of its source, whatever a register says.
void take_all_bytes(Instruction& instruction);

}  // namespace emulator
