// Depthwise convolution, one filter for each channel, in blocked layouts.
//
//   y[n,p,q,c] = act(b[c] + sum over r,s of w[c,r,s] * x[n, p*stride - top + r*dilation,
//                                                        q*stride - left + s*dilation, c])
//
// Images lie in [N][C / lanes][H][W][lanes], filters in [C / lanes][R][S][lanes]: a vector of
// channels meets a vector of weights, so nothing is spread or added across lanes. Forward keeps
// eight neighbouring outputs in registers while the window moves over them. Backward to the input
// is the same with rotated filters for stride 1; for others each gradient is added to the inputs
// that its window saw. The gradient of the filters sums products row by row.
#pragma once

#include <striate/kernels/simd/conv_kernels.h>
#include <striate/kernels/simd/finish.h>
#include <striate/kernels/simd/share_work.h>

#include <algorithm>

namespace striate::kernels::simd {

template <class V>
struct Depthwise {
  using Reg = typename V::Reg;
  static constexpr int64_t kLanes = V::kLanes;
  static constexpr int64_t kRows = 8;  // of outputs, handed out together

  struct Sizes {
    int64_t blocks, taps, x_row, x_plane, y_row, y_plane, sums, dw;
    explicit Sizes(const DirectPlan& p)
        : blocks(ceil_div(p.in_c, kLanes)),
          taps(p.window_h * p.window_w),
          x_row(p.in_w * kLanes),
          x_plane(p.in_h * x_row),
          y_row(p.out_w * kLanes),
          y_plane(p.out_h * y_row),
          sums(ceil_div(blocks * kLanes, kLine) * kLine),
          dw(blocks * taps * kLanes) {}
  };

  /// The places [begin, end) of `count` windows' tap `offset` at which it lies inside `size`.
  struct Range {
    int64_t begin, end;
    Range(int64_t count, int64_t stride, int64_t offset, int64_t size)
        : begin(offset < 0 ? ceil_div(-offset, stride) : 0),
          end(offset >= size ? 0 : std::min(count, (size - offset - 1) / stride + 1)) {}
  };

  static void plan_forward(DirectPlan& p) { p.workspace = 4 * (Sizes(p).sums + Sizes(p).dw); }

  /// Sum `kCount` outputs of one row, from output `q` on, over taps [s0, s1) of each window row.
  template <int kCount, End kEnd>
  static void outputs(const DirectPlan& p, const Sizes& s, const float* image, const float* w,
                      Reg bias, const Finish& f, int64_t row, int64_t q, int64_t s0, int64_t s1,
                      const float* residual, float* y, int64_t used) {
    Reg sum[kCount];
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) sum[i] = bias;
    for (int64_t r = 0; r < p.window_h; ++r) {
      const int64_t h = row * p.stride_h + r * p.dilation_h - p.top;
      if (h < 0 || h >= p.in_h) continue;
      const float* from = image + h * s.x_row + (q * p.stride_w - p.left) * kLanes;
      for (int64_t j = s0; j < s1; ++j) {
        const Reg weight = V::load(w + (r * p.window_w + j) * kLanes);
        const float* at = from + j * p.dilation_w * kLanes;
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i)
          sum[i] = V::multiply_add(weight, V::load(at + i * p.stride_w * kLanes), sum[i]);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i)
      finish<V, kEnd>(sum[i], f, residual ? residual + i * kLanes : nullptr, y + i * kLanes, used);
  }

  static void forward(const DirectPlan& p, const float* x, const float* w, const Finish& f,
                      float* y, float* workspace) {
    const Sizes s(p);
    float* bias = workspace;
    pad_bias<V>(f, p.out_c, s.blocks, bias);
    if (p.flipped) {
      float* turned = workspace + s.sums;
      for (int64_t c = 0; c < s.blocks; ++c)
        for (int64_t tap = 0; tap < s.taps; ++tap)
          V::store(turned + (c * s.taps + tap) * kLanes,
                   V::load(w + ((c + 1) * s.taps - 1 - tap) * kLanes));
      w = turned;
    }
    const int64_t bands = ceil_div(p.out_h, kRows);
    share_work(p.workers, p.n * s.blocks * bands, [&](int64_t, int64_t i) {
      const int64_t used = std::min(kLanes, p.out_c - i / bands % s.blocks * kLanes);
      switch (end_of<V>(f, used)) {
        case End::kPlain:
          return band<End::kPlain>(p, s, x, w, bias, f, i / bands, i % bands, used, y);
        case End::kRelu:
          return band<End::kRelu>(p, s, x, w, bias, f, i / bands, i % bands, used, y);
        case End::kAny:
          return band<End::kAny>(p, s, x, w, bias, f, i / bands, i % bands, used, y);
      }
    });
  }

  /// Make some rows of one plane: one channel block of one image.
  template <End kEnd>
  static void band(const DirectPlan& p, const Sizes& s, const float* x, const float* w,
                   const float* bias, const Finish& f, int64_t plane, int64_t index, int64_t used,
                   float* y) {
    // Outputs whose whole window lies between the left and the right end.
    const int64_t last = (p.window_w - 1) * p.dilation_w;
    const Range first_tap(p.out_w, p.stride_w, -p.left, p.in_w);
    const Range last_tap(p.out_w, p.stride_w, last - p.left, p.in_w);
    const int64_t begin = std::min(p.out_w, std::max(first_tap.begin, last_tap.begin));
    const int64_t end = std::max(begin, std::min(first_tap.end, last_tap.end));
    const int64_t c = plane % s.blocks, stop = std::min(p.out_h, (index + 1) * kRows);
    const Reg b = V::load(bias + c * kLanes);
    const float* image = x + plane * s.x_plane;
    const float* filter = w + c * s.taps * kLanes;
    for (int64_t row = index * kRows; row < stop; ++row) {
      const int64_t to = plane * s.y_plane + row * s.y_row;
      for (int64_t q = 0; q < p.out_w;) {
        // The last eight may overlap those before: they are the same again.
        const bool eight = q >= begin && q < end && end - begin >= 8;
        if (eight) q = std::min(q, end - 8);
        const int64_t at = to + q * kLanes;
        const float* residual = f.residual ? f.residual + at : nullptr;
        if (eight) {
          outputs<8, kEnd>(p, s, image, filter, b, f, row, q, 0, p.window_w, residual, y + at,
                           used);
          q += 8;
          continue;
        }
        const Range inside(p.window_w, p.dilation_w, q * p.stride_w - p.left, p.in_w);
        outputs<1, kEnd>(p, s, image, filter, b, f, row, q, inside.begin, inside.end, residual,
                         y + at, used);
        ++q;
      }
    }
  }

  /// Any stride: add each gradient to the inputs that its window saw. `x` is dx.
  static void backward_input(const DirectPlan& p, const float* dy, const float* w, float* x) {
    const Sizes s(p);
    share_work(p.workers, p.n * s.blocks, [&](int64_t, int64_t plane) {
      const int64_t c = plane % s.blocks;
      float* image = x + plane * s.x_plane;
      clear<V>(image, s.x_plane);
      for (int64_t row = 0; row < p.out_h; ++row)
        for (int64_t tap = 0; tap < s.taps; ++tap) {
          const int64_t h = row * p.stride_h + tap / p.window_w * p.dilation_h - p.top;
          if (h < 0 || h >= p.in_h) continue;
          const int64_t offset = tap % p.window_w * p.dilation_w - p.left;
          const Range inside(p.out_w, p.stride_w, offset, p.in_w);
          const Reg weight = V::load(w + (c * s.taps + tap) * kLanes);
          const float* from = dy + plane * s.y_plane + row * s.y_row;
          float* to = image + h * s.x_row + offset * kLanes;
          for (int64_t q = inside.begin; q < inside.end; ++q) {
            float* at = to + q * p.stride_w * kLanes;
            V::store(at, V::multiply_add(weight, V::load(from + q * kLanes), V::load(at)));
          }
        }
      const int64_t used = std::min(kLanes, p.in_c - c * kLanes);
      if (used < kLanes)
        for (int64_t i = 0; i < s.x_plane; i += kLanes)
          V::store(image + i, V::first_lanes(V::load(image + i), used));
    });
  }

  static void plan_backward_weight(DirectPlan& p) {
    p.parts = std::clamp<int64_t>(p.n, 1, 16);
    const Sizes s(p);
    p.workspace = 4 * p.parts * (s.sums + (p.parts > 1 ? s.dw : 0));
  }

  /// Sum the products of two runs of vectors, in four strands.
  static Reg products(const float* a, int64_t step, const float* b, int64_t count) {
    Reg sum[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
      for (int j = 0; j < 4; ++j)
        sum[j] =
            V::multiply_add(V::load(a + (i + j) * step), V::load(b + (i + j) * kLanes), sum[j]);
    for (; i < count; ++i)
      sum[0] = V::multiply_add(V::load(a + i * step), V::load(b + i * kLanes), sum[0]);
    return V::add(V::add(sum[0], sum[1]), V::add(sum[2], sum[3]));
  }

  static void backward_weight(const DirectPlan& p, const float* x, const float* dy, float* dw,
                              float* db, float* workspace) {
    const Sizes s(p);
    float* sums = workspace;
    float* partial = sums + p.parts * s.sums;
    clear<V>(sums, p.parts * s.sums);
    share_work(p.workers, p.parts * s.blocks, [&](int64_t, int64_t i) {
      const int64_t part = i / s.blocks, c = i % s.blocks;
      float* out = (p.parts > 1 ? partial + part * s.dw : dw) + c * s.taps * kLanes;
      clear<V>(out, s.taps * kLanes);
      for (int64_t n = p.n * part / p.parts; n < p.n * (part + 1) / p.parts; ++n) {
        const float* image = x + (n * s.blocks + c) * s.x_plane;
        const float* gradient = dy + (n * s.blocks + c) * s.y_plane;
        for (int64_t row = 0; row < p.out_h; ++row) {
          const float* from = gradient + row * s.y_row;
          if (p.bias) add_pixels<V>(from, p.out_w, sums + part * s.sums + c * kLanes);
          for (int64_t tap = 0; tap < s.taps; ++tap) {
            const int64_t h = row * p.stride_h + tap / p.window_w * p.dilation_h - p.top;
            if (h < 0 || h >= p.in_h) continue;
            const int64_t offset = tap % p.window_w * p.dilation_w - p.left;
            const Range inside(p.out_w, p.stride_w, offset, p.in_w);
            if (inside.begin >= inside.end) continue;
            const float* at = image + h * s.x_row + (inside.begin * p.stride_w + offset) * kLanes;
            const Reg sum = products(at, p.stride_w * kLanes, from + inside.begin * kLanes,
                                     inside.end - inside.begin);
            V::store(out + tap * kLanes, V::add(V::load(out + tap * kLanes), sum));
          }
        }
      }
    });
    add_parts<V>(p, partial, s.dw, dw);
    clear_padding<V>(dw, p.out_c, s.taps);
    if (db) add_sums<V>(p, sums, s.sums, db);
  }
};

template <class V>
constexpr DepthwiseKernels make_depthwise_kernels(const char* instruction_set) {
  using D = Depthwise<V>;
  return {V::kLanes,         instruction_set,         D::plan_forward,   D::forward,
          D::backward_input, D::plan_backward_weight, D::backward_weight};
}

}  // namespace striate::kernels::simd
