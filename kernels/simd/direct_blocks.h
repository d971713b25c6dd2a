// Convolution and its gradient to the input on blocks of channels, summed by its definition:
//
//   y[n,p,q,k] = act(b[k] + residual + sum over (r,s,c) of w[k,r,s,c] * x[n, p'+r, q'+s, c])
//
// Outputs whose windows have the same taps on the image are the rows of one product, those of many
// images together: at 4x4 there are nine kinds, and at 2x2 each of the four outputs is one. So no
// tap on padding is multiplied, and blocks of registers are full however small the images are. A
// row of A is the run of pixels below a row of the window, and their places, and those of C, are in
// a table. Each thread takes two blocks of filters through all images, so that their weights stay
// in its cache; for the gradient it first turns them there.
#pragma once

#include <striate/kernels/simd/conv_taps.h>
#include <striate/kernels/simd/finish.h>
#include <striate/kernels/simd/gemm.h>

#include <algorithm>

namespace striate::kernels::simd {

template <class V>
struct DirectBlocks {
  using Reg = typename V::Reg;
  using Taps = ConvTaps<V>;
  static constexpr int64_t kLanes = V::kLanes, kTap = kLanes * kLanes;
  static constexpr int64_t kColumns = Gemm<V>::kColumns;
  static constexpr int64_t kImages = 384 * 1024 / 4;  // floats of x that stay near a core
  static constexpr int64_t kSum = 1024;

  /// All sizes that follow from a plan, in floats.
  struct Sizes {
    int64_t in_blocks, out_blocks, groups, taps, filter, pixels;
    int64_t x_row, x_plane, x_image, y_row, y_plane, y_image;
    int64_t bias, table, panel;
    explicit Sizes(const BlocksPlan& p)
        : in_blocks(ceil_div(p.in_c, kLanes)),
          out_blocks(ceil_div(p.out_c, kLanes)),
          groups(ceil_div(out_blocks, kColumns)),
          taps(p.h.taps * p.w.taps),
          filter(in_blocks * taps * kTap),
          pixels(p.h.count * p.w.count),
          x_row(p.w.in_size * kLanes),
          x_plane(p.h.in_size * x_row),
          x_image(in_blocks * x_plane),
          y_row(p.w.out_size * kLanes),
          y_plane(p.h.out_size * y_row),
          y_image(out_blocks * y_plane),
          bias(ceil_div(out_blocks * kLanes, kLine) * kLine),
          table(ceil_div(4 * p.images * pixels, kLine) * kLine),
          panel(p.transposed ? std::min(kColumns, out_blocks) * filter : 0) {}
  };

  static void plan(BlocksPlan& p) {
    const Sizes one(p);
    const int64_t cached = kImages / std::max<int64_t>(1, one.x_image);
    const int64_t filling = 16 * Gemm<V>::kRows / std::max<int64_t>(1, one.pixels);
    const int64_t most = std::max<int64_t>({1, cached, filling});
    p.images = ceil_div(p.n, std::max<int64_t>(1, ceil_div(p.n, most)));
    const Sizes s(p);
    p.workspace = 4 * (s.bias + s.table + p.workers * s.panel);
  }

  /// Outputs [top, bottom) x [left, right) have the same taps on the image.
  struct Area {
    int64_t top, bottom, left, right;
    Taps h, w;
    int64_t rows() const { return (bottom - top) * (right - left); }
  };

  template <class Body>
  static void for_each_area(const BlocksPlan& p, const Body& body) {
    const auto end_of = [](const ConvAxis& a, int64_t begin, const Taps& taps) {
      int64_t end = begin + 1;
      while (end < a.count && Taps(a, end) == taps) ++end;
      return end;
    };
    for (int64_t i = 0, bottom; i < p.h.count; i = bottom) {
      const Taps h(p.h, i);
      bottom = end_of(p.h, i, h);
      for (int64_t j = 0, right; j < p.w.count; j = right) {
        const Taps w(p.w, j);
        right = end_of(p.w, j, w);
        body(Area{i, bottom, j, right, h, w});
      }
    }
  }

  /// The places of x under the first tap, and of y, of the rows of each area for all images.
  static void set_rows(const BlocksPlan& p, const Sizes& s, int64_t* x, int64_t* y) {
    for_each_area(p, [&](const Area& a) {
      for (int64_t n = 0; n < p.images; ++n)
        for (int64_t i = a.top; i < a.bottom; ++i)
          for (int64_t j = a.left; j < a.right; ++j) {
            const int64_t h = i * p.h.in_step + p.h.offset + a.h.begin * p.h.offset_step;
            const int64_t w = j * p.w.in_step + p.w.offset + a.w.begin * p.w.offset_step;
            *x++ = n * s.x_image + h * s.x_row + w * kLanes;
            *y++ = n * s.y_image + (p.h.first + i * p.h.step) * s.y_row +
                   (p.w.first + j * p.w.step) * kLanes;
          }
    });
  }

  /// Turn the filters of blocks [k, end) to [k][c][tap][lane of c][lane of k].
  static void turn(const BlocksPlan& p, const Sizes& s, const float* w, int64_t k, int64_t end,
                   float* to) {
    for (; k < end; ++k)
      for (int64_t c = 0; c < s.in_blocks; ++c) {
        const float* square = w + (c * s.out_blocks + k) * p.h.window * p.w.window * kTap;
        for (int64_t r = 0; r < p.h.taps; ++r)
          for (int64_t t = 0; t < p.w.taps; ++t, to += kTap) {
            const float* from = square + ((p.h.index + r * p.h.index_step) * p.w.window +
                                          p.w.index + t * p.w.index_step) *
                                             kTap;
            Reg rows[kLanes];
            for (int i = 0; i < kLanes; ++i) rows[i] = V::load(from + i * kLanes);
            V::transpose(rows);
            for (int i = 0; i < kLanes; ++i) V::store(to + i * kLanes, rows[i]);
          }
      }
  }

  /// Sum the taps of an area's `rows` rows, which are at g.rows and g.c_rows; at most kSum products
  /// one after another, for exactness.
  static void sum(const BlocksPlan& p, const Sizes& s, const Area& a, const float* x,
                  const float* filters, Product g, int64_t rows, int64_t columns, bool relu) {
    const bool joined = p.w.offset_step == 1;
    const int64_t runs = a.h.size() * (joined ? 1 : a.w.size());
    g.inner = (joined ? a.w.size() : 1) * kLanes;
    const int64_t depth = std::clamp<int64_t>(kSum / g.inner, 1, s.in_blocks);
    g.accumulate = false;
    for (int64_t c = 0; c < s.in_blocks; c += depth) {
      g.outer = std::min(depth, s.in_blocks - c);
      for (int64_t run = 0; run < runs; ++run) {
        const int64_t r = joined ? run : run / a.w.size(), t = joined ? 0 : run % a.w.size();
        g.a = x + c * s.x_plane + r * p.h.offset_step * s.x_row + t * p.w.offset_step * kLanes;
        g.b = filters + (c * s.taps + (a.h.begin + r) * p.w.taps + a.w.begin + t) * kTap;
        g.relu = relu && c + g.outer == s.in_blocks && run + 1 == runs;
        Gemm<V>::pixels(g, rows, columns);
        g.accumulate = true;
      }
    }
  }

  /// Outputs that see only padding.
  static void fill(const Product& g, int64_t rows, int64_t columns, bool relu) {
    for (int64_t n = 0; n < columns; ++n) {
      Reg v = V::load(g.start + n * kLanes);
      if (relu) v = V::if_negative(v, V::zero());
      for (int64_t i = 0; i < rows; ++i) V::store(g.c + g.c_rows[i] + n * g.c_column, v);
    }
  }

  static void run(const BlocksPlan& p, const float* x, const float* w, const Finish& f, float* y,
                  float* workspace) {
    const Sizes s(p);
    if (p.n == 0 || s.pixels == 0) return;
    float* bias = workspace;
    auto* x_rows = reinterpret_cast<int64_t*>(workspace + s.bias);
    int64_t* y_rows = x_rows + p.images * s.pixels;
    float* panels = workspace + s.bias + s.table;
    pad_bias<V>(f, p.out_c, s.out_blocks, bias);
    set_rows(p, s, x_rows, y_rows);
    const bool relu = f.activation == Activation::kRelu && !f.residual;
    const bool simple = relu || (f.activation == Activation::kNone && !f.residual);
    const int64_t chunks = ceil_div(p.n, p.images);
    // As many items that idle threads find one, each with the filters of a group for itself.
    const int64_t parts = std::clamp<int64_t>(ceil_div(4 * p.workers, s.groups), 1, chunks);
    share_work(p.workers, s.groups * parts, [&](int64_t worker, int64_t item) {
      const int64_t k = item / parts * kColumns, part = item % parts;
      const int64_t columns = std::min(kColumns, s.out_blocks - k);
      const float* filters = w + k * s.filter;
      if (p.transposed) {
        float* panel = panels + worker * s.panel;
        turn(p, s, w, k, k + columns, panel);
        filters = panel;
      }
      Product g;
      g.a_outer = s.x_plane;
      g.b_outer = s.taps * kTap;
      g.b_column = s.filter;
      g.c_column = s.y_plane;
      g.start = bias + k * kLanes;
      for (int64_t chunk = chunks * part / parts; chunk < chunks * (part + 1) / parts; ++chunk) {
        const int64_t first = chunk * p.images, images = std::min(p.images, p.n - first);
        const float* from = x + first * s.x_image;
        const int64_t to = first * s.y_image + k * s.y_plane;
        g.c = y + to;
        g.rows = x_rows, g.c_rows = y_rows;
        for_each_area(p, [&](const Area& a) {
          const int64_t rows = images * a.rows();
          if (a.h.size() > 0 && a.w.size() > 0)
            sum(p, s, a, from, filters, g, rows, columns, relu);
          else
            fill(g, rows, columns, relu);
          for (int64_t n = 0; n < columns; ++n) {
            const int64_t used = std::min(kLanes, p.out_c - (k + n) * kLanes);
            if (simple && used == kLanes) continue;
            for (int64_t i = 0; i < rows; ++i) {
              const int64_t at = to + g.c_rows[i] + n * s.y_plane;
              finish<V>(V::load(y + at), f, f.residual ? f.residual + at : nullptr, y + at, used);
            }
          }
          g.rows += p.images * a.rows(), g.c_rows += p.images * a.rows();
        });
      }
    });
  }
};

}  // namespace striate::kernels::simd
