// The convolutions of LeNet-5 on 28x28 pictures (LeCun et al., Proc. IEEE 1998).
#pragma once

#include <striate/tests/shapes/conv_layer.h>

namespace striate::shapes {

inline constexpr ConvLayer kLenet[] = {
    // name   H   W   C   K  window stride padding
    {"conv1", 28, 28, 1, 6, 5, 1, 2},
    {"conv2", 14, 14, 6, 16, 5, 1, 0},
    {"conv3", 5, 5, 16, 120, 5, 1, 0},
};

}  // namespace striate::shapes
