// The part that softmax and the losses share: exponentials of rows, less each row's largest.
#pragma once

#include <striate/core/parallel.h>

#include <algorithm>
#include <cstdint>

namespace striate::kernels {

/// Rows that are worked on at a time: they stay in the first cache through all passes.
inline constexpr int64_t kMaxRowBlock = 128;
inline int64_t row_block(int64_t classes) {
  return std::clamp<int64_t>(4096 / std::max<int64_t>(classes, 1), 1, kMaxRowBlock);
}

/// Call `body(first, count)` for blocks of rows that cover [0, rows), on all threads.
template <class Body>
void for_row_blocks(int64_t rows, int64_t classes, const Body& body) {
  const int64_t block = row_block(classes);
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(block * classes, 1));
  parallel_ranges((rows + block - 1) / block, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i * block, std::min(block, rows - i * block));
  });
}

/// For each row of x[rows, C]: e = exp(x - max), its sum, and max. `e` may be x.
void exp_rows(const float* x, float* e, int64_t rows, int64_t C, float* max, float* sum);

}  // namespace striate::kernels
