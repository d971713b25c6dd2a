// Dense updates for AVX-512: sixteen columns a vector.
#include <striate/kernels/simd/dense_update.h>

namespace striate::kernels::simd {

extern const DenseUpdateKernels kDenseUpdateAvx512;
const DenseUpdateKernels kDenseUpdateAvx512 = make_dense_update_kernels<F32x16>("avx512");

}  // namespace striate::kernels::simd
