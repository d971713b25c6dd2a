// Tiles of images, transformed into Winograd's domain.
//
// A chunk is `chunk` tiles in order of image, row, column. Transformed it lies as [f][C / lanes]
// [chunk][lanes], where f counts the kIn * kIn products of a tile: for each f a matrix of tiles by
// channels. The matrices lie one cache line more apart than they need, since the stores of one tile
// would otherwise fall into the same few sets of the cache.
#pragma once

#include <striate/kernels/simd/gemm.h>
#include <striate/kernels/simd/share_work.h>

namespace striate::kernels::simd {

/// A blocked image of which tiles are read.
struct TiledImage {
  const float* data;
  int64_t blocks, h, w;
};

template <class V, template <class> class Transform>
struct WinogradTiles {
  using Reg = typename V::Reg;
  using T = Transform<V>;
  static constexpr int kLanes = V::kLanes, kOut = T::kOut, kIn = T::kIn, kCount = kIn * kIn;

  /// Where the tiles of all images lie.
  struct Grid {
    int64_t rows, columns, total;
    Grid(int64_t n, int64_t h, int64_t w)
        : rows(ceil_div(h, kOut)), columns(ceil_div(w, kOut)), total(n * rows * columns) {}
  };
  /// One tile: its image and its first output.
  struct Place {
    int64_t n, row, column;
    Place(const Grid& grid, int64_t tile)
        : n(tile / (grid.rows * grid.columns)),
          row(tile / grid.columns % grid.rows),
          column(tile % grid.columns) {}
    void next(const Grid& grid) {
      if (++column < grid.columns) return;
      column = 0;
      if (++row < grid.rows) return;
      row = 0;
      ++n;
    }
  };

  static int64_t blocks(int64_t channels) { return ceil_div(channels, kLanes); }
  /// Floats from one f to the next in a transformed chunk.
  static int64_t apart(int64_t chunk, int64_t channel_blocks) {
    return channel_blocks * chunk * kLanes + kLine;
  }

  /// Apply `Line`, which turns kFrom values into kIn, to the columns and rows of one square.
  template <int kFrom, void (*kTransform)(const Reg*, Reg*), bool kInside>
  static void square(const float* p, int64_t row, int64_t h0, int64_t h1, int64_t w0, int64_t w1,
                     float* to, int64_t apart, Reg* sum) {
    Reg t[kIn][kFrom];
#pragma GCC unroll 8
    for (int j = 0; j < kFrom; ++j) {
      Reg d[kFrom], u[kIn];
#pragma GCC unroll 8
      for (int i = 0; i < kFrom; ++i) {
        const bool inside = kInside || (i >= h0 && i < h1 && j >= w0 && j < w1);
        d[i] = inside ? V::load(p + i * row + j * kLanes) : V::zero();
      }
      if (sum) {
        Reg part = d[0];  // one addition a column to the sum that the next tile waits for
#pragma GCC unroll 8
        for (int i = 1; i < kFrom; ++i) part = V::add(part, d[i]);
        *sum = V::add(*sum, part);
      }
      kTransform(d, u);
#pragma GCC unroll 8
      for (int i = 0; i < kIn; ++i) t[i][j] = u[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < kIn; ++i) {
      Reg u[kIn];
      kTransform(t[i], u);
#pragma GCC unroll 8
      for (int j = 0; j < kIn; ++j) V::store(to + (i * kIn + j) * apart, u[j]);
    }
  }

  /// Transform `count` tiles from `first` on. A square begins `top` rows above and `left` columns
  /// left of its tile's first output; what lies outside the image is zero. `sums`, if not null,
  /// gets the sum of all values read, [blocks][lanes].
  template <int kFrom, void (*kTransform)(const Reg*, Reg*), bool kSum>
  static void squares(const TiledImage& image, const Grid& grid, int64_t top, int64_t left,
                      int64_t first, int64_t count, int64_t chunk, float* to, float* sums) {
    const int64_t row = image.w * kLanes, plane = image.h * row;
    const int64_t between = apart(chunk, image.blocks);
    for (int64_t c = 0; c < image.blocks; ++c) {
      Place place(grid, first);
      Reg sum = V::zero();
      float* out = to + c * chunk * kLanes;
      for (int64_t i = 0; i < count; ++i, place.next(grid), out += kLanes) {
        const int64_t h = place.row * kOut - top, w = place.column * kOut - left;
        const float* p = image.data + (place.n * image.blocks + c) * plane + h * row + w * kLanes;
        for (int64_t r = 0; r < kOut; ++r)  // what the tile below will read: 4-12 % of all
          for (int64_t j = 0; j < kOut; j += kLine / kLanes)
            V::prefetch(p + (kFrom + r) * row + j * kLanes);
        if (h >= 0 && w >= 0 && h + kFrom <= image.h && w + kFrom <= image.w)
          square<kFrom, kTransform, true>(p, row, 0, 0, 0, 0, out, between, kSum ? &sum : nullptr);
        else
          square<kFrom, kTransform, false>(p, row, -h, image.h - h, -w, image.w - w, out, between,
                                           kSum ? &sum : nullptr);
      }
      if (kSum) V::store(sums + c * kLanes, V::add(V::load(sums + c * kLanes), sum));
    }
  }

  static void inputs(const TiledImage& x, const Grid& grid, int64_t top, int64_t left,
                     int64_t first, int64_t count, int64_t chunk, float* to) {
    squares<kIn, T::input, false>(x, grid, top, left, first, count, chunk, to, nullptr);
  }
  /// `sums` [blocks][lanes] may be null.
  static void output_gradients(const TiledImage& dy, const Grid& grid, int64_t first, int64_t count,
                               int64_t chunk, float* to, float* sums) {
    if (sums)
      squares<kOut, T::output_gradient, true>(dy, grid, 0, 0, first, count, chunk, to, sums);
    else
      squares<kOut, T::output_gradient, false>(dy, grid, 0, 0, first, count, chunk, to, nullptr);
  }
};

}  // namespace striate::kernels::simd
