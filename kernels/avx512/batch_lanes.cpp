// The convolution kernels with images in the lanes, for AVX-512: sixteen images.
#include <striate/kernels/simd/batch_lanes_backward_weight.h>

namespace striate::kernels::simd {

extern const BatchLanesKernels kBatchLanesAvx512;
const BatchLanesKernels kBatchLanesAvx512 = make_batch_lanes_kernels<F32x16>("avx512");

}  // namespace striate::kernels::simd
