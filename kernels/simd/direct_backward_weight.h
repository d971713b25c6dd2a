// The gradient of the filters of any window and stride, as sums over pixels in blocked layouts.
//
//   dw[k,r,s,c] = sum over n,p,q of dy[n,p,q,k] *
//                 x[n, p*stride - top + r*dilation, q*stride - left + s*dilation, c]
//
// For each place (r, s) in the window this is the product of a block of input channels, pixels of
// some rows, and the gradients of the same pixels: a block of channels by filters stays in
// registers while a band of rows, small enough for the first cache, runs by. Where dw is small, a
// fixed number of parts of the images is summed apart, each with a few images near a core at a
// time; else each thread owns squares of channel by filter blocks. Neither depends on the number of
// threads. Small images are packed together instead: packed_backward_weight.h.
#pragma once

#include <striate/kernels/simd/packed_backward_weight.h>

#include <algorithm>

namespace striate::kernels::simd {

template <class V>
struct DirectBackwardWeight {
  using OutputRange = simd::OutputRange<V>;
  using Packed = PackedBackwardWeight<V>;
  static constexpr int64_t kLanes = V::kLanes, kTap = kLanes * kLanes;
  static constexpr int64_t kColumns = Gemm<V>::kWideColumns;
  static constexpr int64_t kBand = 16 * 1024 / 4;     // floats of dy that run by together
  static constexpr int64_t kImages = 384 * 1024 / 4;  // of x and dy that stay near a core
  static constexpr int64_t kSmall = 768 * 1024 / 4;   // of dw that may be had several times

  struct Sizes {
    int64_t c_blocks, k_blocks, k_groups, dw, sums, batch;
    explicit Sizes(const DirectPlan& p)
        : c_blocks(ceil_div(p.in_c, kLanes)),
          k_blocks(ceil_div(p.out_c, kLanes)),
          k_groups(ceil_div(k_blocks, kColumns)),
          dw(k_blocks * c_blocks * p.window_h * p.window_w * kTap),
          sums(ceil_div(k_blocks * kLanes, kLine) * kLine),
          batch(std::max<int64_t>(
              1,
              kImages / ((c_blocks * p.in_h * p.in_w + k_blocks * p.out_h * p.out_w) * kLanes))) {}
    int64_t squares() const { return c_blocks * k_groups; }
  };

  static void plan(DirectPlan& p) {
    if (Packed::pays(p)) return Packed::plan(p);
    const Sizes s(p);
    p.parts = s.dw <= kSmall ? std::clamp<int64_t>(2 * kSmall / s.dw, 8, 16) : 1;
    p.parts = std::clamp<int64_t>(p.n, 1, p.parts);
    p.workspace = 4 * p.parts * (s.sums + (p.parts > 1 ? s.dw : 0));
  }

  /// Sum images [begin, end) for channel block `c` and filter blocks [k0, k1).
  static void square(const DirectPlan& p, const Sizes& s, const float* x, const float* dy,
                     int64_t begin, int64_t end, int64_t c, int64_t k0, int64_t k1, float* dw,
                     float* sums) {
    const int64_t taps = p.window_h * p.window_w, filter = s.c_blocks * taps * kTap;
    const int64_t x_row = p.in_w * kLanes, y_row = p.out_w * kLanes, y_plane = p.out_h * y_row;
    Product g;
    g.a_inner = p.stride_w * kLanes;
    g.a_outer = p.stride_h * x_row;
    g.b_outer = y_row;
    g.b_column = y_plane;
    g.c_row = kLanes;
    g.c_column = filter;
    g.accumulate = true;
    const int64_t channels = std::min(kLanes, p.in_c - c * kLanes);
    const int64_t band = std::max<int64_t>(1, kBand / ((k1 - k0) * y_row));
    for (int64_t n = begin; n < end; ++n) {
      const float* image = x + (n * s.c_blocks + c) * p.in_h * x_row;
      const float* gradient = dy + (n * s.k_blocks + k0) * y_plane;
      for (int64_t row = 0; row < p.out_h; row += band) {
        const int64_t last = std::min(p.out_h, row + band);
        if (c == 0 && p.bias)
          for (int64_t k = 0; k < k1 - k0; ++k)
            add_pixels<V>(gradient + k * y_plane + row * y_row, (last - row) * p.out_w,
                          sums + (k0 + k) * kLanes);
        for (int64_t tap = 0; tap < taps; ++tap) {
          const int64_t h = tap / p.window_w * p.dilation_h - p.top;
          const int64_t w = tap % p.window_w * p.dilation_w - p.left;
          const OutputRange rows(row, last, p.stride_h, h, p.in_h);
          const OutputRange columns(0, p.out_w, p.stride_w, w, p.in_w);
          if (rows.begin >= rows.end || columns.begin >= columns.end) continue;
          g.a = image + (rows.begin * p.stride_h + h) * x_row +
                (columns.begin * p.stride_w + w) * kLanes;
          g.b = gradient + rows.begin * y_row + columns.begin * kLanes;
          g.c = dw + k0 * filter + (c * taps + tap) * kTap;
          g.inner = columns.end - columns.begin;
          g.outer = rows.end - rows.begin;
          if (g.inner * kLanes == y_row && g.a_outer == g.inner * g.a_inner) {
            g.inner *= g.outer;  // whole rows follow each other in both
            g.outer = 1;
          }
          Gemm<V>::rows_adjacent(g, channels, k1 - k0);
        }
      }
    }
  }

  static void run(const DirectPlan& p, const float* x, const float* dy, float* dw, float* db,
                  float* workspace) {
    if (p.images > 0) return Packed::run(p, x, dy, dw, db, workspace);
    const Sizes s(p);
    float* sums = workspace;
    float* partial = sums + p.parts * s.sums;
    clear<V>(sums, p.parts * s.sums);
    const auto one = [&](int64_t begin, int64_t end, int64_t i, float* to, float* sum) {
      const int64_t group = i / s.c_blocks;
      square(p, s, x, dy, begin, end, i % s.c_blocks, s.k_blocks * group / s.k_groups,
             s.k_blocks * (group + 1) / s.k_groups, to, sum);
    };
    if (p.parts > 1) {
      share_work(p.workers, p.parts, [&](int64_t, int64_t part) {
        float* to = partial + part * s.dw;
        clear<V>(to, s.dw);
        const int64_t last = p.n * (part + 1) / p.parts;
        for (int64_t n = p.n * part / p.parts; n < last; n += s.batch)
          for (int64_t i = 0; i < s.squares(); ++i)
            one(n, std::min(last, n + s.batch), i, to, sums + part * s.sums);
      });
    } else {
      share_work(p.workers, ceil_div(s.dw, kSmall), [&](int64_t, int64_t i) {
        clear<V>(dw + i * kSmall, std::min(kSmall, s.dw - i * kSmall));
      });
      share_work(p.workers, s.squares(), [&](int64_t, int64_t i) { one(0, p.n, i, dw, sums); });
    }
    add_parts<V>(p, partial, s.dw, dw);
    clear_padding<V>(dw, p.out_c, s.dw / (s.k_blocks * kLanes));
    if (db) add_sums<V>(p, sums, s.sums, db);
  }
};

}  // namespace striate::kernels::simd
