// Moves a value from one memory layout to another.
//
// Operations and their values:
//   reorder  x -> y     x lies as the problem says, y in ReorderOptions::to
// Padding up to full blocks is written as zero. Any element type.
#pragma once

#include <striate/core/layout.h>
#include <striate/kernels/impl.h>

namespace striate {

struct ReorderOptions {
  Layout to;
};

}  // namespace striate
