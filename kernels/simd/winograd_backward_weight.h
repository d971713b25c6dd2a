// The gradient of 3x3 filters in Winograd's domain, F(m x m, 3 x 3) of stride 1.
//
//   V = B^T d B of the inputs        [f][C / lanes][chunk][lanes]
//   Z = A dy A^T of the gradients    [f][K / lanes][chunk][lanes]
//   dU[f] = V[f]^T * Z[f], summed over all tiles, then dw = G^T dU G once
//
// Two ways to divide the sum. In parts, where dU is small: a fixed number of parts of the tiles,
// each with its own dU that stays in a core's cache, is added up at the end. Shared: V and Z of
// many tiles are made first and each thread then owns squares of channels by filters. Neither
// depends on the number of threads, so nor does a bit of the result. db is summed while dy is read.
#pragma once

#include <striate/kernels/simd/conv_kernels.h>
#include <striate/kernels/simd/winograd_tiles.h>
#include <striate/kernels/simd/winograd_transforms.h>

#include <algorithm>

namespace striate::kernels::simd {

template <class V, template <class> class Transform>
struct WinogradBackwardWeight : WinogradTiles<V, Transform> {
  using Tiles = WinogradTiles<V, Transform>;
  using Tiles::kCount, Tiles::kIn, Tiles::kLanes, Tiles::kOut;
  using typename Tiles::Grid;
  using typename Tiles::Reg;
  using typename Tiles::T;

  static constexpr int64_t kSide = 64 / kLanes;  // blocks of a square's side
  static constexpr int64_t kTap = kLanes * kLanes;

  /// A rectangle of channel and filter blocks.
  struct Square {
    int64_t c0, c_count, k0, k_count;
    int64_t apart() const { return c_count * k_count * kTap + kLine; }
    int64_t floats() const { return apart() * kCount; }
  };

  struct Sizes {
    Grid grid;
    int64_t c_blocks, k_blocks, chunks, v_apart, v, z_apart, z, c_squares, squares, group;
    explicit Sizes(const WinogradPlan& p)
        : grid(p.n, p.out_h, p.out_w),
          c_blocks(Tiles::blocks(p.in_c)),
          k_blocks(Tiles::blocks(p.out_c)),
          chunks(ceil_div(grid.total, p.chunk)),
          v_apart(Tiles::apart(p.chunk, c_blocks)),
          v(v_apart * kCount),
          z_apart(Tiles::apart(p.chunk, k_blocks)),
          z(z_apart * kCount),
          c_squares(ceil_div(c_blocks, kSide)),
          squares(c_squares * ceil_div(k_blocks, kSide)),
          group(std::max<int64_t>(1, std::min(chunks, kShared / (v + z)))) {}
    Square whole() const { return {0, c_blocks, 0, k_blocks}; }
    Square square(int64_t i) const {
      const int64_t c0 = i % c_squares * kSide, k0 = i / c_squares * kSide;
      return {c0, std::min(kSide, c_blocks - c0), k0, std::min(kSide, k_blocks - k0)};
    }
    static int64_t full_square() { return Square{0, kSide, 0, kSide}.floats(); }
    int64_t sums() const { return ceil_div(k_blocks * kLanes, kLine) * kLine; }
  };
  static constexpr int64_t kShared = (8 << 20) / 4;  // floats of V and Z made at a time
  static constexpr int64_t kCache = 640 * 1024 / 4;  // of V and Z of one chunk, in parts

  static void plan(WinogradPlan& p) {
    const int64_t c = Tiles::blocks(p.in_c) * kLanes, k = Tiles::blocks(p.out_c) * kLanes;
    const int64_t tiles = std::max<int64_t>(1, Grid(p.n, p.out_h, p.out_w).total);
    const bool in_parts = kCount * c * k * 4 <= 1400 * 1024;
    int64_t chunk = 128;
    if (in_parts) chunk = std::clamp<int64_t>(kCache / (kCount * (c + k)), 48, 96);
    p.chunk = ceil_div(tiles, ceil_div(tiles, chunk));
    const Sizes s(p);
    p.parts = 0;
    if (in_parts)
      for (p.parts = std::clamp<int64_t>(s.chunks, 1, 2); p.parts < 16 && p.parts * 12 <= s.chunks;)
        p.parts *= 2;
    if (in_parts)
      p.workspace = p.parts * (s.sums() + s.whole().floats()) + p.workers * (s.v + s.z);
    else
      p.workspace = s.chunks * s.sums() + s.group * (s.v + s.z) +
                    (s.group < s.chunks ? s.squares : p.workers) * Sizes::full_square();
    p.workspace *= 4;
  }

  /// Add a chunk's products to dU, or begin it.
  static void multiply(const WinogradPlan& p, const Sizes& s, const Square& q, const float* v,
                       const float* z, int64_t count, bool first, float* du) {
    Product g;
    g.a_inner = kLanes;
    g.b_column = p.chunk * kLanes;
    g.c_row = kLanes;
    g.c_column = q.c_count * kTap;
    g.inner = count;
    g.accumulate = !first;
    for (int f = 0; f < kCount; ++f)
      for (int64_t c = 0; c < q.c_count; ++c) {
        g.a = v + f * s.v_apart + (q.c0 + c) * p.chunk * kLanes;
        g.b = z + f * s.z_apart + q.k0 * p.chunk * kLanes;
        g.c = du + f * q.apart() + c * kTap;
        const int64_t rows = std::min<int64_t>(kLanes, p.in_c - (q.c0 + c) * kLanes);
        Gemm<V>::rows_adjacent(g, rows, q.k_count);
      }
  }

  /// Make the filters of channel block `c` and filter block `k` of a square, from the sum of
  /// `parts` dU that lie `part` floats apart.
  static void weights(const WinogradPlan& p, const Sizes& s, const Square& q, int64_t c, int64_t k,
                      const float* du, int64_t parts, int64_t part, float* dw) {
    const int64_t c_used = std::min<int64_t>(kLanes, p.in_c - (q.c0 + c) * kLanes);
    const int64_t k_used = std::min<int64_t>(kLanes, p.out_c - (q.k0 + k) * kLanes);
    float* out = dw + ((q.k0 + k) * s.c_blocks + q.c0 + c) * 9 * kTap;
    const float* from = du + (k * q.c_count + c) * kTap;
    for (int64_t i = 0; i < kLanes; ++i, from += kLanes, out += kLanes) {
      Reg t[3][kIn], g[3];
      if (i >= c_used) {
        for (int tap = 0; tap < 9; ++tap) V::store(out + tap * kTap, V::zero());
        continue;
      }
      for (int column = 0; column < kIn; ++column) {
        Reg u[kIn];
        for (int row = 0; row < kIn; ++row) {
          const float* at = from + (row * kIn + column) * q.apart();
          u[row] = V::load(at);
          for (int64_t j = 1; j < parts; ++j) u[row] = V::add(u[row], V::load(at + j * part));
        }
        T::weight_gradient(u, g);
        for (int row = 0; row < 3; ++row) t[row][column] = g[row];
      }
      for (int row = 0; row < 3; ++row) {
        T::weight_gradient(t[row], g);
        for (int column = 0; column < 3; ++column)
          V::store(out + (row * 3 + column) * kTap, V::first_lanes(g[column], k_used));
      }
    }
  }

  static void run(const WinogradPlan& p, const float* x, const float* dy, float* dw, float* db,
                  float* workspace) {
    const Sizes s(p);
    const int64_t dw_floats = s.c_blocks * s.k_blocks * 9 * kTap;
    if (s.grid.total == 0) {
      clear<V>(dw, dw_floats);
      for (int64_t k = 0; db && k < p.out_c; ++k) db[k] = 0;
      return;
    }
    const TiledImage in{x, s.c_blocks, p.in_h, p.in_w}, gradient{dy, s.k_blocks, p.out_h, p.out_w};
    const auto tiles_of = [&](int64_t i) { return std::min(p.chunk, s.grid.total - i * p.chunk); };
    const auto transform = [&](int64_t i, float* v, float* z, float* sums) {
      Tiles::inputs(in, s.grid, p.top, p.left, i * p.chunk, tiles_of(i), p.chunk, v);
      Tiles::output_gradients(gradient, s.grid, i * p.chunk, tiles_of(i), p.chunk, z,
                              db ? sums : nullptr);
    };
    const int64_t sum_count = p.parts ? p.parts : s.chunks;
    float* sums = workspace;
    clear<V>(sums, sum_count * s.sums());
    float* rest = sums + sum_count * s.sums();

    if (p.parts) {
      const Square all = s.whole();
      float* own = rest + p.parts * all.floats();
      share_work(p.workers, p.parts, [&](int64_t worker, int64_t part) {
        float* v = own + worker * (s.v + s.z);
        const int64_t begin = s.chunks * part / p.parts, end = s.chunks * (part + 1) / p.parts;
        for (int64_t i = begin; i < end; ++i) {
          transform(i, v, v + s.v, sums + part * s.sums());
          multiply(p, s, all, v, v + s.v, tiles_of(i), i == begin, rest + part * all.floats());
        }
      });
      share_work(p.workers, s.k_blocks * s.c_blocks, [&](int64_t, int64_t i) {
        weights(p, s, all, i % s.c_blocks, i / s.c_blocks, rest, p.parts, all.floats(), dw);
      });
    } else {
      const bool kept = s.group < s.chunks;  // dU of all squares between groups of chunks
      float* squares = rest + s.group * (s.v + s.z);
      for (int64_t begin = 0; begin < s.chunks; begin += s.group) {
        const int64_t end = std::min(s.chunks, begin + s.group);
        share_work(p.workers, end - begin, [&](int64_t, int64_t i) {
          float* v = rest + i * (s.v + s.z);
          transform(begin + i, v, v + s.v, sums + (begin + i) * s.sums());
        });
        share_work(p.workers, s.squares, [&](int64_t worker, int64_t square) {
          const Square q = s.square(square);
          float* du = squares + (kept ? square : worker) * Sizes::full_square();
          for (int64_t i = begin; i < end; ++i) {
            const float* v = rest + (i - begin) * (s.v + s.z);
            multiply(p, s, q, v, v + s.v, tiles_of(i), i == 0, du);
          }
          if (end < s.chunks) return;
          for (int64_t c = 0; c < q.c_count; ++c)
            for (int64_t k = 0; k < q.k_count; ++k) weights(p, s, q, c, k, du, 1, 0, dw);
        });
      }
    }
    if (!db) return;
    for (int64_t k = 0; k < p.out_c; ++k) {
      float sum = 0;
      for (int64_t i = 0; i < sum_count; ++i) sum += sums[i * s.sums() + k];
      db[k] = sum;
    }
  }
};

}  // namespace striate::kernels::simd
