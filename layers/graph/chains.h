// Joins operations that work element by element.
#pragma once

#include <striate/layers/graph/lower.h>

namespace striate {

/// Merge operations that work element by element; part of `fuse` for devices.
void fuse_chains(LoweredGraph& graph);

}  // namespace striate
