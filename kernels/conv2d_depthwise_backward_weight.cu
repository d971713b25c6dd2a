// The gradients of depthwise filters and their bias.
//
//   dw[c,r,s] = sum over (n,p,q) of dy[n,p,q,c] * x[n, p*stride - top + r*dilation, ..., c]
//   db[c]     = sum over (n,p,q) of dy[n,p,q,c]
//
// A block takes some rows of outputs, a group of channels, and one row of taps (all nine taps where
// the window is 3): a thread's sums stay in registers while it walks along its rows. The block's
// threads over the same channels are added through shared memory, the blocks by a second pass over
// the workspace [slice, tap, channel], both in a fixed order. Other windows than 3, 5 and 7 take
// one tap at a time.
#include <striate/kernels/conv2d_depthwise.cuh>
#include <striate/kernels/entry.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

constexpr int kChannels = 4;

template <class T>
struct DepthwiseWeight {
  Depthwise<T> sizes;
  const T* dy;
  float* slices;  // [blocks of rows, taps and one more for the bias, C]
  int rows;       // of outputs, in all pictures
};

/// Add the block's sums of one tap in the order of its threads and store them in its slice.
template <int channels, class T>
__device__ void store_tap(const DepthwiseWeight<T>& p, const float (&sum)[channels], int tap,
                          int first, float* shared) {
  const int lanes = p.sizes.lanes, width = lanes * channels;
  const int lane = static_cast<int>(threadIdx.x) % lanes, place = threadIdx.x / lanes;
#pragma unroll
  for (int e = 0; e < channels; ++e) shared[place * width + lane * channels + e] = sum[e];
  __syncthreads();
  for (int i = threadIdx.x; i < width && first + i < p.sizes.C; i += kDepthwiseThreads) {
    float total = 0;
    const int places = kDepthwiseThreads / kMostDepthwiseLanes * (kMostDepthwiseLanes / lanes);
    for (int other = 0; other < places; ++other) total += shared[other * width + i];
    const int taps = p.sizes.R * p.sizes.S + 1;
    p.slices[(int64_t{blockIdx.x} * taps + tap) * p.sizes.C + first + i] = total;
  }
}

/// `window` taps of each of `tap_rows` rows, the first of them blockIdx.z; window 0: the one tap
/// blockIdx.z, of any window.
template <class T, int window, int tap_rows, int channels>
__global__ void __launch_bounds__(kDepthwiseThreads)
    conv2d_depthwise_backward_weight_kernel(const __grid_constant__ DepthwiseWeight<T> p) {
  constexpr int kTaps = window == 0 ? 1 : window;
  const Depthwise<T>& z = p.sizes;
  __shared__ __align__(16) float shared[kDepthwiseThreads * channels];
  const int lane = static_cast<int>(threadIdx.x) % z.lanes;
  const int first = static_cast<int>(blockIdx.y) * z.lanes * channels;
  const int c = first + lane * channels;
  const int across = kDepthwiseThreads / z.lanes;
  const int first_row =
      window == 0 ? static_cast<int>(blockIdx.z) / z.S : static_cast<int>(blockIdx.z) * tap_rows;
  const int first_tap = window == 0 ? static_cast<int>(blockIdx.z) % z.S : 0;
  float sum[tap_rows][kTaps][channels] = {}, bias[channels] = {};
  for (int64_t row = int64_t{blockIdx.x} * across + threadIdx.x / z.lanes; c < z.C && row < p.rows;
       row += int64_t{gridDim.x} * across) {
    const int n = static_cast<int>(row) / z.P,
              h0 = static_cast<int>(row) % z.P * z.stride_h - z.top;
    const T* gradients = p.dy + row * z.Q * z.C + c;
    const T* image = z.x + int64_t{n} * z.H * z.W * z.C + c;
    for (int q = 0; q < z.Q; ++q) {
      const auto dy = fetch<T, channels>(gradients + int64_t{q} * z.C, true);
#pragma unroll
      for (int e = 0; e < channels; ++e) bias[e] += to_float(dy.at[e]);
#pragma unroll
      for (int r = 0; r < tap_rows; ++r) {
        const int h = h0 + (first_row + r) * z.dilation_h;
        if (static_cast<unsigned>(h) >= static_cast<unsigned>(z.H)) continue;
#pragma unroll
        for (int s = 0; s < kTaps; ++s) {
          const int w = q * z.stride_w - z.left + (first_tap + s) * z.dilation_w;
          if (static_cast<unsigned>(w) >= static_cast<unsigned>(z.W)) continue;
          const auto x = fetch<T, channels>(image + (int64_t{h} * z.W + w) * z.C, true);
#pragma unroll
          for (int e = 0; e < channels; ++e) sum[r][s][e] += to_float(dy.at[e]) * to_float(x.at[e]);
        }
      }
    }
  }
#pragma unroll
  for (int r = 0; r < tap_rows; ++r)
#pragma unroll
    for (int s = 0; s < kTaps; ++s) {
      if (r + s > 0) __syncthreads();  // the tap before has been read
      store_tap<channels>(p, sum[r][s], (first_row + r) * z.S + first_tap + s, first, shared);
    }
  if (blockIdx.z != 0) return;
  __syncthreads();
  store_tap<channels>(p, bias, z.R * z.S, first, shared);
}

/// Add the slices in their order: [slice, tap, channel] -> dw [channel, tap], db [channel].
template <class T>
__global__ void sum_depthwise_slices_kernel(const float* slices, int count, int taps, int C, T* dw,
                                            T* db) {
  const int64_t size = int64_t{taps + 1} * C, i = thread_number();
  if (i >= (db ? size : size - C)) return;
  float sum = 0;
  for (int slice = 0; slice < count; ++slice) sum += slices[slice * size + i];
  const int tap = static_cast<int>(i / C), c = static_cast<int>(i % C);
  if (tap < taps)
    dw[int64_t{c} * taps + tap] = from_float<T>(sum);
  else
    db[c] = from_float<T>(sum);
}

/// Blocks over the rows of outputs: few enough that the second pass is short.
int64_t slices_of(const Conv2dShape& s) {
  return std::max<int64_t>(1, std::min<int64_t>(s.N * s.P / 8, 128));
}

template <class T, int window, int tap_rows, int channels>
void launch_weight(DepthwiseWeight<T>& p, int64_t slices, int64_t tap_blocks, void* stream) {
  p.sizes.lanes = depthwise_lanes(p.sizes.C / channels);
  const int64_t width = p.sizes.lanes * channels;
  const Grid grid = {slices, (p.sizes.C + width - 1) / width, tap_blocks, kDepthwiseThreads, 0};
  launch("conv2d_backward_weight depthwise",
         conv2d_depthwise_backward_weight_kernel<T, window, tap_rows, channels>, grid, stream, p);
}

template <class T>
void run(const Conv2dShape& s, bool has_bias, const Arguments& a) {
  DepthwiseWeight<T> p = {};
  Depthwise<T>& z = p.sizes;
  z.H = static_cast<int>(s.H), z.W = static_cast<int>(s.W), z.C = static_cast<int>(s.C);
  z.P = static_cast<int>(s.P), z.Q = static_cast<int>(s.Q);
  z.R = static_cast<int>(s.R), z.S = static_cast<int>(s.S);
  z.stride_h = static_cast<int>(s.stride_h), z.stride_w = static_cast<int>(s.stride_w);
  z.dilation_h = static_cast<int>(s.dilation_h), z.dilation_w = static_cast<int>(s.dilation_w);
  z.top = static_cast<int>(s.top), z.left = static_cast<int>(s.left);
  z.x = static_cast<const T*>(a.inputs[0]), p.dy = static_cast<const T*>(a.inputs[1]);
  p.slices = static_cast<float*>(a.workspace);
  p.rows = static_cast<int>(s.N * s.P);
  const int64_t slices = slices_of(s);
  const bool aligned =
      reinterpret_cast<uintptr_t>(z.x) % 16 == 0 && reinterpret_cast<uintptr_t>(p.dy) % 16 == 0;
  const bool fours = aligned && s.C % kChannels == 0 && s.R == s.S;
  if (fours && s.S == 3)
    launch_weight<T, 3, 3, kChannels>(p, slices, 1, a.stream);
  else if (fours && s.S == 5)
    launch_weight<T, 5, 1, kChannels>(p, slices, 5, a.stream);
  else if (fours && s.S == 7)
    launch_weight<T, 7, 1, kChannels>(p, slices, 7, a.stream);
  else
    launch_weight<T, 0, 1, 1>(p, slices, s.R * s.S, a.stream);
  const int taps = z.R * z.S;
  launch("conv2d_backward_weight depthwise, sum of slices", sum_depthwise_slices_kernel<T>,
         flat_grid(int64_t{taps + 1} * s.C), a.stream, p.slices, static_cast<int>(slices), taps,
         z.C, static_cast<T*>(a.outputs[0]),
         has_bias ? static_cast<T*>(a.outputs[1]) : static_cast<T*>(nullptr));
}

Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const bool has_bias = problem.get<Conv2dOptions>().bias;
  const size_t workspace =
      static_cast<size_t>(slices_of(s) * (s.R * s.S + 1) * s.C) * sizeof(float);
  return prepared(
      [=, dtype = problem.inputs[0].dtype](const Arguments& a) {
        with_type(dtype, [&](auto zero) { run<decltype(zero)>(s, has_bias, a); });
      },
      workspace);
}

std::string declines(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const std::string reason = declines_depthwise(s);
  if (!reason.empty()) return reason;
  if (s.R * s.S > kMaxGridYZ) return "takes windows of at most 65535 taps";
  return takes_floats(problem, 0, problem.inputs.size());
}

const bool added = [] {
  add_cuda_entry("conv2d_backward_weight", "depthwise", prepare, declines, 0.7);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
