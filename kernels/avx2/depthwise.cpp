// The depthwise convolution kernels for AVX2 with fused multiply-add: eight channels a vector.
#include <striate/kernels/simd/depthwise.h>

namespace striate::kernels::simd {

extern const DepthwiseKernels kDepthwiseAvx2;
const DepthwiseKernels kDepthwiseAvx2 = make_depthwise_kernels<F32x8>("avx2");

}  // namespace striate::kernels::simd
