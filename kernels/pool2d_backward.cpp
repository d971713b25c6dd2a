// Gradients of pooling on the CPU; dense NHWC, channels in blocks and images in groups alike.
//
// Threads own rows of dx. A row takes from each row of windows that holds it what those windows
// give to it, one column of the windows after the other: no two threads add to one place, windows
// that overlap are summed in (p,q) order, and the loop along the windows is plain.
#include <striate/kernels/pool2d_rows.h>

#include <bit>

namespace striate::kernels {
namespace {

/// Return `value` or 0, without the branch that gcc would keep out of vectors.
STRIATE_INLINE float where(bool condition, float value) {
  const uint32_t mask = -static_cast<uint32_t>(condition);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) & mask);
}

/// Windows give their gradient to their winner's place `here`.
template <class Winner>
struct ToWinner {
  const float* dy;
  const Winner* winner;

  /// part[i] = what window element from + i gives to place `here`.
  STRIATE_INLINE void give(int64_t from, int64_t here, const float*, int64_t, int64_t n,
                           float* __restrict part) const {
    const Winner wanted = static_cast<Winner>(here);
    for (int64_t i = 0; i < n; ++i) part[i] = where(winner[from + i] == wanted, dy[from + i]);
  }
};

/// Windows give the same share of their gradient to all their places.
struct Share {
  const float* dy;

  STRIATE_INLINE void give(int64_t from, int64_t, const float* share, int64_t lanes, int64_t n,
                           float* __restrict part) const {
    for (int64_t i = 0; i < n; i += lanes, ++share) {
      const float factor = *share;
      int64_t l = i;
      for (; l + 8 <= i + lanes; l += 8)
        for (int j = 0; j < 8; ++j) part[l + j] = dy[from + l + j] * factor;
      for (; l < i + lanes; ++l) part[l] = dy[from + l] * factor;
    }
  }
};

constexpr int64_t kPart = 2048;  // floats made at a time: 8 KiB, well inside the first cache

/// Input rows [begin, end) of outer * H. `share`: [P, Q] factors of a mean, or null.
template <class Gradient>
struct Backward {
  static STRIATE_INLINE void run(const PoolView* view, const float* share, Gradient gradient,
                                 float* dx, int64_t begin, int64_t end) {
    const PoolAxis h = view->h, w = view->w;
    const int64_t lanes = view->lanes, step = w.stride * lanes;
    const int64_t slice = std::min(lanes, kPart);                 // of the lanes
    const int64_t windows = kPart / std::max<int64_t>(slice, 1);  // at a time
    alignas(64) float part[kPart];
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i / h.size, y = i % h.size;
      float* row = dx + i * w.size * lanes;
      std::fill(row, row + w.size * lanes, 0.0f);
      for (int64_t p = h.first_window(y); p < h.last_window(y); ++p)
        for (int64_t k = w.window - 1; k >= 0; --k) {
          // Windows [q0, q1) have their column k on the image.
          const int64_t q0 = k >= w.before ? 0 : (w.before - k + w.stride - 1) / w.stride;
          const int64_t room = w.size - 1 + w.before - k;
          const int64_t q1 = room < 0 ? 0 : std::min(w.out, room / w.stride + 1);
          const int64_t here = (y - h.start(p)) * w.window + k;
          for (int64_t q = q0; q < q1; q += windows)
            for (int64_t l = 0; l < lanes; l += slice) {
              const int64_t some = std::min(windows, q1 - q), width = std::min(slice, lanes - l);
              const int64_t window = (o * h.out + p) * w.out + q;
              gradient.give(window * lanes + l, here, share ? share + p * w.out + q : nullptr,
                            width, some * width, part);
              add(part, some, width, row + (w.start(q) + k) * lanes + l, step);
            }
        }
    }
  }

  /// Add `count` pixels of `lanes` floats from `part` to every `step`-th place of `to`.
  static STRIATE_INLINE void add(const float* part, int64_t count, int64_t lanes,
                                 float* __restrict to, int64_t step) {
    for (int64_t q = 0; q < count; ++q, part += lanes, to += step) {
      int64_t l = 0;
      for (; l + 8 <= lanes; l += 8)
        for (int j = 0; j < 8; ++j) to[l + j] += part[l + j];
      for (; l < lanes; ++l) to[l] += part[l];
    }
  }
};

/// 2x2 windows side by side on the image, the common case: dy and winner are read once. Output rows
/// [begin, end) of outer * P, each of which owns the input rows from its own to the next one's.
template <class Winner>
struct Apart {
  static STRIATE_INLINE void run(const PoolView* view, const float* dy, const Winner* winner,
                                 float* dx, int64_t begin, int64_t end) {
    const PoolAxis h = view->h, w = view->w;
    const int64_t lanes = view->lanes, row = view->input_row();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i / h.out, p = i % h.out;
      float* top = dx + (o * h.size + 2 * p) * row;
      for_each_tile(lanes, [&](auto tile, int64_t l, int64_t n) STRIATE_INLINED {
        constexpr int kWidth = tile.value ? tile.value : 8;
        const int64_t count = tile.value ? tile.value : n;
        const float* from = dy + i * w.out * lanes + l;
        const Winner* winners = winner + i * w.out * lanes + l;
        float* to = top + l;
        for (int64_t q = 0; q < w.out; ++q, from += lanes, winners += lanes, to += 2 * lanes) {
          int32_t place[kWidth];
          float g[kWidth];
          for (int64_t j = 0; j < count; ++j) place[j] = winners[j];
          for (int64_t j = 0; j < count; ++j) g[j] = from[j];
          for (int64_t j = 0; j < count; ++j) to[j] = where(place[j] == 0, g[j]);
          for (int64_t j = 0; j < count; ++j) to[lanes + j] = where(place[j] == 1, g[j]);
          for (int64_t j = 0; j < count; ++j) to[row + j] = where(place[j] == 2, g[j]);
          for (int64_t j = 0; j < count; ++j) to[row + lanes + j] = where(place[j] == 3, g[j]);
        }
      });
      for (int r = 0; r < 2; ++r)  // an odd last column and row lie in no window
        std::fill(top + r * row + 2 * w.out * lanes, top + (r + 1) * row, 0.0f);
      if (p == h.out - 1) std::fill(top + 2 * row, dx + (o + 1) * h.size * row, 0.0f);
    }
  }
};

bool is_apart(const PoolAxis& axis) {
  return axis.window == 2 && axis.stride == 2 && axis.before == 0 && axis.out > 0 &&
         2 * axis.out <= axis.size;
}

template <class Winner>
Prepared prepare_max(const PoolView& v) {
  Prepared prepared;
  if (is_apart(v.h) && is_apart(v.w)) {
    prepared.detail = "2x2 apart";
    prepared.kernel = make_kernel([v](const Arguments& a) {
      over_rows<Apart<Winner>>(v.outer * v.h.out, 2 * v.input_row(), &v, input<float>(a, 0),
                               input<Winner>(a, 1), output<float>(a, 0));
    });
  } else {
    prepared.kernel = make_kernel([v](const Arguments& a) {
      const ToWinner<Winner> gradient{input<float>(a, 0), input<Winner>(a, 1)};
      over_rows<Backward<ToWinner<Winner>>>(v.outer * v.h.size, v.input_row(), &v,
                                            static_cast<const float*>(nullptr), gradient,
                                            output<float>(a, 0));
    });
  }
  return prepared;
}

const Register max_pool2d(direct_entry("max_pool2d_backward", [](const Problem& problem) {
  const auto& options = problem.get<Pool2dOptions>();
  const Layout layout = pool_layout(problem.inputs[1]);  // the winner lies as x did
  const PoolView v(pool2d_shape(options, problem.inputs[2].shape), layout);
  const bool byte = pool2d_winner_dtype(options) == DType::kU8;
  Prepared prepared = byte ? prepare_max<uint8_t>(v) : prepare_max<int32_t>(v);
  prepared.inputs = {layout, layout, layout};
  prepared.outputs = {layout};
  return prepared;
}));

const Register avg_pool2d(direct_entry("avg_pool2d_backward", [](const Problem& problem) {
  Layout layout = pool_layout(problem.inputs[1]);
  if (layout.is_dense()) layout = pool_layout(problem.inputs[0]);
  const Pool2dShape s = pool2d_shape(problem.get<Pool2dOptions>(), problem.inputs[1].shape);
  const PoolView v(s, layout);
  Prepared prepared;
  prepared.inputs = {layout, layout};
  prepared.outputs = {layout};
  prepared.kernel = make_kernel([v, share = pool2d_shares(s)](const Arguments& a) {
    over_rows<Backward<Share>>(v.outer * v.h.size, v.input_row(), &v, share.data(),
                               Share{input<float>(a, 0)}, output<float>(a, 0));
  });
  return prepared;
}));

}  // namespace
}  // namespace striate::kernels
