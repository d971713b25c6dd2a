// Gradients of strided convolutions without multiplying zeros: an axis cut into sub-grids.
//
// Along one axis, dx at h takes dy at p where p * stride + r * dilation = h + before. For the
// h = first + stride * i of one residue `first`, only every `every`-th tap r from `tap` on gives a
// whole p, and then p = i + off + j * step for the j-th of them: again a gather, with step
// -dilation / gcd. A residue that no tap reaches has gradients of zero.
#pragma once

#include <striate/kernels/conv2d.h>
#include <striate/kernels/gemm_plan.h>

#include <numeric>
#include <striate/kernels/conv2d_gather.cuh>

namespace striate::cuda {

/// What the sub-grids of an axis share.
struct SubGridAxis {
  int size, taps, stride, dilation, before;
  int every;  // stride / gcd(stride, dilation)
};

struct SubGrid {
  int count;      // positions
  int tap, taps;  // the first tap and how many
  int off;        // dy's position for i = 0 and the first tap

  /// The only one of stride 1.
  __device__ explicit SubGrid(const SubGridAxis& axis)
      : count(axis.size), tap(0), taps(axis.taps), off(axis.before) {}

  __device__ SubGrid(const SubGridAxis& axis, int first)
      : count((axis.size - first + axis.stride - 1) / axis.stride), tap(0) {
    const int at = first + axis.before;
    while (tap < axis.every && (at - tap * axis.dilation) % axis.stride != 0) ++tap;
    taps =
        tap < axis.every && tap < axis.taps ? (axis.taps - tap + axis.every - 1) / axis.every : 0;
    off = taps > 0 ? (at - tap * axis.dilation) / axis.stride : 0;
  }
};

/// All sub-grids of one gradient, as kernels take them.
struct SubGridSizes {
  SubGridAxis h, w;
  Gather gather;                        // of dy
  FilterPitch pitch;                    // between the taps of a sub-grid
  int64_t images, channels;             // channels: of all groups
  int64_t tap_row, tap_column, filter;  // elements of w
  int groups, group_filters, group_channels;
};

inline SubGridSizes sub_grids_of(const kernels::Conv2dShape& s) {
  const auto axis = [](int64_t size, int64_t taps, int64_t stride, int64_t dilation,
                       int64_t before) {
    return SubGridAxis{
        static_cast<int>(size),   static_cast<int>(taps),
        static_cast<int>(stride), static_cast<int>(dilation),
        static_cast<int>(before), static_cast<int>(stride / std::gcd(stride, dilation))};
  };
  SubGridSizes g = {};
  g.h = axis(s.H, s.R, s.stride_h, s.dilation_h, s.top);
  g.w = axis(s.W, s.S, s.stride_w, s.dilation_w, s.left);
  g.gather.height = static_cast<int>(s.P), g.gather.width = static_cast<int>(s.Q);
  g.gather.column_pitch = static_cast<int>(s.K);
  g.gather.row_pitch = static_cast<int>(s.Q * s.K);
  g.gather.image_pitch = s.P * s.Q * s.K;
  g.gather.mul_h = g.gather.mul_w = 1;
  g.gather.step_h = -g.h.dilation * g.h.every / g.h.stride;
  g.gather.step_w = -g.w.dilation * g.w.every / g.w.stride;
  g.tap_column = s.C / s.groups, g.tap_row = s.S * g.tap_column, g.filter = s.R * g.tap_row;
  g.pitch = {static_cast<int>(g.filter), static_cast<int>(g.h.every * g.tap_row),
             static_cast<int>(g.w.every * g.tap_column)};
  g.images = s.N, g.channels = s.C, g.groups = static_cast<int>(s.groups);
  g.group_filters = static_cast<int>(s.K / s.groups);
  g.group_channels = static_cast<int>(s.C / s.groups);
  return g;
}

/// Return the product that a sub-grid is, for the plan. That of residue 0 has the most pixels; how
/// many taps each has differs by one at most.
inline kernels::GemmSize sub_grid_product(const kernels::Conv2dShape& s) {
  const int64_t taps_h = (s.R * std::gcd(s.stride_h, s.dilation_h) + s.stride_h - 1) / s.stride_h;
  const int64_t taps_w = (s.S * std::gcd(s.stride_w, s.dilation_w) + s.stride_w - 1) / s.stride_w;
  kernels::GemmSize size;
  size.rows = s.N * ((s.H + s.stride_h - 1) / s.stride_h) * ((s.W + s.stride_w - 1) / s.stride_w);
  size.columns = s.C / s.groups, size.depth = taps_h * taps_w * (s.K / s.groups);
  size.batch = s.groups * s.stride_h * s.stride_w;
  size.outputs = s.N * s.H * s.W * s.C;
  return size;
}

/// Return the number of the pixel of dx that is a sub-grid's position `at`.
__device__ inline int64_t pixel_of(const SubGridSizes& g, const SubGrid& rows,
                                   const SubGrid& columns, int first_h, int first_w, int64_t at) {
  const int per_image = rows.count * columns.count;
  const int64_t image = at / per_image;
  const int place = static_cast<int>(at - image * per_image);
  const int h = first_h + place / columns.count * g.h.stride;
  const int w = first_w + place % columns.count * g.w.stride;
  return (image * g.h.size + h) * g.w.size + w;
}

/// Return where a sub-grid's first tap of a group's first filter lies in w.
__device__ inline int64_t first_filter(const SubGridSizes& g, const SubGrid& rows,
                                       const SubGrid& columns, int group) {
  return group * g.group_filters * g.filter + rows.tap * g.tap_row + columns.tap * g.tap_column;
}

}  // namespace striate::cuda
