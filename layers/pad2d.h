// The padding layer.
#pragma once

#include <striate/layers/layer.h>

#include <string>
#include <vector>

namespace striate {

struct ZeroPadding2D {
  Padding padding = 1;
  Value call(Weights& weights, const Value& x) const;
};

}  // namespace striate
