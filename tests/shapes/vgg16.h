// The convolutions of VGG-16 (Simonyan and Zisserman, ICLR 2015).
#pragma once

#include <striate/tests/shapes/conv_layer.h>

namespace striate::shapes {

inline constexpr ConvLayer kVgg16[] = {
    // name      H    W    C    K  window stride padding groups times
    {"conv1_1", 224, 224, 3, 64, 3, 1, 1},        {"conv1_2", 224, 224, 64, 64, 3, 1, 1},
    {"conv2_1", 112, 112, 64, 128, 3, 1, 1},      {"conv2_2", 112, 112, 128, 128, 3, 1, 1},
    {"conv3_1", 56, 56, 128, 256, 3, 1, 1},       {"conv3_2", 56, 56, 256, 256, 3, 1, 1, 1, 2},
    {"conv4_1", 28, 28, 256, 512, 3, 1, 1},       {"conv4_2", 28, 28, 512, 512, 3, 1, 1, 1, 2},
    {"conv5_1", 14, 14, 512, 512, 3, 1, 1, 1, 3},
};

}  // namespace striate::shapes
