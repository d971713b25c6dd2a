// Batch normalisation over the last axis (Ioffe and Szegedy 2015), with residual and relu.
//
//   y = act((x - mean) / sqrt(variance + epsilon) * gamma + beta + residual)
//
// Operations and their values (optional ones in brackets); all but x, residual, y, dy, dx are [C]:
//   batch_norm_training            x, gamma, beta, moving_mean, moving_variance, [residual]
//                                    -> y, mean, inv_std, new_moving_mean, new_moving_variance
//   batch_norm_training_backward   x, gamma, mean, inv_std, dy -> dx, dgamma, dbeta
//   batch_norm_inference           x, gamma, beta, moving_mean, moving_variance, [residual] -> y
//   batch_norm_inference_backward  x, gamma, moving_mean, moving_variance, dy -> dx, dgamma, dbeta
// Training takes mean and variance (the biased one, as Keras does) over all axes but the last and
// new_moving = momentum * moving + (1 - momentum) * batch. Backward takes dy before the activation.
// An empty batch has mean 0 and variance 0 and leaves the moving statistics as they are.
#pragma once

#include <striate/kernels/activation.h>
#include <striate/kernels/impl.h>

namespace striate {

struct BatchNormOptions {
  double epsilon = 1e-3;
  double momentum = 0.99;
  Activation activation = Activation::kNone;  // none or relu
};

}  // namespace striate
