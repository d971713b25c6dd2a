// Functions of two values with NumPy broadcasting, and the choice between two values.
//
//   a, b -> y   of a's type: add subtract multiply divide maximum minimum power
//   a, b -> y   bool:        equal greater less greater_equal
//   cond, a, b -> y          where: a where cond is not zero, else b
// y's shape is the broadcast of all inputs' shapes. NaN in either input of maximum and minimum
// gives NaN; comparisons with NaN are false. To add a function, add its line to binary_functions.h.
#pragma once

#include <striate/kernels/impl.h>

#include <string>
#include <vector>

namespace striate::kernels {

/// Return the names of all functions a, b -> y of a's type.
std::vector<std::string> binary_operations();
/// Return the names of all functions a, b -> y of bools.
std::vector<std::string> comparison_operations();

}  // namespace striate::kernels
