// All functions of one value: each line makes both the reference (double) and direct (float).
#pragma once

#include <striate/kernels/float_functions.h>

#include <cmath>
#include <tuple>
#include <type_traits>

namespace striate::kernels {

template <class F>
struct Named {
  const char* name;
  F function;
};
template <class F>
Named(const char*, F) -> Named<F>;

// clang-format off

/// y = f(x, alpha)
inline constexpr auto kUnaryFunctions = std::make_tuple(
    Named{"relu", []<class T>(T x, T) { return x < 0 ? T(0) : x; }},
    Named{"relu6", []<class T>(T x, T) { return x < 0 ? T(0) : x > 6 ? T(6) : x; }},
    Named{"leaky_relu", []<class T>(T x, T alpha) { return x < 0 ? x * alpha : x; }},
    Named{"sigmoid", []<class T>(T x, T) { return 1 / (1 + exp_of(-x)); }},
    Named{"tanh", []<class T>(T x, T) { return tanh_of(x); }},
    Named{"exp", []<class T>(T x, T) { return exp_of(x); }},
    Named{"log", []<class T>(T x, T) { return std::log(x); }},
    Named{"sqrt", []<class T>(T x, T) { return std::sqrt(x); }},
    Named{"rsqrt", []<class T>(T x, T) { return 1 / std::sqrt(x); }},
    Named{"square", []<class T>(T x, T) { return x * x; }},
    Named{"abs", []<class T>(T x, T) { return std::abs(x); }},
    Named{"negative", []<class T>(T x, T) { return 0 - x; }},  // 0 stays +0, as padding must be
    Named{"sign", []<class T>(T x, T) { return x > 0 ? T(1) : x < 0 ? T(-1) : x; }},
    Named{"reciprocal", []<class T>(T x, T) { return 1 / x; }},
    Named{"scale", []<class T>(T x, T alpha) { return x * alpha; }},
    Named{"shift", []<class T>(T x, T alpha) { return x + alpha; }},
    Named{"clip", []<class T>(T x, T a) { return x > a ? a : x < -a ? -a : x; }});

/// dx = f(dy, y, alpha)
inline constexpr auto kUnaryBackwardFunctions = std::make_tuple(
    Named{"relu_backward", []<class T>(T dy, T y, T) { return y > 0 ? dy : T(0); }},
    Named{"relu6_backward", []<class T>(T dy, T y, T) { return (y > 0) & (y < 6) ? dy : T(0); }},
    Named{"leaky_relu_backward", []<class T>(T dy, T y, T a) { return y < 0 ? dy * a : dy; }},
    Named{"sigmoid_backward", []<class T>(T dy, T y, T) { return dy * (y * (1 - y)); }},
    Named{"tanh_backward", []<class T>(T dy, T y, T) { return dy * (1 - y * y); }});

// clang-format on

}  // namespace striate::kernels
