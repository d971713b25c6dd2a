// Operations on concrete tensors: each is a small program, kept for the next call of its kind.
#pragma once

#include <striate/layers/graph/graph.h>

#include <string>
#include <vector>

namespace striate {

/// Run a public operation on tensors (an undefined one: left out); return all its outputs.
/// At most 256 kinds of calls are kept. Throws what the operation's rules throw; DeviceError for
/// tensors on different devices.
std::vector<Tensor> run_operation(const std::string& name, const Json& options,
                                  const std::vector<Tensor>& inputs);

}  // namespace striate
