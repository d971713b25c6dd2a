// Pooling on the CPU; dense NHWC, channels in blocks and images in groups alike: see
// kernels/image_lanes.h.
//
// The channels of a pixel (or a block of them) lie side by side, so a window is reduced for a tile
// of 16 lanes at a time, the tile in registers; the loop along the row is inside. Threads own rows
// of the output.
#include <striate/kernels/pool2d_rows.h>

namespace striate::kernels {
namespace {

/// The part of a window that lies on the image.
struct Places {
  int64_t rows, columns;
  int64_t first;   // number of its first place in the whole window
  int64_t window;  // width of the whole window
};

/// Maximum and winner. Greater or NaN wins, unless a NaN has won already.
template <class Winner>
struct Maximum {
  float* y;
  Winner* winner;
  bool rectified;
  int32_t none;

  template <int kTile, int kRows, int kColumns>
  STRIATE_INLINE void reduce(const float* x, int64_t row, int64_t pixel, Places s, float,
                             int64_t count, int64_t to) const {
    constexpr int kWidth = kTile ? kTile : 8;
    const int64_t n = kTile ? kTile : count;
    const int64_t rows = kRows ? kRows : s.rows, columns = kColumns ? kColumns : s.columns;
    float best[kWidth];
    int32_t place[kWidth];
    if constexpr (kRows == 2 && kColumns == 2) {  // two apart, then the better: a shorter chain
      const float *x1 = x + pixel, *x2 = x + row, *x3 = x2 + pixel;
      float low[kWidth];
      int32_t low_place[kWidth];
      const auto first = static_cast<int32_t>(s.first),
                 below = first + static_cast<int32_t>(s.window);
#pragma omp simd
      for (int64_t l = 0; l < n; ++l) {
        const float v0 = x[l], v1 = x1[l];
        const bool wins = !(v1 <= v0) & (v0 == v0);
        best[l] = wins ? v1 : v0;
        place[l] = wins ? first + 1 : first;
      }
#pragma omp simd
      for (int64_t l = 0; l < n; ++l) {
        const float v0 = x2[l], v1 = x3[l];
        const bool wins = !(v1 <= v0) & (v0 == v0);
        low[l] = wins ? v1 : v0;
        low_place[l] = wins ? below + 1 : below;
      }
#pragma omp simd
      for (int64_t l = 0; l < n; ++l) {
        const bool wins = !(low[l] <= best[l]) & (best[l] == best[l]);
        best[l] = wins ? low[l] : best[l];
        place[l] = wins ? low_place[l] : place[l];
      }
    } else {
      for (int64_t l = 0; l < n; ++l) best[l] = x[l];
      for (int64_t l = 0; l < n; ++l) place[l] = static_cast<int32_t>(s.first);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t k = 0; k < columns; ++k) {
          const float* v = x + r * row + k * pixel;
          const int32_t here = static_cast<int32_t>(s.first + r * s.window + k);
#pragma omp simd
          for (int64_t l = 0; l < n; ++l) {
            const bool wins = !(v[l] <= best[l]) & (best[l] == best[l]);
            best[l] = wins ? v[l] : best[l];
            place[l] = wins ? here : place[l];
          }
        }
    }
    if (rectified)
      for (int64_t l = 0; l < n; ++l) place[l] = best[l] > 0 ? place[l] : none;
    for (int64_t l = 0; l < n; ++l) y[to + l] = best[l];
    for (int64_t l = 0; l < n; ++l) winner[to + l] = static_cast<Winner>(place[l]);
  }
  STRIATE_INLINE void clear(int64_t begin, int64_t end) const {
    std::fill(y + begin, y + end, 0.0f);
    std::fill(winner + begin, winner + end, Winner(0));
  }
  /// Lanes without a channel or image hold zeros in `y` already; their winner must be 0 too.
  STRIATE_INLINE void clear_padding(int64_t begin, int64_t end) const {
    std::fill(winner + begin, winner + end, Winner(0));
  }
};

/// The maximum where nobody reads the winner, as in inference.
struct MaximumAlone {
  float* y;

  template <int kTile, int kRows, int kColumns>
  STRIATE_INLINE void reduce(const float* x, int64_t row, int64_t pixel, Places s, float,
                             int64_t count, int64_t to) const {
    constexpr int kWidth = kTile ? kTile : 8;
    const int64_t n = kTile ? kTile : count;
    const int64_t rows = kRows ? kRows : s.rows, columns = kColumns ? kColumns : s.columns;
    float best[kWidth];
    for (int64_t l = 0; l < n; ++l) best[l] = x[l];
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < columns; ++k) {
        const float* v = x + r * row + k * pixel;
#pragma omp simd
        for (int64_t l = 0; l < n; ++l)
          best[l] = !(v[l] <= best[l]) & (best[l] == best[l]) ? v[l] : best[l];
      }
    for (int64_t l = 0; l < n; ++l) y[to + l] = best[l];
  }
  STRIATE_INLINE void clear(int64_t begin, int64_t end) const {
    std::fill(y + begin, y + end, 0.0f);
  }
  STRIATE_INLINE void clear_padding(int64_t, int64_t) const {}
};

struct Mean {
  float* y;

  template <int kTile, int kRows, int kColumns>
  STRIATE_INLINE void reduce(const float* x, int64_t row, int64_t pixel, Places s, float share,
                             int64_t count, int64_t to) const {
    constexpr int kWidth = kTile ? kTile : 8;
    const int64_t n = kTile ? kTile : count;
    const int64_t rows = kRows ? kRows : s.rows, columns = kColumns ? kColumns : s.columns;
    float sum[kWidth];
    for (int64_t l = 0; l < n; ++l) sum[l] = 0;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t k = 0; k < columns; ++k) {
        const float* v = x + r * row + k * pixel;
#pragma omp simd
        for (int64_t l = 0; l < n; ++l) sum[l] += v[l];
      }
    for (int64_t l = 0; l < n; ++l) y[to + l] = sum[l] * share;
  }
  STRIATE_INLINE void clear(int64_t begin, int64_t end) const {
    std::fill(y + begin, y + end, 0.0f);
  }
  STRIATE_INLINE void clear_padding(int64_t, int64_t) const {}
};

/// Output rows [begin, end) of outer * P. `share`: [P, Q] factors of a mean, or null.
template <class Reduction>
struct Forward {
  static STRIATE_INLINE void run(const PoolView* view, const float* x, const float* share,
                                 Reduction reduction, int64_t begin, int64_t end) {
    const PoolView v = *view;
    const PoolAxis h = v.h, w = v.w;
    const int64_t lanes = v.lanes, row = v.input_row(), step = w.stride * lanes;
    // Windows [inner, outer_end) lie on the image with their whole width.
    const int64_t inner = std::min(w.out, (w.before + w.stride - 1) / w.stride);
    const int64_t room = w.size + w.before - w.window;
    const int64_t inner_end = std::max(inner, std::min(w.out, room < 0 ? 0 : room / w.stride + 1));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i / h.out, p = i % h.out;
      const int64_t r0 = h.first(p), r1 = h.last(p);
      const int64_t y_row = i * v.output_row();
      if (r0 >= r1) {
        reduction.clear(y_row, y_row + v.output_row());
        continue;
      }
      const float* top = x + (o * h.size + h.start(p) + r0) * row;
      const float* shares = share ? share + p * w.out : nullptr;
      const Places inside{r1 - r0, w.window, r0 * w.window, w.window};
      for_each_tile(lanes, [&](auto tile, int64_t l, int64_t n) STRIATE_INLINED {
        constexpr int kTile = tile.value;
        const auto edge = [&](int64_t q) STRIATE_INLINED {
          const int64_t s0 = w.first(q), s1 = w.last(q), to = y_row + q * lanes + l;
          if (s0 >= s1) return reduction.clear(to, to + n);
          reduction.template reduce<kTile, 0, 0>(top + (w.start(q) + s0) * lanes + l, row, lanes,
                                                 {r1 - r0, s1 - s0, r0 * w.window + s0, w.window},
                                                 shares ? shares[q] : 0, n, to);
        };
        for (int64_t q = 0; q < inner; ++q) edge(q);
        const float* from = top + w.start(inner) * lanes + l;
        int64_t to = y_row + inner * lanes + l;
        if (inside.rows == 2 && inside.columns == 2) {
          for (int64_t q = inner; q < inner_end; ++q, from += step, to += lanes)
            reduction.template reduce<kTile, 2, 2>(from, row, lanes, inside, shares ? shares[q] : 0,
                                                   n, to);
        } else if (inside.rows == 3 && inside.columns == 3) {
          for (int64_t q = inner; q < inner_end; ++q, from += step, to += lanes)
            reduction.template reduce<kTile, 3, 3>(from, row, lanes, inside, shares ? shares[q] : 0,
                                                   n, to);
        } else {
          for (int64_t q = inner; q < inner_end; ++q, from += step, to += lanes)
            reduction.template reduce<kTile, 0, 0>(from, row, lanes, inside, shares ? shares[q] : 0,
                                                   n, to);
        }
        for (int64_t q = inner_end; q < w.out; ++q) edge(q);
      });
      if (v.used < v.run && o % v.blocks == v.blocks - 1)
        for (int64_t at = y_row; at < y_row + v.output_row(); at += v.run)
          reduction.clear_padding(at + v.used, at + v.run);
    }
  }
};

/// Read x at the winners. Output rows [begin, end) of outer * P.
template <class Winner>
struct Gather {
  static STRIATE_INLINE void run(const PoolView* view, const float* x, const Winner* winner,
                                 float* y, int64_t begin, int64_t end) {
    const PoolAxis h = view->h, w = view->w;
    const int64_t lanes = view->lanes;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i / h.out, p = i % h.out;
      for (int64_t q = 0; q < w.out; ++q)
        for (int64_t l = 0; l < lanes; ++l) {
          const int64_t to = (i * w.out + q) * lanes + l, place = winner[to];
          const int64_t a = h.start(p) + place / w.window, b = w.start(q) + place % w.window;
          const bool inside = place >= 0 && place < h.window * w.window && a >= 0 && a < h.size &&
                              b >= 0 && b < w.size;
          y[to] = inside ? x[((o * h.size + a) * w.size + b) * lanes + l] : 0.0f;
        }
    }
  }
};

int64_t floats_per_row(const PoolView& v) { return v.h.window * v.input_row() + v.output_row(); }

template <class Winner>
Prepared prepare_max(const PoolView& v, const Pool2dShape& s) {
  Prepared prepared;
  prepared.kernel = make_kernel([v, s](const Arguments& a) {
    const Maximum<Winner> maximum{output<float>(a, 0), output<Winner>(a, 1), s.rectified,
                                  static_cast<int32_t>(s.none())};
    over_rows<Forward<Maximum<Winner>>>(v.outer * v.h.out, floats_per_row(v), &v,
                                        input<float>(a, 0), static_cast<const float*>(nullptr),
                                        maximum);
  });
  return prepared;
}

Prepared prepare_max_alone(const PoolView& v) {
  Prepared prepared;
  prepared.detail = "without winner";
  prepared.kernel = make_kernel([v](const Arguments& a) {
    over_rows<Forward<MaximumAlone>>(v.outer * v.h.out, floats_per_row(v), &v, input<float>(a, 0),
                                     static_cast<const float*>(nullptr),
                                     MaximumAlone{output<float>(a, 0)});
  });
  return prepared;
}

template <class Winner>
Prepared prepare_gather(const PoolView& v) {
  Prepared prepared;
  prepared.kernel = make_kernel([v](const Arguments& a) {
    over_rows<Gather<Winner>>(v.outer * v.h.out, floats_per_row(v), &v, input<float>(a, 0),
                              input<Winner>(a, 1), output<float>(a, 0));
  });
  return prepared;
}

const Register max_pool2d(direct_entry("max_pool2d", [](const Problem& problem) {
  const auto& options = problem.get<Pool2dOptions>();
  const Layout layout = pool_layout(problem.inputs[0]);
  const Pool2dShape s = pool2d_shape(options, problem.inputs[0].shape);
  const PoolView v(s, layout);
  const bool byte = pool2d_winner_dtype(options) == DType::kU8;
  Prepared prepared = !problem.is_read(1) ? prepare_max_alone(v)
                      : byte              ? prepare_max<uint8_t>(v, s)
                                          : prepare_max<int32_t>(v, s);
  prepared.inputs = {layout};
  prepared.outputs = {layout, layout};
  return prepared;
}));

const Register max_pool2d_gather(direct_entry("max_pool2d_gather", [](const Problem& problem) {
  const auto& options = problem.get<Pool2dOptions>();
  const Layout layout = pool_layout(problem.inputs[1]);
  const PoolView v(pool2d_shape(options, problem.inputs[0].shape), layout);
  const bool byte = pool2d_winner_dtype(options) == DType::kU8;
  Prepared prepared = byte ? prepare_gather<uint8_t>(v) : prepare_gather<int32_t>(v);
  prepared.inputs = {layout, layout};
  prepared.outputs = {layout};
  return prepared;
}));

const Register avg_pool2d(direct_entry("avg_pool2d", [](const Problem& problem) {
  const Layout layout = pool_layout(problem.inputs[0]);
  const Pool2dShape s = pool2d_shape(problem.get<Pool2dOptions>(), problem.inputs[0].shape);
  const PoolView v(s, layout);
  Prepared prepared;
  prepared.inputs = {layout};
  prepared.outputs = {layout};
  prepared.kernel = make_kernel([v, share = pool2d_shares(s)](const Arguments& a) {
    over_rows<Forward<Mean>>(v.outer * v.h.out, floats_per_row(v), &v, input<float>(a, 0),
                             share.data(), Mean{output<float>(a, 0)});
  });
  return prepared;
}));

}  // namespace
}  // namespace striate::kernels
