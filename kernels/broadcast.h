// The loops of an output over inputs that NumPy's rules repeat along some dimensions.
//
// Neighbouring dimensions that every input walks through or repeats alike are merged, so equal
// shapes are one long run, and a vector over rows is one run per row.
#pragma once

#include <striate/core/shape.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace striate::kernels {

class Broadcast {
 public:
  static constexpr int kMaxInputs = 3;

  /// Inputs are dense; each size equals the output's or is 1, missing leading ones are 1.
  Broadcast(const Shape& output, const std::vector<Shape>& inputs);

  int64_t elements() const { return elements_; }
  /// Return how input `i` moves inside a run: 1, or 0 where one element serves all.
  int step(int i) const { return static_cast<int>(stride_[0][i]); }

  /// Call `body(place in the output, places in the inputs, length)` for runs that cover
  /// [begin, end) of the output.
  template <class Body>
  void runs(int64_t begin, int64_t end, const Body& body) const {
    int64_t index[Shape::kMaxRank], place[kMaxInputs] = {};
    for (int64_t d = 0, rest = begin; d < rank_; ++d) {
      index[d] = rest % size_[d];
      rest /= size_[d];
      for (int i = 0; i < kMaxInputs; ++i) place[i] += index[d] * stride_[d][i];
    }
    while (begin < end) {
      const int64_t length = std::min(size_[0] - index[0], end - begin);
      body(begin, place, length);
      begin += length;
      // The next run begins at 0 of the innermost dimension: carry into the others.
      for (int i = 0; i < kMaxInputs; ++i) place[i] -= index[0] * stride_[0][i];
      index[0] = 0;
      for (int d = 1; d < rank_; ++d) {
        for (int i = 0; i < kMaxInputs; ++i) place[i] += stride_[d][i];
        if (++index[d] < size_[d]) break;
        for (int i = 0; i < kMaxInputs; ++i) place[i] -= stride_[d][i] * size_[d];
        index[d] = 0;
      }
    }
  }

 private:
  int rank_ = 1;  // at least 1; dimension 0 is the innermost
  int64_t elements_ = 1;
  int64_t size_[Shape::kMaxRank] = {1};
  int64_t stride_[Shape::kMaxRank][kMaxInputs] = {};
};

}  // namespace striate::kernels
