// First values of weights, drawn on the host by Philox: the same on every device.
#pragma once

#include <striate/layers/graph/options.h>
#include <striate/layers/graph/variable.h>

#include <cstdint>
#include <vector>

namespace striate {

/// Set the seed of later initializations and of models compiled without a seed of their own.
void set_seed(uint64_t seed);
uint64_t current_seed();

/// Give a variable its first value from its `initializer`: a name or {"type": name, options}.
/// Element i depends on the seed, the variable's path and i alone.
/// Throws ShapeError for an unknown initializer or option.
void initialize(Variable& variable, uint64_t seed);

/// Return the schemas of all initializers.
std::vector<const Schema*> initializer_schemas();
/// The check of an option that is an initializer. Throws ShapeError with the names that exist.
Check<Json> is_initializer();

}  // namespace striate
