// Functions of one value, element by element, and their gradients.
//
// Operations and their values:
//   relu relu6 leaky_relu sigmoid tanh exp log sqrt rsqrt square abs negative sign reciprocal
//   scale (x * alpha)  shift (x + alpha)  clip (to [-alpha, alpha])          x -> y
//   relu_backward relu6_backward leaky_relu_backward sigmoid_backward tanh_backward   dy, y -> dx
// The gradients take the function's result y, not x: one value less to keep. NaN passes through
// all. To add a function whose gradient follows from y, add its line to unary_functions.h and to
// layers/unary.cpp; one that needs x is an operation of its own.
#pragma once

#include <striate/kernels/impl.h>

#include <string>
#include <vector>

namespace striate {

struct UnaryOptions {
  double alpha = 1;  // of leaky_relu (slope), scale, shift and clip
};

namespace kernels {

/// Return the names of all functions x -> y.
std::vector<std::string> unary_operations();
/// Return the names of all gradients dy, y -> dx.
std::vector<std::string> unary_backward_operations();

}  // namespace kernels
}  // namespace striate
