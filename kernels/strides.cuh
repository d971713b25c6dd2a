// Where the elements of dense values lie as an index walks over a box: the host merges what it can,
// kernels divide.
#pragma once

#include <striate/core/shape.h>

#include <cstdint>

namespace striate::cuda {

/// A box of `count` elements and the place of each in N values.
template <int N>
struct Strides {
  int rank = 1;  // at least 1; dimension 0 is the innermost
  int64_t count = 1;
  int64_t size[Shape::kMaxRank] = {1};
  int64_t stride[N][Shape::kMaxRank] = {};

  /// Add a dimension outside of all others; one that continues the last is merged with it.
  void add(int64_t elements, const int64_t (&steps)[N]) {
    count *= elements;
    if (elements == 1) return;
    const int last = rank - 1;
    bool merges = size[last] == 1;
    if (!merges) {
      merges = true;
      for (int n = 0; n < N; ++n) merges = merges && steps[n] == stride[n][last] * size[last];
      if (merges) {
        size[last] *= elements;
        return;
      }
      ++rank;
    }
    size[rank - 1] = elements;
    for (int n = 0; n < N; ++n) stride[n][rank - 1] = steps[n];
  }

  /// True when dimension 0 and every step of the outer ones are multiples of `elements`, so that
  /// groups of so many elements stay together in each value that moves along dimension 0.
  bool in_groups_of(int64_t elements) const {
    if (rank > 1 && size[0] % elements != 0) return false;
    for (int n = 0; n < N; ++n) {
      if (stride[n][0] != 0 && stride[n][0] != 1) return false;
      for (int d = 1; d < rank; ++d)
        if (stride[n][0] == 1 && stride[n][d] % elements != 0) return false;
    }
    return true;
  }

#if defined(__CUDACC__)
  /// Return the places of element `i` of the box.
  __device__ void find(int64_t i, int64_t (&place)[N]) const {
    for (int n = 0; n < N; ++n) place[n] = 0;
    const bool narrow = count <= INT32_MAX;  // 32-bit division is several times as quick
#pragma unroll 1
    for (int d = 0; d < rank - 1; ++d) {
      const int64_t above =
          narrow ? static_cast<int64_t>(static_cast<uint32_t>(i) / static_cast<uint32_t>(size[d]))
                 : i / size[d];
      const int64_t index = i - above * size[d];
      for (int n = 0; n < N; ++n) place[n] += index * stride[n][d];
      i = above;
    }
    for (int n = 0; n < N; ++n) place[n] += i * stride[n][rank - 1];
  }
#endif
};

/// Return the walk over `output` and the places in inputs that NumPy's rules repeat.
template <int N>
Strides<N> broadcast(const Shape& output, const Shape* const (&inputs)[N]) {
  Strides<N> made;
  int64_t next[N];
  for (int64_t& elements : next) elements = 1;
  for (int d = output.rank() - 1; d >= 0; --d) {
    int64_t steps[N];
    for (int n = 0; n < N; ++n) {
      const int at = d - (output.rank() - inputs[n]->rank());
      const bool moves = at >= 0 && (*inputs[n])[at] != 1;
      steps[n] = moves ? next[n] : 0;
      if (moves) next[n] *= (*inputs[n])[at];
    }
    made.add(output[d], steps);
  }
  return made;
}

}  // namespace striate::cuda
