// The convolution kernels with images in the lanes, for AVX2 and fused multiply-add: eight images.
#include <striate/kernels/simd/batch_lanes_backward_weight.h>

namespace striate::kernels::simd {

extern const BatchLanesKernels kBatchLanesAvx2;
const BatchLanesKernels kBatchLanesAvx2 = make_batch_lanes_kernels<F32x8>("avx2");

}  // namespace striate::kernels::simd
