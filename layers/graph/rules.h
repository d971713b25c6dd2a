// Checks that the rules of many operations share, and steps that their gradients share.
#pragma once

#include <striate/kernels/activation.h>
#include <striate/layers/graph/graph.h>

#include <string>
#include <vector>

namespace striate {

/// Check that the inputs named are float32 or float64, all like the first one; an empty name and an
/// input that is left out are passed over. Throws DTypeError.
void need_floats(const Signature& signature, const std::vector<std::string>& names);
/// The same with float16 and bfloat16, for which there are kernels on CUDA devices.
void need_floats_or_halves(const Signature& signature, const std::vector<std::string>& names);
/// Return whether a value's elements are float32, float16 or bfloat16.
bool is_narrow_float(const Value& value);
/// Check a shape's rank. `rule` says what the value is: "images are [N, height, width, channels]".
void need_rank(const Shape& shape, int rank, const std::string& rule);
/// Check that `shape` can be `wanted`; unknown sizes fit all. `what` opens the rule: "dy must be".
void need_shape(const std::string& what, const Shape& shape, const Shape& wanted);
/// Return the axis counted from 0. Throws ShapeError for one outside [-rank, rank).
int need_axis(int axis, int rank);

/// Make an output's type. Throws ShapeError when the sizes' product is above 2^62, whatever the
/// unknown ones will be.
Type checked_type(const Shape& shape, DType dtype);
/// Return the shape that NumPy's broadcasting gives; an unknown size yields to a known one above 1.
/// Throws ShapeError for shapes that do not fit.
Shape broadcast_shape(const Shape& a, const Shape& b);

/// Make a constant of rank 0.
Value number(double value, DType dtype);
/// Return dy before an activation, from dy after it and the activation's result y.
Value before_activation(Activation activation, double slope, const Value& dy, const Value& y);
/// Return `gradient` summed over the axes along which `input` was broadcast.
Value sum_to(const Value& gradient, const Value& input);
/// Return x with the shape of another value, which may be unknown yet.
Value reshape_to(const Value& x, const Value& like);
/// Check that no gradient comes in through the outputs from `first` on. Throws Error.
void need_no_gradient(const Node& node, const std::vector<Value>& gradients, size_t first);

}  // namespace striate
