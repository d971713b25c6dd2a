// The convolutions of AlexNet in its two-group form (Krizhevsky, Sutskever, Hinton, NIPS 2012).
#pragma once

#include <striate/tests/shapes/conv_layer.h>

namespace striate::shapes {

inline constexpr ConvLayer kAlexnet[] = {
    // name    H    W    C    K  window stride padding groups
    {"conv1", 227, 227, 3, 96, 11, 4, 0},    {"conv2", 27, 27, 96, 256, 5, 1, 2, 2},
    {"conv3", 13, 13, 256, 384, 3, 1, 1},    {"conv4", 13, 13, 384, 384, 3, 1, 1, 2},
    {"conv5", 13, 13, 384, 256, 3, 1, 1, 2},
};

}  // namespace striate::shapes
