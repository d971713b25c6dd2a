// Convolution and its gradient to the input with images in the lanes: vectors are full whatever
// the number of channels.
//
//   y[g,p,q,k] = act(b[k] + residual + sum over (r,s,c) of w[k,r,s,c] * x[g, p'+r, q'+s, c])
//
// where each y[...] and x[...] is a vector of images. A tile of up to 6 filters by 4 (AVX2: 2)
// columns of one row stays in registers; a step loads the columns' vectors of one tap and channel
// and spreads one number of each filter. Taps and channels lie together in x, so that a row of the
// window is one run. Columns whose window leaves the image are summed one by one over the taps
// inside, so padding is neither stored nor multiplied.
#pragma once

#include <striate/kernels/simd/batch_lanes_kernels.h>
#include <striate/kernels/simd/conv_taps.h>
#include <striate/kernels/simd/finish.h>
#include <striate/kernels/simd/share_work.h>
#include <striate/kernels/simd/vector.h>

#include <algorithm>
#include <utility>

namespace striate::kernels::simd {

template <class V>
struct BatchLanes {
  using Reg = typename V::Reg;
  using Taps = ConvTaps<V>;
  static constexpr int64_t kLanes = V::kLanes;
  static constexpr int kFilters = 6;
  static constexpr int kColumns = V::kRegisters == 32 ? 4 : 2;
  static constexpr int64_t kWork = 32768;  // multiply-adds worth handing out

  /// `size` things in even blocks: the first `tall` of `height`, the others of one less.
  struct Blocks {
    int64_t count, height, tall;
    Blocks(int64_t size, int64_t most) : count(ceil_div(size, most)) {
      height = count ? ceil_div(size, count) : 0;
      tall = size - (height - 1) * count;
    }
    int64_t begin(int64_t i) const { return i * height - (i > tall ? i - tall : 0); }
    int64_t size(int64_t i) const { return i < tall ? height : height - 1; }
  };

  /// The sums of some filters and columns: `rows` rows of the window with `runs` runs each.
  struct Tile {
    const float *x, *w, *bias;
    float* y;
    int64_t rows, runs, run;  // vectors of a run
    int64_t x_row, x_run, x_column, w_row, w_run, y_column;
    bool relu;
  };

  template <int F, int Q>
  static void tile(const Tile& t) {
    Reg sum[F][Q];
#pragma GCC unroll 6
    for (int f = 0; f < F; ++f)
#pragma GCC unroll 4
      for (int q = 0; q < Q; ++q) sum[f][q] = V::broadcast(t.bias[f]);
    for (int64_t r = 0; r < t.rows; ++r)
      for (int64_t u = 0; u < t.runs; ++u) {
        const float* x = t.x + r * t.x_row + u * t.x_run;
        const float* w = t.w + r * t.w_row + u * t.w_run;
        for (int64_t i = 0; i < t.run; ++i, x += kLanes, w += F) {
          Reg right[Q];
#pragma GCC unroll 4
          for (int q = 0; q < Q; ++q) {
            right[q] = V::load(x + q * t.x_column);
            V::pin(right[q]);
          }
#pragma GCC unroll 6
          for (int f = 0; f < F; ++f) {
            Reg left = V::broadcast(w[f]);
            if (Q > 1) V::pin(left);
#pragma GCC unroll 4
            for (int q = 0; q < Q; ++q) sum[f][q] = V::multiply_add(left, right[q], sum[f][q]);
          }
        }
      }
    if (t.relu) {
#pragma GCC unroll 6
      for (int f = 0; f < F; ++f)
#pragma GCC unroll 4
        for (int q = 0; q < Q; ++q) sum[f][q] = V::if_negative(sum[f][q], V::zero());
    }
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q)
#pragma GCC unroll 6
      for (int f = 0; f < F; ++f) V::store(t.y + q * t.y_column + f * kLanes, sum[f][q]);
  }

  using TileFunction = void (*)(const Tile&);
  template <int F, int... Q>
  static TileFunction pick(int64_t columns, std::integer_sequence<int, Q...>) {
    static constexpr TileFunction kTiles[] = {tile<F, Q + 1>...};
    return kTiles[columns - 1];
  }
  template <int... F>
  static TileFunction pick(int64_t filters, int64_t columns, std::integer_sequence<int, F...>) {
    using Function = TileFunction (*)(int64_t, std::make_integer_sequence<int, kColumns>);
    static constexpr Function kRows[] = {pick<F + 1>...};
    return kRows[filters - 1](columns, {});
  }
  static TileFunction pick(int64_t filters, int64_t columns) {
    return pick(filters, columns, std::make_integer_sequence<int, kFilters>());
  }

  struct Sizes {
    Blocks filters;
    int64_t taps, w, bias, x_row, x_group, y_row, y_group;
    explicit Sizes(const LanesPlan& p)
        : filters(p.out_c, kFilters),
          taps(p.h.taps * p.w.taps),
          w(p.out_c * taps * p.in_c),
          bias(ceil_div(p.out_c, kLine) * kLine),
          x_row(p.w.in_size * p.in_c * kLanes),
          x_group(p.h.in_size * x_row),
          y_row(p.w.out_size * p.out_c * kLanes),
          y_group(p.h.out_size * y_row) {}
  };

  static void plan(LanesPlan& p) {
    const Sizes s(p);
    p.workspace = 4 * (s.bias + s.w);
  }

  /// Copy the filters of each block to [tap][channel][filter], the taps in the order of the axes.
  static void pack(const LanesPlan& p, const Sizes& s, const float* w, float* to) {
    const int64_t inner = p.h.window * p.w.window;
    const int64_t f_step = p.transposed ? 1 : inner * p.in_c;
    const int64_t c_step = p.transposed ? inner * p.out_c : 1;
    const int64_t tap_step = p.transposed ? p.out_c : p.in_c;
    share_work(s.w < 2 * kWork ? 1 : p.workers, s.filters.count, [&](int64_t, int64_t block) {
      const int64_t first = s.filters.begin(block), size = s.filters.size(block);
      float* at = to + first * s.taps * p.in_c;
      for (int64_t r = 0; r < p.h.taps; ++r)
        for (int64_t t = 0; t < p.w.taps; ++t) {
          const int64_t tap =
              (p.h.index + r * p.h.index_step) * p.w.window + p.w.index + t * p.w.index_step;
          const float* from = w + tap * tap_step + first * f_step;
          for (int64_t c = 0; c < p.in_c; ++c)
            for (int64_t f = 0; f < size; ++f) *at++ = from[c * c_step + f * f_step];
        }
    });
  }

  static void convolve(const LanesPlan& p, const float* x, const float* w, const Finish& f,
                       float* y, float* workspace) {
    const Sizes s(p);
    float *bias = workspace, *packed = workspace + s.bias;
    for (int64_t k = 0; k < p.out_c; ++k) bias[k] = f.bias ? f.bias[k] : 0;
    pack(p, s, w, packed);
    // Columns whose whole window lies on the image are [begin, end).
    const int64_t reach = (p.w.taps - 1) * p.w.offset_step, a = p.w.in_step;
    const int64_t room = p.w.in_size - 1 - p.w.offset - reach;
    const int64_t begin =
        std::clamp<int64_t>(p.w.offset < 0 ? ceil_div(-p.w.offset, a) : 0, 0, p.w.count);
    const int64_t end = std::clamp<int64_t>(room < 0 ? 0 : room / a + 1, begin, p.w.count);
    const int64_t row_work = std::max<int64_t>(1, p.w.count * p.out_c * s.taps * p.in_c);
    const int64_t band = std::clamp<int64_t>(kWork / row_work, 1, std::max<int64_t>(1, p.h.count));
    const int64_t bands = ceil_div(p.h.count, band);
    share_ranges(p.workers, p.groups * bands, [&](int64_t, int64_t item) {
      const int64_t group = item / bands, stop = std::min(p.h.count, (item % bands + 1) * band);
      const int64_t used = group + 1 == p.groups ? p.last : kLanes;
      for (int64_t i = item % bands * band; i < stop; ++i)
        row(p, s, x + group * s.x_group, packed, bias, f, i, begin, end, used,
            group * s.y_group + (p.h.first + i * p.h.step) * s.y_row, y);
    });
  }

  /// Make one row of outputs, at offset `to` in y.
  static void row(const LanesPlan& p, const Sizes& s, const float* x, const float* packed,
                  const float* bias, const Finish& f, int64_t i, int64_t begin, int64_t end,
                  int64_t used, int64_t to, float* y) {
    const bool simple = !f.residual && used == kLanes &&
                        (f.activation == Activation::kNone || f.activation == Activation::kRelu);
    const Taps rows(p.h, i);
    const int64_t pixel = p.in_c * kLanes, y_column = p.w.step * p.out_c * kLanes;
    const Blocks columns(end - begin, kColumns);
    y += to;
    Tile t;
    t.rows = rows.end - rows.begin;
    t.x_row = p.h.offset_step * s.x_row;
    t.x_run = p.w.offset_step * pixel;
    t.x_column = p.w.in_step * pixel;
    t.y_column = y_column;
    t.relu = simple && f.activation == Activation::kRelu;
    x += (i * p.h.in_step + p.h.offset + rows.begin * p.h.offset_step) * s.x_row;
    for (int64_t k = 0; k < s.filters.count; ++k) {
      const int64_t first = s.filters.begin(k), size = s.filters.size(k);
      t.w_run = p.in_c * size;
      t.w_row = p.w.taps * t.w_run;
      t.bias = bias + first;
      const float* filters = packed + first * s.taps * p.in_c + rows.begin * t.w_row;
      const auto sum = [&](int64_t q, int64_t count, int64_t tap, int64_t tap_end) {
        const bool joined = p.w.offset_step == 1;
        t.runs = joined ? 1 : tap_end - tap;
        t.run = joined ? (tap_end - tap) * p.in_c : p.in_c;
        t.x = x + (q * p.w.in_step + p.w.offset + tap * p.w.offset_step) * pixel;
        t.w = filters + tap * t.w_run;
        t.y = y + (p.w.first * p.out_c + first) * kLanes + q * y_column;
        pick(size, count)(t);
      };
      const auto edge = [&](int64_t q) {
        const Taps taps(p.w, q);
        sum(q, 1, taps.begin, taps.end);
      };
      for (int64_t q = 0; q < begin; ++q) edge(q);
      for (int64_t j = 0; j < columns.count; ++j)
        sum(begin + columns.begin(j), columns.size(j), 0, p.w.taps);
      for (int64_t q = end; q < p.w.count; ++q) edge(q);
    }
    if (simple) return;
    for (int64_t q = 0; q < p.w.count; ++q)
      for (int64_t k = 0; k < p.out_c; ++k) {
        const int64_t at = (p.w.first * p.out_c + k) * kLanes + q * y_column;
        const float* residual = f.residual ? f.residual + to + at : nullptr;
        finish<V>(V::load(y + at), f, residual, y + at, used);
      }
  }
};

}  // namespace striate::kernels::simd
