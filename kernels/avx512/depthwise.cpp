// The depthwise convolution kernels for AVX-512: sixteen channels a vector.
#include <striate/kernels/simd/depthwise.h>

namespace striate::kernels::simd {

extern const DepthwiseKernels kDepthwiseAvx512;
const DepthwiseKernels kDepthwiseAvx512 = make_depthwise_kernels<F32x16>("avx512");

}  // namespace striate::kernels::simd
