// Products of float16 and bfloat16 matrices by tiles on CUDA cores (matmul_tiled.cuh), for devices
// and sizes that tensor cores do not take.
#include <striate/kernels/matmul_tiled.cuh>

namespace striate::kernels {

template void run_matmul_tiled<__half>(const MatmulShape&, const ProductRules&,
                                       const cuda::GemmPlans&, const Arguments&);
template void run_matmul_tiled<__nv_bfloat16>(const MatmulShape&, const ProductRules&,
                                              const cuda::GemmPlans&, const Arguments&);

}  // namespace striate::kernels
