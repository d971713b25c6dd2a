// The convolution kernels for AVX-512: sixteen channels a vector.
#include <striate/kernels/simd/conv_table.h>

namespace striate::kernels::simd {

extern const ConvKernels kConvAvx512;
const ConvKernels kConvAvx512 = make_conv_kernels<F32x16>("avx512");

}  // namespace striate::kernels::simd
