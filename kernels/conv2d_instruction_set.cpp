// Picks the table of convolution kernels that the processor can run.
#include <striate/kernels/instruction_set.h>
#include <striate/kernels/simd/batch_lanes_kernels.h>
#include <striate/kernels/simd/conv_kernels.h>

namespace striate::kernels::simd {

#if defined(__x86_64__)
namespace {

/// A table for the instruction set in use; `prefers_eight` where blocks of 16 channels would be so
/// empty that blocks of 8 do as much with less arithmetic.
template <class Table>
const Table* pick(const Table& eight, const Table& sixteen, bool prefers_eight) {
  static const bool fused = __builtin_cpu_supports("fma");
  switch (instruction_set()) {
    case InstructionSet::kAvx512:
      return prefers_eight ? &eight : &sixteen;
    case InstructionSet::kAvx2:
      return fused ? &eight : nullptr;
    case InstructionSet::kBaseline:
      break;
  }
  return nullptr;
}

int64_t padded(int64_t channels, int64_t lanes) { return (channels + lanes - 1) / lanes * lanes; }

}  // namespace

const ConvKernels* conv_kernels(int64_t input_channels, int64_t output_channels) {
  const int64_t c = input_channels, k = output_channels;
  return pick(kConvAvx2, kConvAvx512,
              padded(c, 16) * padded(k, 16) > padded(c, 8) * padded(k, 8) * 5 / 4);
}
const DepthwiseKernels* depthwise_kernels(int64_t channels) {
  return pick(kDepthwiseAvx2, kDepthwiseAvx512, padded(channels, 16) * 4 > padded(channels, 8) * 5);
}
const BatchLanesKernels* batch_lanes_kernels(int64_t images) {
  return pick(kBatchLanesAvx2, kBatchLanesAvx512, padded(images, 16) * 4 > padded(images, 8) * 5);
}
#else
const ConvKernels* conv_kernels(int64_t, int64_t) { return nullptr; }
const DepthwiseKernels* depthwise_kernels(int64_t) { return nullptr; }
const BatchLanesKernels* batch_lanes_kernels(int64_t) { return nullptr; }
#endif

}  // namespace striate::kernels::simd
