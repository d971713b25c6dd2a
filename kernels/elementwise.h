// What elementwise entries share: one layout for all values, and the share of each thread.
#pragma once

#include <striate/core/parallel.h>
#include <striate/kernels/impl.h>

#include <string>

namespace striate::kernels {

/// Elements below which a loop is not worth a second thread.
inline constexpr int64_t kElementwiseGrain = 32768;

/// Return the layout that inputs and output of equal shape shall have: that of the first input that
/// is blocked, so that few values move. Dense when shapes differ, and when there is padding, which
/// must stay zero, but the function makes `at_zero` of zeros.
Layout elementwise_layout(const Problem& problem, double at_zero);

/// Prepare an elementwise run in one layout; `y` may take the memory of each input of its size.
Prepared prepare_elementwise(const Problem& problem, const Layout& layout,
                             std::unique_ptr<Kernel> kernel);

/// Return "takes float32, got ..." for the first of the inputs [first, last) of another type.
std::string takes_float32(const Problem& problem, size_t first, size_t last);

/// Make the entry `direct` of the CPU.
Entry direct_entry(std::string operation, std::function<std::string(const Problem&)> declines,
                   std::function<Prepared(const Problem&)> prepare, double efficiency = 0.5);

}  // namespace striate::kernels
