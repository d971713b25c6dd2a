// From a convolution's problem to the structs that the kernels in simd/ take.
//
// Apart from simd/, whose headers also compile for wider instruction sets: ordinary functions there
// could end up as that code in the baseline library.
#pragma once

#include <striate/kernels/conv2d.h>
#include <striate/kernels/simd/conv_kernels.h>

#include <vector>

namespace striate::kernels {

/// Height and width of a convolution as places in two images.
struct ConvAxes {
  simd::ConvAxis h, w;
};

/// Return the axes; of the gradient to the input, those of each phase of the strides.
std::vector<ConvAxes> axes_of(const Problem& problem, const Conv2dShape& shape);

/// Return the sizes as direct and depthwise kernels take them.
simd::DirectPlan direct_plan(const Problem& problem, const Conv2dShape& shape);

/// Return how conv2d ends: its activation, with the slope or curve that it needs.
simd::Finish finish_of(const Conv2dOptions& options);

}  // namespace striate::kernels
