// The convolution kernels for AVX2 with fused multiply-add: eight channels a vector.
#include <striate/kernels/simd/conv_table.h>

namespace striate::kernels::simd {

extern const ConvKernels kConvAvx2;
const ConvKernels kConvAvx2 = make_conv_kernels<F32x8>("avx2");

}  // namespace striate::kernels::simd
