// Winograd's convolution F(m x m, 3 x 3) of stride 1, forward and backward to the input.
//
//   U = G g G^T for each filter and channel        [K / lanes][f][C][lanes]
//   V = B^T d B for each tile and channel          [f][C / lanes][chunk][lanes]
//   M[f] = V[f] * U[f], summed over channels       [f][columns][chunk][lanes]
//   y = act(A^T M A + bias + residual)
//
// Two orders. By tiles: all U first, then each thread takes chunks of tiles whose V and M stay in
// its cache and reads U for each chunk. By filters: all V first, then each thread takes groups of
// filters, makes their U and multiplies all tiles; so U, four times as large as the weights, never
// leaves the cache. The latter is for many channels and few tiles. Both add up in the same order.
//
// U is made in every call, or comes from pack(), which makes all of it for several calls.
//
// A tile spreads a NaN or infinity of its input over all of its outputs, and Inf - Inf makes NaN of
// infinities: where the direct sum has one non-finite value, up to m x m values around it are NaN.
#pragma once

#include <striate/kernels/simd/conv_kernels.h>
#include <striate/kernels/simd/finish.h>
#include <striate/kernels/simd/winograd_tiles.h>
#include <striate/kernels/simd/winograd_transforms.h>

#include <algorithm>

namespace striate::kernels::simd {

template <class V, template <class> class Transform>
struct WinogradForward : WinogradTiles<V, Transform> {
  using Tiles = WinogradTiles<V, Transform>;
  using Tiles::kCount, Tiles::kIn, Tiles::kLanes, Tiles::kOut;
  using typename Tiles::Grid;
  using typename Tiles::Place;
  using typename Tiles::Reg;
  using typename Tiles::T;

  static constexpr int64_t kColumns = 32 / kLanes;   // filter blocks multiplied together
  static constexpr int64_t kCache = 640 * 1024 / 4;  // floats of V and M that stay near a core

  static constexpr int64_t kShared = (8 << 20) / 4;    // of V of the tiles in work, by filters
  static constexpr int64_t kFilters = 384 * 1024 / 4;  // of U made at a time, by filters

  /// All sizes that follow from a plan, in floats.
  struct Sizes {
    Grid grid;
    int64_t in_blocks, out_blocks, chunks, v_apart, v, m_apart, m, batch, depth, weight_apart,
        weight_block;
    explicit Sizes(const WinogradPlan& p)
        : grid(p.n, p.out_h, p.out_w),
          in_blocks(Tiles::blocks(p.in_c)),
          out_blocks(Tiles::blocks(p.out_c)),
          chunks(ceil_div(grid.total, p.chunk)),
          v_apart(Tiles::apart(p.chunk, in_blocks)),
          v(v_apart * kCount),
          m_apart(kColumns * p.chunk * kLanes + kLine),
          m(m_apart * kCount),
          batch(std::clamp<int64_t>(kShared / v, 1, std::max<int64_t>(1, chunks))) {
      depth = in_blocks;
      if (p.by_filters && batch == 1 && !p.packed)  // M of the only chunk waits for all channels
        depth = std::clamp<int64_t>(kFilters / (kCount * kColumns * kLanes * kLanes), 1, depth);
      weight_apart = depth * kLanes * kLanes + kLine;
      weight_block = weight_apart * kCount;
    }
    /// Of all U.
    int64_t weights() const { return out_blocks * weight_block; }
    /// The workspace begins with the bias, padded.
    int64_t bias() const { return ceil_div(out_blocks * kLanes, kLine) * kLine; }
  };

  static void plan(WinogradPlan& p) {
    const int64_t in_c = Tiles::blocks(p.in_c) * kLanes, out_blocks = Tiles::blocks(p.out_c);
    const int64_t tiles = std::max<int64_t>(1, Grid(p.n, p.out_h, p.out_w).total);
    const int64_t rows = Gemm<V>::kRows;
    p.by_filters = kCount * in_c * out_blocks * kLanes > (4 << 20) / 4 &&
                   ceil_div(out_blocks, kColumns) >= p.workers;
    int64_t chunk = 96;
    if (!p.by_filters) {
      chunk = kCache / (kCount * (in_c + kColumns * kLanes)) / rows * rows;
      chunk = std::clamp<int64_t>(chunk, 12, 48);
    }
    // Even chunks, and as many for each worker while they are few.
    int64_t chunks = ceil_div(tiles, chunk);
    if (!p.by_filters && chunks < 8 * p.workers) chunks = ceil_div(chunks, p.workers) * p.workers;
    p.chunk = ceil_div(tiles, chunks);
    const Sizes s(p);
    const int64_t made = p.packed ? 0 : p.by_filters ? kColumns * s.weight_block : s.weights();
    const int64_t shared = p.by_filters ? s.batch * s.v : made;
    const int64_t own = s.m + (p.by_filters ? made : s.v);
    p.workspace = 4 * (s.bias() + shared + p.workers * own);
    p.filters = 4 * s.weights();
  }

  /// Make U of all filters at once, for runs with `packed` ones.
  static void pack(const WinogradPlan& p, const float* w, float* u) {
    const Sizes s(p);
    share_work(p.workers, s.out_blocks, [&](int64_t, int64_t block) {
      weights(p, s, w, block, 0, s.in_blocks, u + block * s.weight_block);
    });
  }

  /// Transform the filters of one block for channel blocks [begin, end): to [f][C][lanes].
  static void weights(const WinogradPlan& p, const Sizes& s, const float* w, int64_t block,
                      int64_t begin, int64_t end, float* to) {
    constexpr int64_t kSquare = kLanes * kLanes;
    alignas(64) float turned[9 * kSquare];
    for (int64_t c = begin; c < end; ++c) {
      // Filters lie as [K / lanes][C / lanes][3][3][C lanes][K lanes] of the forward convolution.
      const float* from =
          w + (p.flipped ? c * s.out_blocks + block : block * s.in_blocks + c) * 9 * kSquare;
      if (p.flipped) {
        for (int tap = 0; tap < 9; ++tap) {
          Reg r[kLanes];
          for (int i = 0; i < kLanes; ++i) r[i] = V::load(from + tap * kSquare + i * kLanes);
          V::transpose(r);
          for (int i = 0; i < kLanes; ++i)
            V::store(turned + (8 - tap) * kSquare + i * kLanes, r[i]);
        }
        from = turned;
      }
      for (int64_t i = 0; i < kLanes; ++i, from += kLanes) {
        Reg t[kIn][3];
#pragma GCC unroll 3
        for (int column = 0; column < 3; ++column) {
          Reg g[3], u[kIn];
#pragma GCC unroll 3
          for (int row = 0; row < 3; ++row) g[row] = V::load(from + (row * 3 + column) * kSquare);
          T::weight(g, u);
#pragma GCC unroll 8
          for (int row = 0; row < kIn; ++row) t[row][column] = u[row];
        }
#pragma GCC unroll 8
        for (int row = 0; row < kIn; ++row) {
          Reg u[kIn];
          T::weight(t[row], u);
#pragma GCC unroll 8
          for (int column = 0; column < kIn; ++column)
            V::store(
                to + (row * kIn + column) * s.weight_apart + ((c - begin) * kLanes + i) * kLanes,
                u[column]);
        }
      }
    }
  }

  /// Multiply channel blocks [begin, end) of a chunk by `columns` blocks of filters for all f;
  /// before each f call `meanwhile`.
  template <class Meanwhile>
  static void multiply(const WinogradPlan& p, const Sizes& s, const float* v, int64_t count,
                       int64_t begin, int64_t end, const float* u, int64_t columns, float* m,
                       Meanwhile meanwhile) {
    Product g;
    g.a_outer = p.chunk * kLanes;
    g.b_outer = kLanes * kLanes;
    g.b_column = s.weight_block;
    g.c_row = kLanes;
    g.c_column = p.chunk * kLanes;
    g.inner = kLanes;
    g.outer = end - begin;
    g.accumulate = begin > 0;
    for (int f = 0; f < kCount; ++f) {
      meanwhile(f);
      g.a = v + f * s.v_apart + begin * p.chunk * kLanes;
      g.b = u + f * s.weight_apart;
      g.c = m + f * s.m_apart;
      Gemm<V>::rows_apart(g, count, columns);
    }
  }

  /// Return where the outputs of a tile begin in one block of channels.
  static int64_t start_of(const WinogradPlan& p, const Sizes& s, const Place& place,
                          int64_t block) {
    return (((place.n * s.out_blocks + block) * p.out_h + place.row * kOut) * p.out_w +
            place.column * kOut) *
           kLanes;
  }

  /// Fetch a share of what gates the outputs of a chunk: it comes from memory tile by tile, so it
  /// must be asked for while there is something to multiply.
  static void prefetch(const WinogradPlan& p, const Sizes& s, int64_t first, int64_t count,
                       int64_t block, const float* gated) {
    Place place(s.grid, first);
    for (int64_t i = 0; i < count; ++i, place.next(s.grid)) {
      const int64_t rows = std::min<int64_t>(kOut, p.out_h - place.row * kOut);
      const float* from = gated + start_of(p, s, place, block);
      for (int64_t j = 0; j < rows; ++j, from += p.out_w * kLanes)
        for (int64_t k = 0; k < kOut * kLanes; k += kLine) V::prefetch(from + k);
    }
  }

  /// Turn the products of a chunk and one block of filters into outputs.
  template <End kEnd, bool kGated = false>
  static void outputs(const WinogradPlan& p, const Sizes& s, int64_t first, int64_t count,
                      const float* m, int64_t block, const float* bias, const Finish& f, float* y) {
    const int64_t row = p.out_w * kLanes;
    const int64_t used = std::min<int64_t>(kLanes, p.out_c - block * kLanes);
    const Reg b = V::load(bias + block * kLanes);
    const auto store = [&](Reg v, int64_t at) {
      if constexpr (kGated) return V::store(y + at, V::where_positive(V::load(f.gated + at), v));
      finish<V, kEnd>(V::add(v, b), f, f.residual ? f.residual + at : nullptr, y + at, used);
    };
    Place place(s.grid, first);
    for (int64_t i = 0; i < count; ++i, place.next(s.grid), m += kLanes) {
      Reg t[kOut][kIn];
#pragma GCC unroll 8
      for (int column = 0; column < kIn; ++column) {
        Reg d[kIn], u[kOut];
#pragma GCC unroll 8
        for (int j = 0; j < kIn; ++j) d[j] = V::load(m + (j * kIn + column) * s.m_apart);
        T::output(d, u);
#pragma GCC unroll 4
        for (int j = 0; j < kOut; ++j) t[j][column] = u[j];
      }
      const int64_t rows = p.out_h - place.row * kOut, columns = p.out_w - place.column * kOut;
      const int64_t at = start_of(p, s, place, block);
      const bool full = rows >= kOut && columns >= kOut;
#pragma GCC unroll 4
      for (int j = 0; j < kOut; ++j) {
        Reg u[kOut];
        T::output(t[j], u);
#pragma GCC unroll 4
        for (int k = 0; k < kOut; ++k)
          if (full || (j < rows && k < columns)) store(u[k], at + j * row + k * kLanes);
      }
    }
  }

  /// The same with what `f` asks for.
  static void outputs(const WinogradPlan& p, const Sizes& s, int64_t first, int64_t count,
                      const float* m, int64_t block, const float* bias, const Finish& f, float* y) {
    if (f.gated) return outputs<End::kPlain, true>(p, s, first, count, m, block, bias, f, y);
    switch (end_of<V>(f, p.out_c - block * kLanes)) {
      case End::kPlain:
        return outputs<End::kPlain>(p, s, first, count, m, block, bias, f, y);
      case End::kRelu:
        return outputs<End::kRelu>(p, s, first, count, m, block, bias, f, y);
      case End::kAny:
        return outputs<End::kAny>(p, s, first, count, m, block, bias, f, y);
    }
  }

  static void run(const WinogradPlan& p, const float* x, const float* w, const Finish& f, float* y,
                  float* workspace) {
    const Sizes s(p);
    if (s.grid.total == 0) return;
    const TiledImage image{x, s.in_blocks, p.in_h, p.in_w};
    float* bias = workspace;
    pad_bias<V>(f, p.out_c, s.out_blocks, bias);
    float* shared = workspace + s.bias();
    const int64_t groups = ceil_div(s.out_blocks, kColumns);
    const auto columns_of = [&](int64_t group) {
      return std::min(kColumns, s.out_blocks - group * kColumns);
    };
    const auto tiles_of = [&](int64_t i) { return std::min(p.chunk, s.grid.total - i * p.chunk); };

    const auto store = [&](int64_t i, int64_t group, const float* m) {
      for (int64_t j = 0; j < columns_of(group); ++j)
        outputs(p, s, i * p.chunk, tiles_of(i), m + j * p.chunk * kLanes, group * kColumns + j,
                bias, f, y);
    };

    // The share of the chunk's tiles that the products of f leave time for.
    const auto fetch = [&](int64_t i, int64_t group) {
      return [&, i, group](int64_t f_now) {
        if (!f.gated) return;
        const int64_t from = tiles_of(i) * f_now / kCount, to = tiles_of(i) * (f_now + 1) / kCount;
        for (int64_t j = 0; from < to && j < columns_of(group); ++j)
          prefetch(p, s, i * p.chunk + from, to - from, group * kColumns + j, f.gated);
      };
    };

    if (p.by_filters) {
      float* own = shared + s.batch * s.v;
      for (int64_t first = 0; first < s.chunks; first += s.batch) {
        const int64_t count = std::min(s.batch, s.chunks - first);
        share_work(p.workers, count, [&](int64_t, int64_t i) {
          Tiles::inputs(image, s.grid, p.top, p.left, (first + i) * p.chunk, tiles_of(first + i),
                        p.chunk, shared + i * s.v);
        });
        share_work(p.workers, groups, [&](int64_t worker, int64_t group) {
          const int64_t made = p.packed ? 0 : kColumns * s.weight_block;
          float* m = own + worker * (s.m + made);
          float* u = m + s.m;
          for (int64_t begin = 0; begin < s.in_blocks; begin += s.depth) {
            const int64_t end = std::min(s.in_blocks, begin + s.depth);
            if (!p.packed)
              for (int64_t j = 0; j < columns_of(group); ++j)
                weights(p, s, w, group * kColumns + j, begin, end, u + j * s.weight_block);
            for (int64_t i = 0; i < count; ++i) {
              multiply(p, s, shared + i * s.v, tiles_of(first + i), begin, end,
                       p.packed ? w + group * kColumns * s.weight_block : u, columns_of(group), m,
                       fetch(first + i, group));
              if (end == s.in_blocks) store(first + i, group, m);
            }
          }
        });
      }
      return;
    }
    if (!p.packed) pack(p, w, shared);
    const float* u = p.packed ? w : shared;
    float* own = shared + (p.packed ? 0 : s.weights());
    share_work(p.workers, s.chunks, [&](int64_t worker, int64_t i) {
      float* v = own + worker * (s.v + s.m);
      float* m = v + s.v;
      Tiles::inputs(image, s.grid, p.top, p.left, i * p.chunk, tiles_of(i), p.chunk, v);
      for (int64_t group = 0; group < groups; ++group) {
        multiply(p, s, v, tiles_of(i), 0, s.in_blocks, u + group * kColumns * s.weight_block,
                 columns_of(group), m, fetch(i, group));
        store(i, group, m);
      }
    });
  }
};

}  // namespace striate::kernels::simd
