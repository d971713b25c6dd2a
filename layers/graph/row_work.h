// Whether a graph treats the rows of a batch apart, and what a row costs.
#pragma once

#include <striate/layers/graph/graph.h>

#include <optional>
#include <vector>

namespace striate {

/// What one row of the batch costs, forward.
struct RowWork {
  double products = 0;  // multiply-adds of convolutions and dense layers
  double bytes = 0;     // of the values that they make
  double weights = 0;   // elements that they multiply by, for all rows together
};

/// Return what a row costs, if every value in `means` is a mean over the rows of the batch of what
/// depends on one row each; then the mean over equal parts of the batch is the mean of the parts'
/// means. Otherwise, or when an operation is not known to be so, return nothing.
std::optional<RowWork> row_work(const std::vector<Value>& means);

}  // namespace striate
