// Picks the table of convolution kernels that the processor can run.
#include <striate/kernels/instruction_set.h>
#include <striate/kernels/simd/conv_kernels.h>

namespace striate::kernels::simd {

const ConvKernels* conv_kernels([[maybe_unused]] int64_t input_channels,
                                [[maybe_unused]] int64_t output_channels) {
#if defined(__x86_64__)
  static const bool fused = __builtin_cpu_supports("fma");
  const auto padded = [&](int64_t lanes) {
    return (input_channels + lanes - 1) / lanes * ((output_channels + lanes - 1) / lanes) * lanes *
           lanes;
  };
  switch (instruction_set()) {
    case InstructionSet::kAvx512:
      // Where blocks of 16 channels would be half empty, 8 do as much with half the arithmetic.
      return padded(16) > padded(8) * 5 / 4 ? &kConvAvx2 : &kConvAvx512;
    case InstructionSet::kAvx2:
      return fused ? &kConvAvx2 : nullptr;
    case InstructionSet::kBaseline:
      return nullptr;
  }
#endif
  return nullptr;
}

}  // namespace striate::kernels::simd
