// Activations and their gradients as kernels apply them to a result before storing it.
#pragma once

#include <striate/kernels/activation.h>

#include <cmath>
#include <limits>

namespace striate::cuda {

/// The activations that are straight pieces: below zero times `slope`, at most `cap`. NaN stays.
/// Like its gradient it is written as choices between values, which need no branch.
struct StraightActivation {
  float slope = 1, cap = std::numeric_limits<float>::infinity();

  StraightActivation() = default;
  StraightActivation(Activation activation, double negative_slope)
      : slope(activation == Activation::kRelu || activation == Activation::kRelu6 ? 0
              : activation == Activation::kLeakyRelu ? static_cast<float>(negative_slope)
                                                     : 1),
        cap(activation == Activation::kRelu6 ? 6 : std::numeric_limits<float>::infinity()) {}

  __device__ float operator()(float v) const {
    const float below = slope == 0 ? 0 : slope * v;  // not -inf * 0
    const float y = v < 0 ? below : v;
    return y > cap ? cap : y;
  }
};

/// The gradients of such activations, where their output is `y`: v inside, v * slope elsewhere.
struct StraightGate {
  float slope = 1, above = 0, most = std::numeric_limits<float>::infinity();

  StraightGate() = default;
  explicit StraightGate(const kernels::Gate& gate)
      : slope(gate.activation == Activation::kLeakyRelu ? static_cast<float>(gate.slope) : 0),
        // The gradient at 0 is 0 for relu and 1 for leaky_relu; at 6 it is 0 for relu6.
        above(gate.activation == Activation::kLeakyRelu ? -std::numeric_limits<float>::denorm_min()
                                                        : 0),
        most(gate.activation == Activation::kRelu6 ? std::nextafter(6.0f, 0.0f)
                                                   : std::numeric_limits<float>::infinity()) {}

  __device__ float operator()(float v, float y) const {
    const float outside = slope == 0 ? 0 : slope * v;
    return y > above && y <= most ? v : outside;
  }
};

/// Any activation. Its code is long where loops are unrolled.
struct AnyActivation {
  Activation kind = Activation::kNone;
  StraightActivation straight;

  AnyActivation() = default;
  AnyActivation(Activation activation, double negative_slope)
      : kind(activation), straight(activation, negative_slope) {}

  __device__ float operator()(float v) const {
    if (kind == Activation::kSigmoid) return 1 / (1 + expf(-v));
    if (kind == Activation::kTanh) return tanhf(v);
    return straight(v);
  }
};

/// The gradient of any activation, where its output is `y`.
struct AnyGate {
  Activation kind = Activation::kNone;
  StraightGate straight;

  AnyGate() = default;
  explicit AnyGate(const kernels::Gate& gate) : kind(gate.activation), straight(gate) {}

  __device__ float operator()(float v, float y) const {
    if (kind == Activation::kSigmoid) return v * (y * (1 - y));
    if (kind == Activation::kTanh) return v * (1 - y * y);
    return straight(v, y);
  }
};

}  // namespace striate::cuda
