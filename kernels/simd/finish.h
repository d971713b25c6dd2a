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

/// What most outputs need: nothing, relu, or all that `finish` does.
enum class End { kPlain, kRelu, kAny };

template <class V>
End end_of(const Finish& f, int64_t used) {
  if (f.residual || used < V::kLanes) return End::kAny;
  return f.activation == Activation::kNone   ? End::kPlain
         : f.activation == Activation::kRelu ? End::kRelu
                                             : End::kAny;
}

template <class V, End kEnd>
void finish(typename V::Reg v, const Finish& f, const float* residual, float* y, int64_t used) {
  if constexpr (kEnd == End::kAny) return finish<V>(v, f, residual, y, used);
  if constexpr (kEnd == End::kRelu) v = V::if_negative(v, V::zero());
  V::store(y, v);
}

/// Copy the bias to a whole number of vectors, `blocks` of them, zero where there is none.
template <class V>
void pad_bias(const Finish& f, int64_t channels, int64_t blocks, float* to) {
  for (int64_t k = 0; k < blocks * V::kLanes; ++k) to[k] = f.bias && k < channels ? f.bias[k] : 0;
}

}  // namespace striate::kernels::simd
