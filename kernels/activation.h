// The activations that kernels can apply to their result before storing it.
#pragma once

#include <string>

namespace striate {

enum class Activation { kNone, kRelu, kRelu6, kLeakyRelu, kSigmoid, kTanh };

/// Return `none`, `relu`, `relu6`, `leaky_relu`, `sigmoid` or `tanh`.
const char* name_of(Activation activation);
/// Parse such a name. Throws ShapeError with the names that exist.
Activation activation_from_name(const std::string& name);

}  // namespace striate
