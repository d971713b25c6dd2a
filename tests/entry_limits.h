// How large the rounding error of each convolution entry of the CPU may be.
#pragma once

#include <striate/tests/kernel_table.h>

#include <optional>
#include <string>

namespace striate::testing {

/// Return the largest error that an entry of the CPU may make in any case of a table: rms, relative
/// to the rms of the result. Nothing for operations without such limits.
std::optional<double> rms_limit(const std::string& operation, const std::string& entry);

/// Return the nmse that an entry's result for a case may have: the case's limit or the entry's,
/// whichever is less.
double nmse_limit(const Case& c, const kernels::Entry& entry);

}  // namespace striate::testing
