// The padding layer.
#pragma once

#include <striate/layers/layer.h>

#include <string>
#include <vector>

namespace striate {

/// Add rows and columns of zeros: x [N, H, W, C] -> [N, H + ..., W + ..., C].
struct ZeroPadding2D {
  Padding padding = 1;
  Value call(Weights& weights, const Value& x) const;
};

}  // namespace striate
