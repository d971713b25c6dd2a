// Whether a graph treats the rows of a batch apart, and what a row costs.
#pragma once

#include <striate/layers/graph/graph.h>

#include <optional>
#include <vector>

namespace striate {

/// Return the multiply-adds of convolutions and dense layers for one row, if every value in
/// `means` is a mean over the rows of the batch of what depends on one row each; then the mean over
/// equal parts of the batch is the mean of the parts' means. Otherwise, or when an operation is not
/// known to be so, return nothing.
std::optional<double> row_work(const std::vector<Value>& means);

}  // namespace striate
