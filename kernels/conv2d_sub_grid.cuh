// Gradients of strided convolutions without multiplying zeros: an axis cut into sub-grids.
//
// Along one axis, dx at h takes dy at p where p * stride + r * dilation = h + before. For the
// h = first + stride * i of one residue `first`, only every `every`-th tap r from `tap` on gives a
// whole p, and then p = i + off + j * step for the j-th of them: again a gather, with step
// -dilation / gcd. A residue that no tap reaches has gradients of zero.
#pragma once

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

}  // namespace striate::cuda
