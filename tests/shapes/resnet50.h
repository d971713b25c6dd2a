// The convolutions of ResNet-50 (He et al., CVPR 2016), with the stride in the 3x3 convolution of a
// block as today's implementations have it.
#pragma once

#include <striate/tests/shapes/conv_layer.h>

namespace striate::shapes {

inline constexpr ConvLayer kResnet50[] = {
    // name              H    W    C     K  window stride padding groups times
    {"stem", 224, 224, 3, 64, 7, 2, 3},
    {"block1/reduce_first", 56, 56, 64, 64, 1, 1, 0},
    {"block1/3x3", 56, 56, 64, 64, 3, 1, 1, 1, 3},
    {"block1/expand", 56, 56, 64, 256, 1, 1, 0, 1, 4},
    {"block1/reduce", 56, 56, 256, 64, 1, 1, 0, 1, 2},
    {"block2/reduce_first", 56, 56, 256, 128, 1, 1, 0},
    {"block2/3x3_first", 56, 56, 128, 128, 3, 2, 1},
    {"block2/expand", 28, 28, 128, 512, 1, 1, 0, 1, 4},
    {"block2/shortcut", 56, 56, 256, 512, 1, 2, 0},
    {"block2/reduce", 28, 28, 512, 128, 1, 1, 0, 1, 3},
    {"block2/3x3", 28, 28, 128, 128, 3, 1, 1, 1, 3},
    {"block3/reduce_first", 28, 28, 512, 256, 1, 1, 0},
    {"block3/3x3_first", 28, 28, 256, 256, 3, 2, 1},
    {"block3/expand", 14, 14, 256, 1024, 1, 1, 0, 1, 6},
    {"block3/shortcut", 28, 28, 512, 1024, 1, 2, 0},
    {"block3/reduce", 14, 14, 1024, 256, 1, 1, 0, 1, 5},
    {"block3/3x3", 14, 14, 256, 256, 3, 1, 1, 1, 5},
    {"block4/reduce_first", 14, 14, 1024, 512, 1, 1, 0},
    {"block4/3x3_first", 14, 14, 512, 512, 3, 2, 1},
    {"block4/expand", 7, 7, 512, 2048, 1, 1, 0, 1, 3},
    {"block4/shortcut", 14, 14, 1024, 2048, 1, 2, 0},
    {"block4/reduce", 7, 7, 2048, 512, 1, 1, 0, 1, 2},
    {"block4/3x3", 7, 7, 512, 512, 3, 1, 1, 1, 2},
};

}  // namespace striate::shapes
