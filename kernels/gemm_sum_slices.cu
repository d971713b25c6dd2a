// The second pass of products that were cut into slices.
//
//   y[i] = act(slice_0[i] + slice_1[i] + ... + bias[i % columns] + residual[i])
//
// or, where an activation's gradient follows, that times its derivative.
//
// One thread adds one element, so that a warp reads 128 bytes of each slice; the order is that of
// the slices, so the bits do not depend on which block was first.
#include <striate/kernels/gemm_store.cuh>
#include <striate/kernels/launch.cuh>

namespace striate::cuda {
namespace {

template <class T>
__global__ void sum_slices_kernel(Destination<T> to, int slices, int64_t columns,
                                  AnyActivation activation, AnyGate gate) {
  const int64_t i = thread_number();
  if (i >= to.slice_pitch) return;
  float sum = 0;
  const float* from = to.slices + i;
#pragma unroll 4
  for (int slice = 0; slice < slices; ++slice, from += to.slice_pitch) sum += *from;
  if (to.tail && i >= to.tail_begin) {
    to.tail[i - to.tail_begin] = from_float<T>(sum);
    return;
  }
  if (to.bias) {
    // Division of 64 bits is slow, and few outputs need it.
    const int64_t column = to.slice_pitch <= UINT32_MAX
                               ? static_cast<uint32_t>(i) % static_cast<uint32_t>(columns)
                               : i % columns;
    sum += to_float(to.bias[column]);
  }
  if (to.residual) sum += to_float(to.residual[i]);
  to.y[i] = from_float<T>(to.gated ? gate(sum, to_float(to.gated[i])) : activation(sum));
}

template <class T>
__global__ void sum_weight_slices_kernel(WeightSlices<T> all) {
  const int64_t count = all.filters * all.pitch, i = thread_number();
  if (i >= count) return;
  const int64_t filter = i / all.pitch, column = i - filter * all.pitch;
  if (column > all.columns) return;  // padding, which nobody has written
  float sum = 0;
  const float* from = all.from + i;
#pragma unroll 4
  for (int slice = 0; slice < all.slices; ++slice, from += count) sum += *from;
  if (column < all.columns)
    all.dw[filter * all.columns + column] = from_float<T>(sum);
  else
    all.db[filter] = from_float<T>(sum);
}

}  // namespace

template <class T>
void sum_weight_slices(const char* name, const WeightSlices<T>& all, void* stream) {
  launch(name, sum_weight_slices_kernel<T>, flat_grid(all.filters * all.pitch), stream, all);
}

template <class T>
void sum_slices(const char* name, const Destination<T>& to, const SecondPass& pass, void* stream) {
  launch(name, sum_slices_kernel<T>, flat_grid(to.slice_pitch), stream, to,
         static_cast<int>(pass.slices), pass.columns,
         AnyActivation(pass.activation, pass.negative_slope), AnyGate(pass.gate));
}

template void sum_slices(const char*, const Destination<float>&, const SecondPass&, void*);
template void sum_weight_slices(const char*, const WeightSlices<float>&, void*);
template void sum_slices(const char*, const Destination<__half>&, const SecondPass&, void*);
template void sum_weight_slices(const char*, const WeightSlices<__half>&, void*);
template void sum_slices(const char*, const Destination<__nv_bfloat16>&, const SecondPass&, void*);
template void sum_weight_slices(const char*, const WeightSlices<__nv_bfloat16>&, void*);

}  // namespace striate::cuda
