// What happens to a vector of outputs before it is stored.
#pragma once

#include <striate/kernels/simd/conv_kernels.h>
#include <striate/kernels/simd/vector.h>

namespace striate::kernels::simd {

/// Add the residual, apply the activation and store; lanes from `used` on are no channels and stay
/// zero whatever the others are.
template <class V>
void finish(typename V::Reg v, const Finish& f, const float* residual, float* y, int64_t used) {
  if (residual) v = V::add(v, V::load(residual));
  switch (f.activation) {
    case Activation::kRelu:
      v = V::if_negative(v, V::zero());
      break;
    case Activation::kRelu6:
      v = V::at_most(V::if_negative(v, V::zero()), V::broadcast(6));
      break;
    case Activation::kLeakyRelu:
      v = V::if_negative(v, V::multiply(v, V::broadcast(f.slope)));
      break;
    default:
      break;
  }
  V::store(y, V::first_lanes(v, used));
  if (f.curve)
    for (int64_t i = 0; i < used; ++i) y[i] = f.curve(y[i]);
}

/// Copy the bias to a whole number of vectors, `blocks` of them, zero where there is none.
template <class V>
void pad_bias(const Finish& f, int64_t channels, int64_t blocks, float* to) {
  for (int64_t k = 0; k < blocks * V::kLanes; ++k) to[k] = f.bias && k < channels ? f.bias[k] : 0;
}

}  // namespace striate::kernels::simd
