// Sums and maxima over any axes of a value on CUDA devices, in an order that never changes.
#pragma once

#include <striate/core/dtype.h>
#include <striate/kernels/impl.h>
#include <striate/kernels/reduce.h>

#include <cstdint>
#include <striate/kernels/strides.cuh>
#include <vector>

namespace striate::cuda {

/// One reduction of dense values: its plan is made once, then it runs with any pointers.
class Reduction {
 public:
  enum class Kind { kSum, kMax };

  /// Reduce the axes of `shape` that are true in `reduced`; results are multiplied by `factor`.
  Reduction(Kind kind, const Shape& shape, const std::vector<bool>& reduced, float factor = 1);

  /// Return the bytes of workspace.
  size_t workspace() const;
  /// Launch it on input 0 and output 0, both of type `dtype`. Throws KernelError.
  void run(const char* name, DType dtype, const kernels::Arguments& arguments) const;

 private:
  Kind kind_;
  float factor_;
  kernels::ReduceShape sizes_;
  int64_t chunks_ = 1;  // of the reduced axis; more than one: two passes
  /// Where the reduced axes are apart: the walks over the results and over what each adds.
  Strides<1> kept_, reduced_;
};

}  // namespace striate::cuda
