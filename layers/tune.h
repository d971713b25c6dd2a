// The choice of kernels by measurement: `compile` with `tune`.
#pragma once

#include <striate/kernels/impl.h>

namespace striate {

/// Return the entry that does a problem on the CPU in the shortest time, copies of its inputs into
/// other layouts included. Each problem is measured once in a process; nothing is measured where
/// one entry accepts, and on other devices.
kernels::Preferred quickest(const kernels::Problem& problem);

}  // namespace striate
