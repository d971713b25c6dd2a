// The gradient of the filters where images are small, as sums over the whole batch.
//
//   dw[k,r,s,c] = sum over n,p,q of dy[n,p,q,k] *
//                 x[n, p*stride - top + r*dilation, q*stride - left + s*dilation, c]
//
// A row of a small image is too short a sum for a product. So x and dy are copied to
// [block][row][column][image][lanes]: with stride 1 the pixels of a row are then one sum over all
// images, else each pixel is. A block of channels by filters stays in registers for a row. Images
// are taken so many at a time that those of one square of channel by filter blocks stay in the
// cache; each thread owns squares, so nothing depends on the number of threads.
#pragma once

#include <striate/kernels/simd/conv_kernels.h>
#include <striate/kernels/simd/conv_taps.h>
#include <striate/kernels/simd/gemm.h>
#include <striate/kernels/simd/share_work.h>

#include <algorithm>

namespace striate::kernels::simd {

template <class V>
struct PackedBackwardWeight {
  static constexpr int64_t kLanes = V::kLanes, kTap = kLanes * kLanes;
  static constexpr int64_t kColumns = Gemm<V>::kWideColumns;
  static constexpr int64_t kCache = 384 * 1024 / 4;  // floats of x and dy of one square

  struct Sizes {
    int64_t c_blocks, k_blocks, k_groups, squares, x_pixels, y_pixels, taps, dw, sums;
    explicit Sizes(const DirectPlan& p)
        : c_blocks(ceil_div(p.in_c, kLanes)),
          k_blocks(ceil_div(p.out_c, kLanes)),
          k_groups(ceil_div(k_blocks, kColumns)),
          squares(c_blocks * k_groups),
          x_pixels(p.in_h * p.in_w),
          y_pixels(p.out_h * p.out_w),
          taps(p.window_h * p.window_w),
          dw(k_blocks * c_blocks * taps * kTap),
          sums(k_blocks * kLanes) {}
  };

  /// True where rows are short and there are squares for several threads; not asked is how many
  /// threads there are, on which the order of the sums must not depend.
  static bool pays(const DirectPlan& p) {
    return p.out_w <= 6 && p.n >= 8 && Sizes(p).squares >= 4;
  }

  static void plan(DirectPlan& p) {
    const Sizes s(p);
    const int64_t image = (s.x_pixels + std::min(kColumns, s.k_blocks) * s.y_pixels) * kLanes;
    const int64_t most = std::max<int64_t>(8, kCache / image);
    p.images = ceil_div(p.n, ceil_div(p.n, most));
    p.parts = 1;
    p.workspace = 4 * (ceil_div(s.sums, kLine) * kLine +
                       p.n * (s.c_blocks * s.x_pixels + s.k_blocks * s.y_pixels) * kLanes);
  }

  /// Copy one block of `images` to [pixel][image][lanes].
  static void pack(const float* from, int64_t image, int64_t pixels, int64_t images, float* to) {
    for (int64_t n = 0; n < images; ++n, from += image)
      for (int64_t i = 0; i < pixels; ++i)
        V::store(to + (i * images + n) * kLanes, V::load(from + i * kLanes));
  }

  /// Add the sums over a chunk of `images` for channel block `c` and filter blocks [k0, k1), given
  /// the packed images of the channel block and of the first filter block.
  static void square(const DirectPlan& p, const Sizes& s, const float* x, const float* dy,
                     int64_t images, int64_t c, int64_t k0, int64_t k1, float* dw) {
    const int64_t pixel = images * kLanes, filter = s.c_blocks * s.taps * kTap;
    const bool joined = p.stride_w == 1;
    Product g;
    g.a_inner = kLanes;
    g.a_outer = p.stride_w * pixel;
    g.b_outer = pixel;
    g.b_column = s.y_pixels * pixel;
    g.c_row = kLanes;
    g.c_column = filter;
    g.accumulate = true;
    const int64_t channels = std::min(kLanes, p.in_c - c * kLanes);
    for (int64_t tap = 0; tap < s.taps; ++tap) {
      const int64_t h = tap / p.window_w * p.dilation_h - p.top;
      const int64_t w = tap % p.window_w * p.dilation_w - p.left;
      const OutputRange<V> rows(0, p.out_h, p.stride_h, h, p.in_h);
      const OutputRange<V> columns(0, p.out_w, p.stride_w, w, p.in_w);
      const int64_t width = columns.end - columns.begin;
      if (width <= 0) continue;
      g.inner = joined ? width * images : images;
      g.outer = joined ? 1 : width;
      g.c = dw + k0 * filter + (c * s.taps + tap) * kTap;
      for (int64_t i = rows.begin; i < rows.end; ++i) {
        g.a = x + ((i * p.stride_h + h) * p.in_w + columns.begin * p.stride_w + w) * pixel;
        g.b = dy + (i * p.out_w + columns.begin) * pixel;
        Gemm<V>::rows_adjacent(g, channels, k1 - k0);
      }
    }
  }

  static void run(const DirectPlan& p, const float* x, const float* dy, float* dw, float* db,
                  float* workspace) {
    const Sizes s(p);
    const int64_t x_block = s.x_pixels * kLanes, y_block = s.y_pixels * kLanes;
    const int64_t blocks = s.c_blocks + s.k_blocks, chunks = ceil_div(p.n, p.images);
    float* sums = workspace;
    float* packed_x = sums + ceil_div(s.sums, kLine) * kLine;
    float* packed_dy = packed_x + p.n * s.c_blocks * x_block;
    const auto images_of = [&](int64_t chunk) {
      return std::min(p.images, p.n - chunk * p.images);
    };
    // Block `c` of x, and of dy, of a chunk.
    const auto x_at = [&](int64_t chunk, int64_t c) {
      return packed_x + (chunk * p.images * s.c_blocks + images_of(chunk) * c) * x_block;
    };
    const auto dy_at = [&](int64_t chunk, int64_t k) {
      return packed_dy + (chunk * p.images * s.k_blocks + images_of(chunk) * k) * y_block;
    };
    share_work(p.workers, chunks * blocks, [&](int64_t, int64_t i) {
      const int64_t chunk = i / blocks, c = i % blocks, k = c - s.c_blocks;
      const int64_t first = chunk * p.images, images = images_of(chunk);
      if (c < s.c_blocks)
        pack(x + (first * s.c_blocks + c) * x_block, s.c_blocks * x_block, s.x_pixels, images,
             x_at(chunk, c));
      else
        pack(dy + (first * s.k_blocks + k) * y_block, s.k_blocks * y_block, s.y_pixels, images,
             dy_at(chunk, k));
    });
    clear<V>(sums, s.sums);
    share_work(p.workers, s.squares, [&](int64_t, int64_t i) {
      const int64_t group = i / s.c_blocks, c = i % s.c_blocks;
      const int64_t k0 = s.k_blocks * group / s.k_groups;
      const int64_t k1 = s.k_blocks * (group + 1) / s.k_groups;
      for (int64_t k = k0; k < k1; ++k)
        clear<V>(dw + (k * s.c_blocks + c) * s.taps * kTap, s.taps * kTap);
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        const int64_t images = images_of(chunk);
        square(p, s, x_at(chunk, c), dy_at(chunk, k0), images, c, k0, k1, dw);
        if (c == 0 && p.bias)
          for (int64_t k = k0; k < k1; ++k)
            add_pixels<V>(dy_at(chunk, k), s.y_pixels * images, sums + k * kLanes);
      }
    });
    clear_padding<V>(dw, p.out_c, s.dw / (s.k_blocks * kLanes));
    if (db) add_sums<V>(p, sums, s.sums, db);
  }
};

}  // namespace striate::kernels::simd
