// Fills the table of convolution kernels from the templates, for one vector type.
#pragma once

#include <striate/kernels/simd/conv_kernels.h>
#include <striate/kernels/simd/direct_backward_weight.h>
#include <striate/kernels/simd/direct_blocks.h>
#include <striate/kernels/simd/direct_few_channels.h>
#include <striate/kernels/simd/winograd_backward_weight.h>
#include <striate/kernels/simd/winograd_forward.h>

namespace striate::kernels::simd {

template <class V, template <class> class Transform>
constexpr WinogradKernels winograd_kernels() {
  using Forward = WinogradForward<V, Transform>;
  using BackwardWeight = WinogradBackwardWeight<V, Transform>;
  return {Forward::plan, Forward::pack, Forward::run, BackwardWeight::plan, BackwardWeight::run};
}

template <class V>
constexpr ConvKernels make_conv_kernels(const char* instruction_set) {
  using Blocks = DirectBlocks<V>;
  using Direct = DirectBackwardWeight<V>;
  using Few = DirectFewChannels<V>;
  return {V::kLanes,
          instruction_set,
          winograd_kernels<V, Winograd4>(),
          winograd_kernels<V, Winograd2>(),
          {Blocks::plan, Blocks::run},
          {nullptr, nullptr, Direct::plan, Direct::run},
          {Few::plan_forward, Few::forward, Few::plan_backward_weight, Few::backward_weight}};
}

}  // namespace striate::kernels::simd
