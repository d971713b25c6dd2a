// The activations, and their gradients, that kernels can apply to their result before storing it.
#pragma once

#include <string>

namespace striate {

enum class Activation { kNone, kRelu, kRelu6, kLeakyRelu, kSigmoid, kTanh };

/// Return `none`, `relu`, `relu6`, `leaky_relu`, `sigmoid` or `tanh`.
const char* name_of(Activation activation);
/// Parse such a name. Throws ShapeError with the names that exist.
Activation activation_from_name(const std::string& name);

namespace kernels {

/// The gradient of an activation that follows an operation's first output v in the graph: the
/// kernel stores v * activation'(u), where its output y = activation(u) tells all of u.
struct Gate {
  Activation activation = Activation::kNone;
  double slope = 0;  // of leaky_relu
  int input = -1;    // the problem's input that is y, of the shape of output 0

  explicit operator bool() const { return activation != Activation::kNone; }
};

}  // namespace kernels
}  // namespace striate
