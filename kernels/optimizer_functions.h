// The steps of the optimizers on one element: the CPU's loops and CUDA kernels call the same.
#pragma once

#include <striate/kernels/optimizer.h>

#include <cmath>

namespace striate::kernels {

struct SgdStep {
  float lr, keep, momentum;  // keep: 1 - lr * weight_decay
  float scale;               // of g
};

[[gnu::always_inline]] constexpr void sgd_step(float& w, float g, const SgdStep& s) {
  w = w * s.keep - s.lr * s.scale * g;
}

[[gnu::always_inline]] constexpr void momentum_step(float& w, float g, float& v, const SgdStep& s) {
  v = s.momentum * v - s.lr * s.scale * g;
  w = w * s.keep + v;
}

[[gnu::always_inline]] constexpr void nesterov_step(float& w, float g, float& v, const SgdStep& s) {
  const float step = s.lr * s.scale * g;
  v = s.momentum * v - step;
  w = w * s.keep + (s.momentum * v - step);
}

struct AdamStep {
  float rate, keep;  // rate: of the corrected step
  float one_minus_beta_1, one_minus_beta_2, epsilon;
  float scale;
};

/// `T` is float; a template, so that it may call what is not constexpr on the host.
template <class T>
[[gnu::always_inline]] constexpr void adam_step(T& w, T g, T& m, T& v, const AdamStep& s) {
  const T gradient = g * s.scale;
  m += s.one_minus_beta_1 * (gradient - m);
  v += s.one_minus_beta_2 * (gradient * gradient - v);
  w = w * s.keep - s.rate * m / (std::sqrt(v) + s.epsilon);
}

}  // namespace striate::kernels
