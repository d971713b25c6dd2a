// From a convolution's problem to the structs that the kernels in simd/ take.
//
// Apart from simd/, whose headers also compile for wider instruction sets: ordinary functions there
// could end up as that code in the baseline library.
#pragma once

#include <striate/kernels/conv2d.h>
#include <striate/kernels/simd/conv_kernels.h>

#include <utility>
#include <vector>

namespace striate::kernels {

/// Height and width of a convolution as places in two images.
struct ConvAxes {
  simd::ConvAxis h, w;
};

/// Return the axes; of the gradient to the input, those of each phase of the strides.
std::vector<ConvAxes> axes_of(const Problem& problem, const Conv2dShape& shape);

/// Return a plan of blocks or lanes for each phase of the strides: one, but for the gradient to the
/// input.
template <class Plan>
std::vector<Plan> plans_of(Plan plan, const Problem& problem, const Conv2dShape& shape) {
  plan.in_c = shape.C, plan.out_c = shape.K;
  plan.workers = problem.threads;
  plan.transposed = problem.operation == "conv2d_backward_input";
  if (plan.transposed) std::swap(plan.in_c, plan.out_c);
  std::vector<Plan> plans;
  for (const auto& [h, w] : axes_of(problem, shape)) {
    plan.h = h, plan.w = w;
    plans.push_back(plan);
  }
  return plans;
}

/// Return the sizes as direct and depthwise kernels take them.
simd::DirectPlan direct_plan(const Problem& problem, const Conv2dShape& shape);

/// Return how conv2d ends: its activation, with the slope or curve that it needs.
simd::Finish finish_of(const Conv2dOptions& options);

}  // namespace striate::kernels
