// The gradient of the filters with images in the lanes.
//
//   dw[k,r,s,c] = sum over lanes of (sum over g,p,q of dy[g,p,q,k] * x[g, p'+r, q'+s, c])
//
// Up to 6 filters by 4 (AVX2: 2) neighbouring numbers of a window's row stay in registers, one
// vector of images each, while the pixels of a band of rows, small enough for the first cache, run
// by; x and dy are both loaded as vectors. The rows of all images are divided into a fixed number
// of parts, whose sums are added, and the lanes last, in an order that does not depend on the
// threads. A band is copied with its padding where it has some: an infinite dy whose window reaches
// into the padding makes NaN there.
#pragma once

#include <striate/kernels/simd/batch_lanes.h>

namespace striate::kernels::simd {

template <class V>
struct BatchLanesBackwardWeight {
  using Reg = typename V::Reg;
  using Blocks = typename BatchLanes<V>::Blocks;
  static constexpr int64_t kLanes = V::kLanes;
  static constexpr int kFilters = 6;
  static constexpr int kPlaces = V::kRegisters == 32 ? 4 : 2;
  static constexpr int64_t kBand = 80 * 1024 / 4;   // floats of x and dy that run by together
  static constexpr int64_t kSums = 640 * 1024 / 4;  // floats of partial sums
  static constexpr int64_t kItems = 12;             // of work

  struct Sizes {
    Blocks filters;
    int64_t taps, runs, run;  // `taps` numbers of a filter; in a row of the window, runs of `run`
    int64_t x_row, x_group, y_row, y_group, rows;
    int64_t width, copied, band, scratch, sums, db;
    explicit Sizes(const LanesPlan& p)
        : filters(p.out_c, kFilters),
          taps(p.h.taps * p.w.taps * p.in_c),
          runs(p.w.offset_step == 1 ? 1 : p.w.taps),
          run(p.w.offset_step == 1 ? p.w.taps * p.in_c : p.in_c),
          x_row(p.w.in_size * p.in_c * kLanes),
          x_group(p.h.in_size * x_row),
          y_row(p.w.count * p.out_c * kLanes),
          y_group(p.h.count * y_row),
          rows(p.groups * p.h.count) {
      // Input columns that windows reach, from p.w.offset on.
      width = (p.w.count - 1) * p.w.in_step + (p.w.taps - 1) * p.w.offset_step + 1;
      copied = p.w.offset < 0 || p.w.offset + width > p.w.in_size ? width * p.in_c * kLanes : 0;
      const int64_t row = (p.w.count * filters.height + width * p.in_c * p.h.in_step) * kLanes;
      band = std::clamp<int64_t>(kBand / std::max<int64_t>(1, row), 1,
                                 std::max<int64_t>(1, p.h.count));
      scratch = copied * ((band - 1) * p.h.in_step + (p.h.taps - 1) * p.h.offset_step + 1);
      sums = taps * kLanes;  // of one filter
      db = kLanes;
    }
    int64_t filter() const { return sums + db; }
  };

  static void plan(LanesPlan& p) {
    const Sizes s(p);
    const int64_t all = p.out_c * s.filter();
    p.parts = std::min({ceil_div(kItems, s.filters.count), kSums / all, s.rows});
    p.parts = std::max<int64_t>(1, p.parts);
    const int64_t shared = p.parts > 1 ? p.parts * all : 0;
    const int64_t own = s.scratch + (p.parts > 1 ? 0 : s.filters.height * s.filter());
    p.workspace = 4 * (shared + p.workers * own);
  }

  /// The sums of some filters and places over `rows` rows of `columns` pixels.
  struct Tile {
    const float *x, *dy;
    float* sums;
    int64_t rows, columns, x_row, x_column, dy_row, dy_column, filter;
  };

  template <int F, int T>
  static void tile(const Tile& t) {
    Reg sum[F][T];
#pragma GCC unroll 6
    for (int f = 0; f < F; ++f)
#pragma GCC unroll 4
      for (int j = 0; j < T; ++j) sum[f][j] = V::load(t.sums + f * t.filter + j * kLanes);
    for (int64_t r = 0; r < t.rows; ++r) {
      const float *x = t.x + r * t.x_row, *dy = t.dy + r * t.dy_row;
      for (int64_t q = 0; q < t.columns; ++q, x += t.x_column, dy += t.dy_column) {
        Reg right[T];
#pragma GCC unroll 4
        for (int j = 0; j < T; ++j) {
          right[j] = V::load(x + j * kLanes);
          V::pin(right[j]);
        }
#pragma GCC unroll 6
        for (int f = 0; f < F; ++f) {
          Reg left = V::load(dy + f * kLanes);
          if (T > 1) V::pin(left);
#pragma GCC unroll 4
          for (int j = 0; j < T; ++j) sum[f][j] = V::multiply_add(left, right[j], sum[f][j]);
        }
      }
    }
#pragma GCC unroll 6
    for (int f = 0; f < F; ++f)
#pragma GCC unroll 4
      for (int j = 0; j < T; ++j) V::store(t.sums + f * t.filter + j * kLanes, sum[f][j]);
  }

  using TileFunction = void (*)(const Tile&);
  template <int F, int... T>
  static TileFunction pick(int64_t places, std::integer_sequence<int, T...>) {
    static constexpr TileFunction kTiles[] = {tile<F, T + 1>...};
    return kTiles[places - 1];
  }
  template <int... F>
  static TileFunction pick(int64_t filters, int64_t places, std::integer_sequence<int, F...>) {
    using Function = TileFunction (*)(int64_t, std::make_integer_sequence<int, kPlaces>);
    static constexpr Function kRows[] = {pick<F + 1>...};
    return kRows[filters - 1](places, {});
  }
  static TileFunction pick(int64_t filters, int64_t places) {
    return pick(filters, places, std::make_integer_sequence<int, kFilters>());
  }

  /// Copy rows [begin, end) of x, as far as they exist, with columns of zeros beside them.
  static void copy(const LanesPlan& p, const Sizes& s, const float* x, int64_t begin, int64_t end,
                   float* to) {
    const int64_t pixel = p.in_c * kLanes;
    const int64_t left = std::clamp<int64_t>(-p.w.offset * pixel, 0, s.copied);
    const int64_t from = std::max<int64_t>(0, p.w.offset * pixel);
    const int64_t inside = std::clamp<int64_t>(s.x_row - from, 0, s.copied - left);
    for (int64_t h = begin; h < end; ++h, to += s.copied) {
      if (h < 0 || h >= p.h.in_size) continue;
      const float* row = x + h * s.x_row + from;
      clear<V>(to, left);
      for (int64_t i = 0; i < inside; i += kLanes) V::store(to + left + i, V::load(row + i));
      clear<V>(to + left + inside, s.copied - left - inside);
    }
  }

  /// Add `count` vectors, `apart` floats apart, to `sum`, in four strands.
  static void add_pixels_apart(const float* dy, int64_t count, int64_t apart, float* sum) {
    Reg strand[4] = {V::load(sum), V::zero(), V::zero(), V::zero()};
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
      for (int j = 0; j < 4; ++j) strand[j] = V::add(strand[j], V::load(dy + (i + j) * apart));
    for (; i < count; ++i) strand[0] = V::add(strand[0], V::load(dy + i * apart));
    V::store(sum, V::add(V::add(strand[0], strand[1]), V::add(strand[2], strand[3])));
  }

  /// Add rows [begin, end) of one group to the sums of filter block `block`.
  static void band(const LanesPlan& p, const Sizes& s, const float* x, const float* dy,
                   int64_t begin, int64_t end, int64_t block, float* sums, float* scratch) {
    const int64_t first = s.filters.begin(block), size = s.filters.size(block);
    const int64_t pixel = p.in_c * kLanes, top = begin * p.h.in_step + p.h.offset;
    const int64_t width = s.copied ? s.copied : s.x_row;
    dy += first * kLanes;
    if (s.copied)
      copy(p, s, x, top,
           (end - 1) * p.h.in_step + p.h.offset + (p.h.taps - 1) * p.h.offset_step + 1, scratch);
    else
      x += top * s.x_row + p.w.offset * pixel;
    const float* from = s.copied ? scratch : x;
    for (int64_t f = 0; p.bias && f < size; ++f)
      add_pixels_apart(dy + f * kLanes + begin * s.y_row, (end - begin) * p.w.count,
                       p.out_c * kLanes, sums + f * s.filter() + s.sums);
    const Blocks places(s.run, kPlaces);
    Tile t;
    t.columns = p.w.count;
    t.x_row = p.h.in_step * width;
    t.x_column = p.w.in_step * pixel;
    t.dy_row = s.y_row;
    t.dy_column = p.out_c * kLanes;
    t.filter = s.filter();
    for (int64_t r = 0; r < p.h.taps; ++r) {
      // Rows whose tap r lies on the image.
      const int64_t offset = p.h.offset + r * p.h.offset_step, room = p.h.in_size - 1 - offset;
      const int64_t row = std::max(begin, offset < 0 ? ceil_div(-offset, p.h.in_step) : 0);
      const int64_t row_end = std::min(end, room < 0 ? 0 : room / p.h.in_step + 1);
      if (row >= row_end) continue;
      t.rows = row_end - row;
      t.dy = dy + row * s.y_row;
      const float* line = from + ((row - begin) * p.h.in_step + r * p.h.offset_step) * width;
      for (int64_t u = 0; u < s.runs; ++u)
        for (int64_t j = 0; j < places.count; ++j) {
          const int64_t place = places.begin(j);
          t.x = line + u * p.w.offset_step * pixel + place * kLanes;
          t.sums = sums + ((r * s.runs + u) * s.run + place) * kLanes;
          pick(size, places.size(j))(t);
        }
    }
  }

  /// Add `parts` sums of `count` vectors, `apart` floats apart, and the lanes of each: `count`
  /// numbers.
  static void add_lanes(const float* sums, int64_t parts, int64_t apart, int64_t count, float* to) {
    for (int64_t i = 0; i < count; i += kLanes) {
      const int64_t some = std::min(kLanes, count - i);
      Reg r[kLanes];
      for (int64_t j = 0; j < kLanes; ++j) {
        r[j] = V::zero();
        if (j >= some) continue;
        for (int64_t part = 0; part < parts; ++part)
          r[j] = V::add(r[j], V::load(sums + part * apart + (i + j) * kLanes));
      }
      V::transpose(r);
      for (int64_t half = kLanes / 2; half > 0; half /= 2)
        for (int64_t j = 0; j < half; ++j) r[j] = V::add(r[j], r[j + half]);
      if (some == kLanes) {
        V::store(to + i, r[0]);
      } else {
        float last[kLanes];
        V::store(last, r[0]);
        for (int64_t j = 0; j < some; ++j) to[i + j] = last[j];
      }
    }
  }

  static void run(const LanesPlan& p, const float* x, const float* dy, float* dw, float* db,
                  float* workspace) {
    const Sizes s(p);
    const int64_t all = p.out_c * s.filter(), height = s.filters.height;
    float* own = workspace + (p.parts > 1 ? p.parts * all : 0);
    const int64_t own_size = s.scratch + (p.parts > 1 ? 0 : height * s.filter());
    const auto store = [&](int64_t k, const float* sums) {
      add_lanes(sums, p.parts, all, s.taps, dw + k * s.taps);
      if (db) add_lanes(sums + s.sums, p.parts, all, 1, db + k);
    };
    share_ranges(p.workers, p.parts * s.filters.count, [&](int64_t worker, int64_t item) {
      const int64_t part = item / s.filters.count, block = item % s.filters.count;
      const int64_t first = s.filters.begin(block), size = s.filters.size(block);
      float* scratch = own + worker * own_size;
      float* sums = p.parts > 1 ? workspace + part * all + first * s.filter() : scratch + s.scratch;
      clear<V>(sums, size * s.filter());
      const int64_t stop = s.rows * (part + 1) / p.parts;
      for (int64_t row = s.rows * part / p.parts; row < stop;) {
        const int64_t group = row / p.h.count, begin = row % p.h.count;
        const int64_t end = std::min({begin + s.band, p.h.count, begin + stop - row});
        band(p, s, x + group * s.x_group, dy + group * s.y_group, begin, end, block, sums, scratch);
        row += end - begin;
      }
      if (p.parts == 1)
        for (int64_t f = 0; f < size; ++f) store(first + f, sums + f * s.filter());
    });
    if (p.parts > 1)
      share_work(all < (1 << 15) ? 1 : p.workers, p.out_c,
                 [&](int64_t, int64_t k) { store(k, workspace + k * s.filter()); });
  }
};

template <class V>
constexpr BatchLanesKernels make_batch_lanes_kernels(const char* instruction_set) {
  using Convolution = BatchLanes<V>;
  using BackwardWeight = BatchLanesBackwardWeight<V>;
  return {V::kLanes,
          instruction_set,
          Convolution::plan,
          Convolution::convolve,
          BackwardWeight::plan,
          BackwardWeight::run};
}

}  // namespace striate::kernels::simd
