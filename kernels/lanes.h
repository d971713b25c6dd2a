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

/// Return a where it is larger or NaN, else b; of floats or of vectors of them.
template <class T>
[[gnu::always_inline]] inline T larger(T a, T b) {
  return (a > b) | (a != a) ? a : b;
}

/// Return the largest of x[0, count); NaN when there is one, -infinity for none.
///
/// With vectors spelled out: compilers make branches of a maximum that heeds NaN. A second look at
/// an element changes nothing, so the last vector may overlap the one before.
inline float max_of(const float* x, int64_t count) {
  using Four = float __attribute__((vector_size(16)));
  auto load = [](const float* from) {
    Four v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
  };
  if (count < 4) {
    float max = -std::numeric_limits<float>::infinity();
    for (int64_t i = 0; i < count; ++i) max = larger(max, x[i]);
    return max;
  }
  Four a = load(x), b = a, c = a, d = a;
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    a = larger(a, load(x + i));
    b = larger(b, load(x + i + 4));
    c = larger(c, load(x + i + 8));
    d = larger(d, load(x + i + 12));
  }
  for (; i + 4 <= count; i += 4) a = larger(a, load(x + i));
  a = larger(larger(larger(a, b), larger(c, d)), load(x + count - 4));
  a = larger(a, Four{a[2], a[3], a[0], a[1]});
  a = larger(a, Four{a[1], a[0], a[3], a[2]});
  return a[0];
}

}  // namespace striate::kernels
