// The table of all functions of two values; reference and direct come from one line.
#pragma once

#include <striate/kernels/unary_functions.h>

#include <cmath>
#include <tuple>

namespace striate::kernels {

// clang-format off

inline constexpr auto kBinaryFunctions = std::make_tuple(
    Named{"add", []<class T>(T a, T b) { return a + b; }},
    Named{"subtract", []<class T>(T a, T b) { return a - b; }},
    Named{"multiply", []<class T>(T a, T b) { return a * b; }},
    Named{"divide", []<class T>(T a, T b) { return a / b; }},
    Named{"maximum", []<class T>(T a, T b) { return (a > b) | (a != a) ? a : b; }},
    Named{"minimum", []<class T>(T a, T b) { return (a < b) | (a != a) ? a : b; }},
    Named{"power", []<class T>(T a, T b) { return std::pow(a, b); }});

inline constexpr auto kComparisons = std::make_tuple(
    Named{"equal", []<class T>(T a, T b) { return a == b; }},
    Named{"greater", []<class T>(T a, T b) { return a > b; }},
    Named{"less", []<class T>(T a, T b) { return a < b; }},
    Named{"greater_equal", []<class T>(T a, T b) { return a >= b; }});

// clang-format on

}  // namespace striate::kernels
