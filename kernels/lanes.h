// Sums and maxima of consecutive floats in an order that no instruction set changes: 16 lanes, each
// adding every 16th element, then a tree over the lanes. For use inside STRIATE_CLONES functions.
#pragma once

#include <cstdint>
#include <limits>

namespace striate::kernels {

inline constexpr int kLanes = 16;

/// Return the sum of f(i) over i in [0, count), accumulated in Sum (float or double).
template <class Sum, class F>
[[gnu::always_inline]] inline Sum sum_in_lanes(int64_t count, F f) {
  Sum lane[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int l = 0; l < kLanes; ++l) lane[l] += f(i + l);
  for (int l = 0; i < count; ++i, ++l) lane[l] += f(i);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
  return lane[0];
}

/// Return a where it is larger or NaN, else b.
template <class T>
[[gnu::always_inline]] inline T larger(T a, T b) {
  return (a > b) | (a != a) ? a : b;
}

/// Return the largest of x[0, count); NaN when there is one, -infinity for none.
[[gnu::always_inline]] inline float max_in_lanes(const float* x, int64_t count) {
  float lane[kLanes];
  for (float& v : lane) v = -std::numeric_limits<float>::infinity();
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int l = 0; l < kLanes; ++l) lane[l] = larger(lane[l], x[i + l]);
  for (int l = 0; i < count; ++i, ++l) lane[l] = larger(lane[l], x[i]);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) lane[l] = larger(lane[l], lane[l + half]);
  return lane[0];
}

}  // namespace striate::kernels
