// Dense updates for AVX2 with fused multiply-add: eight columns a vector.
#include <striate/kernels/simd/dense_update.h>

namespace striate::kernels::simd {

extern const DenseUpdateKernels kDenseUpdateAvx2;
const DenseUpdateKernels kDenseUpdateAvx2 = make_dense_update_kernels<F32x8>("avx2");

}  // namespace striate::kernels::simd
