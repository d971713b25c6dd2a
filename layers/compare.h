// Every kernel that could do the work of a program, timed and checked: what the compare tool shows.
#pragma once

#include <striate/core/json.h>
#include <striate/core/tensor.h>
#include <striate/layers/graph/plan.h>

#include <functional>
#include <string>
#include <vector>

namespace striate {

struct CompareOptions {
  /// Names of entries or operations, or parts of layers' paths; empty: everything.
  std::vector<std::string> only;
  double seconds = 0.08;       // for which one entry is timed, at least three runs; 0: not at all
  double checked_flops = 4e9;  // above it a convolution is checked on fewer images of the batch
  std::function<void(const std::string&)> progress;  // told each row before it is measured
};

/// Run all entries of each kernel of the plan on random data and compare them with the CPU's
/// `reference`, which is a candidate on every device. An activation's gradient that the plan has
/// fused into a kernel is left out: all entries do the same work.
/// Returns rows {layer, operation, direction, dtype, shape, inputs, checked_batch, chosen,
/// candidates: [{name, status, reason, milliseconds, estimate_ms, roofline_percent,
/// workspace_bytes, nmse, max_ulp}]}. Equal problems are measured once. Caches are warm.
Json compare_kernels(const Plan& plan, const CompareOptions& options);

/// Say for each entry of an operation whether it accepts a problem with these inputs (dense ones;
/// an undefined type is an input left out): [{name, accepts, reason}]. Throws what `infer` throws.
Json accepting_kernels(const std::string& operation, const Json& options,
                       const std::vector<Type>& inputs, const std::vector<bool>& present,
                       Device device);

}  // namespace striate
