// What the depthwise kernels share: how threads lie over channels and outputs, and filters in
// shared memory.
//
// Neighbouring threads hold neighbouring channels, so that pixels are read in whole lines; a
// block's other threads take other outputs. A filter's taps lie side by side in memory, [C, R, S]:
// a block turns those of its channels once, to [R, S, channels], and uses them for many outputs.
#pragma once

#include <striate/kernels/conv2d.h>

#include <algorithm>
#include <striate/kernels/activation.cuh>
#include <striate/kernels/gemm_tile.cuh>
#include <striate/kernels/launch.cuh>
#include <string>

namespace striate::cuda {

inline constexpr int kDepthwiseThreads = 256, kMostDepthwiseLanes = 32;
inline constexpr int64_t kDepthwiseBlocks = 108 * 16;  // as many as fill a device a few times

/// One depthwise convolution, forward or, with turned filters, the gradient of its input.
template <class T>
struct Depthwise {
  const T *x, *w;
  T* y;
  const T *bias, *residual, *gated;  // null: none
  AnyActivation activation;
  AnyGate gate;
  int H, W, C, P, Q, R, S;
  int stride_h, stride_w, dilation_h, dilation_w, top, left;
  int strips, strips_per_row;  // runs of outputs of a row, and in all pictures
  int lanes;                   // threads over channels
  bool turned;                 // filters by 180 degrees
};

/// Return how many threads of a block lie over channels: a power of two that covers `groups` of
/// them, at most a warp.
inline int depthwise_lanes(int64_t groups) {
  int lanes = 1;
  while (lanes < kMostDepthwiseLanes && lanes < groups) lanes *= 2;
  return lanes;
}

/// Return a grid whose y counts blocks of channels and whose x shares the strips out.
inline Grid depthwise_grid(int64_t strips, int64_t channel_groups, int lanes) {
  const int64_t across = (channel_groups + lanes - 1) / lanes;
  const int64_t per_block = kDepthwiseThreads / lanes;
  const int64_t most = std::max<int64_t>(1, kDepthwiseBlocks / std::max<int64_t>(across, 1));
  return {std::min((strips + per_block - 1) / per_block, most), across, 1, kDepthwiseThreads, 0};
}

/// Return why the depthwise kernels decline sizes; empty: they take them.
inline std::string declines_depthwise(const kernels::Conv2dShape& s) {
  if (!s.is_depthwise()) return "takes one filter for each channel only";
  constexpr int64_t kLimit = int64_t{1} << 31;
  if (s.N * s.P * s.Q >= kLimit || s.N * s.H * s.W >= kLimit) return "takes fewer than 2^31 pixels";
  return "";
}

/// Read the filters of `channels` channels from `first` on into shared[tap * pitch + channel].
template <class T>
__device__ void read_filters(const Depthwise<T>& p, int first, int channels, int pitch,
                             float* shared) {
  const int taps = p.R * p.S;
  const int count = min(channels, p.C - first) * taps;
  for (int i = threadIdx.x; i < count; i += kDepthwiseThreads) {
    const int tap = i % taps;
    shared[(p.turned ? taps - 1 - tap : tap) * pitch + i / taps] =
        to_float(p.w[int64_t{first} * taps + i]);
  }
  __syncthreads();
}

}  // namespace striate::cuda
