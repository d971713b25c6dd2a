// Convolution of images of few channels, such as a network's first: x dense [N, H, W, C], filters
// [K / lanes][R][S][C][lanes], y in blocks [N][K / lanes][P][Q][lanes].
//
// A band of input rows is copied with its padding, so that no window leaves it. Then forward is the
// product of a matrix [pixels, R*S*C] and the filters, where a pixel's row of the matrix is not
// stored but begins at the pixel's place in the band: S*C of its numbers lie together, R times. The
// gradient of the filters is the product of the same matrix, transposed, and dy.
#pragma once

#include <striate/kernels/simd/conv_kernels.h>
#include <striate/kernels/simd/finish.h>
#include <striate/kernels/simd/gemm.h>
#include <striate/kernels/simd/share_work.h>

#include <algorithm>

namespace striate::kernels::simd {

template <class V>
struct DirectFewChannels {
  static constexpr int64_t kLanes = V::kLanes;
  static constexpr int64_t kPixels = 192;  // outputs of a band, about
  static constexpr int64_t kColumns = Gemm<V>::kColumns;

  struct Sizes {
    int64_t k_blocks, k_groups, taps, row, band, band_rows, bands, scratch, table, sums, dw;
    explicit Sizes(const DirectPlan& p)
        : k_blocks(ceil_div(p.out_c, kLanes)),
          k_groups(ceil_div(k_blocks, kColumns)),
          taps(p.window_h * p.window_w * p.in_c),
          row(((p.out_w - 1) * p.stride_w + p.window_w) * p.in_c),
          band(std::clamp<int64_t>(kPixels / p.out_w, 1, p.out_h)),
          band_rows((band - 1) * p.stride_h + p.window_h),
          bands(ceil_div(p.out_h, band)),
          scratch(whole_lines(band_rows * row)),
          table(whole_lines(2 * (band * p.out_w + taps))),
          sums(whole_lines(k_blocks * kLanes)),
          dw(k_blocks * taps * kLanes) {}
    static int64_t whole_lines(int64_t floats) { return ceil_div(floats, kLine) * kLine; }
    int64_t rows_of(const DirectPlan& p, int64_t i) const {
      return std::min(band, p.out_h - i * band);
    }
  };

  /// Copy the input rows that band `i` of image `n` reads, zero outside the image.
  static void copy_band(const DirectPlan& p, const Sizes& s, const float* x, int64_t n, int64_t i,
                        float* to) {
    const int64_t top = i * s.band * p.stride_h - p.top, width = p.in_w * p.in_c;
    const int64_t rows = (s.rows_of(p, i) - 1) * p.stride_h + p.window_h;
    const int64_t left = std::min(p.left * p.in_c, s.row);
    const int64_t inside = std::clamp<int64_t>(s.row - left, 0, width);
    for (int64_t j = 0; j < rows; ++j, to += s.row) {
      const int64_t h = top + j;
      const bool row_inside = h >= 0 && h < p.in_h;
      const int64_t begin = row_inside ? left : s.row, end = row_inside ? left + inside : s.row;
      const float* from = x + (n * p.in_h + (row_inside ? h : 0)) * width;
      for (int64_t k = 0; k < begin; ++k) to[k] = 0;
      for (int64_t k = begin; k < end; ++k) to[k] = from[k - begin];
      for (int64_t k = end; k < s.row; ++k) to[k] = 0;
    }
  }

  /// The places of a window's numbers in the band, in the order of the filters.
  static void set_steps(const DirectPlan& p, const Sizes& s, int64_t* to) {
    const int64_t across = p.window_w * p.in_c;
    for (int64_t i = 0; i < s.taps; ++i) to[i] = i / across * s.row + i % across;
  }

  static void plan_forward(DirectPlan& p) {
    const Sizes s(p);
    p.workspace = 4 * (s.table + s.sums + p.workers * s.scratch);
  }

  static void forward(const DirectPlan& p, const float* x, const float* w, const Finish& f,
                      float* y, float* workspace) {
    const Sizes s(p);
    auto* places = reinterpret_cast<int64_t*>(workspace);
    int64_t* steps = places + s.band * p.out_w;
    float* bias = workspace + s.table;
    float* bands = bias + s.sums;
    for (int64_t i = 0; i < s.band * p.out_w; ++i)
      places[i] = i / p.out_w * p.stride_h * s.row + i % p.out_w * p.stride_w * p.in_c;
    set_steps(p, s, steps);
    pad_bias<V>(f, p.out_c, s.k_blocks, bias);
    const bool plain = f.activation == Activation::kNone && !f.residual;
    const bool relu = f.activation == Activation::kRelu && !f.residual;
    const int64_t y_row = p.out_w * kLanes, y_plane = p.out_h * y_row;
    share_work(p.workers, p.n * s.bands, [&](int64_t worker, int64_t i) {
      const int64_t n = i / s.bands, band = i % s.bands, rows = s.rows_of(p, band);
      float* scratch = bands + worker * s.scratch;
      copy_band(p, s, x, n, band, scratch);
      const int64_t first = n * s.k_blocks * y_plane + band * s.band * y_row;
      Product g;
      g.a = scratch;
      g.rows = places;
      g.steps = steps;
      g.inner = s.taps;
      g.b_column = s.taps * kLanes;
      g.c_row = kLanes;
      g.c_column = y_plane;
      g.relu = relu;
      for (int64_t k = 0; k < s.k_blocks; k += kColumns) {
        const int64_t columns = std::min(kColumns, s.k_blocks - k);
        g.b = w + k * g.b_column;
        g.c = y + first + k * y_plane;
        g.start = bias + k * kLanes;
        Gemm<V>::windows(g, rows * p.out_w, columns);
        for (int64_t j = k; j < k + columns; ++j) {
          const int64_t used = std::min(kLanes, p.out_c - j * kLanes), at = first + j * y_plane;
          if ((plain || relu) && used == kLanes) continue;
          const float* residual = f.residual ? f.residual + at : nullptr;
          for (int64_t q = 0; q < rows * y_row; q += kLanes)
            finish<V>(V::load(y + at + q), f, residual ? residual + q : nullptr, y + at + q, used);
        }
      }
    });
  }

  static void plan_backward_weight(DirectPlan& p) {
    const Sizes s(p);
    p.parts =
        std::clamp<int64_t>(std::min<int64_t>(16, (1 << 20) / s.dw), 1, std::max<int64_t>(1, p.n));
    p.workspace =
        4 * (s.table + p.parts * (s.sums + (p.parts > 1 ? s.dw : 0)) + p.workers * s.scratch);
  }

  static void backward_weight(const DirectPlan& p, const float* x, const float* dy, float* dw,
                              float* db, float* workspace) {
    const Sizes s(p);
    auto* places = reinterpret_cast<int64_t*>(workspace);
    float* sums = workspace + s.table;
    float* partial = sums + p.parts * s.sums;
    float* bands = partial + (p.parts > 1 ? p.parts * s.dw : 0);
    set_steps(p, s, places);
    clear<V>(sums, p.parts * s.sums);
    const int64_t y_row = p.out_w * kLanes, y_plane = p.out_h * y_row;
    share_work(p.workers, p.parts * s.k_groups, [&](int64_t worker, int64_t i) {
      const int64_t part = i / s.k_groups, k = i % s.k_groups * kColumns;
      const int64_t columns = std::min(kColumns, s.k_blocks - k);
      float* scratch = bands + worker * s.scratch;
      float* out = (p.parts > 1 ? partial + part * s.dw : dw) + k * s.taps * kLanes;
      clear<V>(out, columns * s.taps * kLanes);
      Product g;
      g.a = scratch;
      g.rows = places;
      g.a_inner = p.stride_w * p.in_c;
      g.a_outer = p.stride_h * s.row;
      g.b_outer = y_row;
      g.b_column = y_plane;
      g.c = out;
      g.c_row = kLanes;
      g.c_column = s.taps * kLanes;
      g.inner = p.out_w;
      g.accumulate = true;
      for (int64_t n = p.n * part / p.parts; n < p.n * (part + 1) / p.parts; ++n)
        for (int64_t band = 0; band < s.bands; ++band) {
          copy_band(p, s, x, n, band, scratch);
          g.b = dy + (n * s.k_blocks + k) * y_plane + band * s.band * y_row;
          g.outer = s.rows_of(p, band);
          Gemm<V>::rows_anywhere(g, s.taps, columns);
          if (p.bias)
            for (int64_t j = 0; j < columns; ++j)
              add_pixels<V>(g.b + j * y_plane, g.outer * p.out_w,
                            sums + part * s.sums + (k + j) * kLanes);
        }
    });
    add_parts<V>(p, partial, s.dw, dw);
    clear_padding<V>(dw, p.out_c, s.taps);
    if (db) add_sums<V>(p, sums, s.sums, db);
  }
};

}  // namespace striate::kernels::simd
