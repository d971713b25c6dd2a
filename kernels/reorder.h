// Copies between memory layouts: x in any layout -> y in ReorderOptions::to, padding written zero.
#pragma once

#include <striate/kernels/impl.h>

namespace striate {

struct ReorderOptions {
  Layout to;
};

}  // namespace striate
