// Sees an image as [outer][height][width][lanes], lanes contiguous, in the layouts that allow it:
// dense NHWC (outer = N, lanes = C) and blocked channels such as aDbc8d (outer = N * C/8, lanes =
// 8).
#pragma once

#include <striate/kernels/impl.h>

namespace striate::kernels {

/// True for the dense layout and for N, C/b, H, W, b.
inline bool has_lanes(const Layout& layout) {
  if (layout.is_dense()) return true;
  return layout.block_count() == 1 && layout.block(0).dim == 3 && layout.outer(0) == 0 &&
         layout.outer(1) == 3 && layout.outer(2) == 1 && layout.outer(3) == 2;
}

/// True for groups of images side by side: N/b, H, W, C, b.
inline bool has_image_groups(const Layout& layout) {
  if (layout.is_dense() || layout.block_count() != 1 || layout.block(0).dim != 0) return false;
  return layout.outer(0) == 0 && layout.outer(1) == 1 && layout.outer(2) == 2;
}

/// Return the layout of an image where it has lanes, else the dense one.
inline Layout lanes_layout(const ValueDesc& image) {
  return image.shape.rank() == 4 && has_lanes(image.layout) ? image.layout : Layout();
}

/// How the channels of [N, ..., C] lie: `blocks` blocks of `lanes` channels for each sample.
struct Lanes {
  int64_t blocks = 1, lanes, channels;

  Lanes(const Layout& layout, int64_t channels) : lanes(channels), channels(channels) {
    if (layout.is_dense()) return;
    lanes = layout.block(0).size;
    blocks = (channels + lanes - 1) / lanes;
  }
  /// Return how many lanes of block `i % blocks` hold channels; the others are padding.
  int64_t used(int64_t i) const {
    const int64_t rest = blocks ? channels - i % blocks * lanes : 0;
    return rest < lanes ? rest : lanes;
  }
};

}  // namespace striate::kernels
