// The convolutions of MobileNet (Howard et al., arXiv 1704.04861, table 1): windows of 3x3 over
// each channel alone, then 1x1 over all. The last of stride 2 in that table stands at 7x7 on both
// sides; it is read as stride 1, as all implementations do.
#pragma once

#include <striate/tests/shapes/conv_layer.h>

namespace striate::shapes {

inline constexpr ConvLayer kMobilenet[] = {
    // name          H    W     C     K  window stride padding groups times
    {"conv1", 224, 224, 3, 32, 3, 2, 1},
    {"depthwise1", 112, 112, 32, 32, 3, 1, 1, 32},
    {"pointwise1", 112, 112, 32, 64, 1, 1, 0},
    {"depthwise2", 112, 112, 64, 64, 3, 2, 1, 64},
    {"pointwise2", 56, 56, 64, 128, 1, 1, 0},
    {"depthwise3", 56, 56, 128, 128, 3, 1, 1, 128},
    {"pointwise3", 56, 56, 128, 128, 1, 1, 0},
    {"depthwise4", 56, 56, 128, 128, 3, 2, 1, 128},
    {"pointwise4", 28, 28, 128, 256, 1, 1, 0},
    {"depthwise5", 28, 28, 256, 256, 3, 1, 1, 256},
    {"pointwise5", 28, 28, 256, 256, 1, 1, 0},
    {"depthwise6", 28, 28, 256, 256, 3, 2, 1, 256},
    {"pointwise6", 14, 14, 256, 512, 1, 1, 0},
    {"depthwise7", 14, 14, 512, 512, 3, 1, 1, 512, 5},
    {"pointwise7", 14, 14, 512, 512, 1, 1, 0, 1, 5},
    {"depthwise8", 14, 14, 512, 512, 3, 2, 1, 512},
    {"pointwise8", 7, 7, 512, 1024, 1, 1, 0},
    {"depthwise9", 7, 7, 1024, 1024, 3, 1, 1, 1024},
    {"pointwise9", 7, 7, 1024, 1024, 1, 1, 0},
};

}  // namespace striate::shapes
