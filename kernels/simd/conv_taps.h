// The taps of a window that lie on the image, and the outputs whose tap does.
#pragma once

#include <striate/kernels/simd/conv_kernels.h>
#include <striate/kernels/simd/share_work.h>

#include <algorithm>

namespace striate::kernels::simd {

/// The taps [begin, end) of output `i` that lie on the input.
template <class V>
struct ConvTaps {
  int64_t begin, end;
  ConvTaps(const ConvAxis& a, int64_t i) {
    const int64_t at = i * a.in_step + a.offset;
    begin = at >= 0 ? 0 : ceil_div(-at, a.offset_step);
    end = at >= a.in_size ? 0 : std::min(a.taps, (a.in_size - 1 - at) / a.offset_step + 1);
    end = std::max(begin, end);
  }
  int64_t size() const { return end - begin; }
  bool operator==(const ConvTaps& other) const { return begin == other.begin && end == other.end; }
};

/// The outputs [begin, end) of [first, last) whose input `p * stride + offset` lies in [0, size).
template <class V>
struct OutputRange {
  int64_t begin, end;
  OutputRange(int64_t first, int64_t last, int64_t stride, int64_t offset, int64_t size) {
    begin = std::max(first, offset < 0 ? ceil_div(-offset, stride) : 0);
    end = size - offset <= 0 ? begin : std::min(last, (size - offset - 1) / stride + 1);
  }
};

}  // namespace striate::kernels::simd
