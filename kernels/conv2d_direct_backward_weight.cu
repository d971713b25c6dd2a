// The gradients of filters and bias of a convolution with few input channels.
//
//   dw[k,r,s,c] = sum over n, p, q of dy[n,p,q,k] * x[n, p*stride - top + r*dilation, ..., c]
//   db[k]       = sum over n, p, q of dy[n,p,q,k]
//
// A block takes 64 filters, some taps (r, s, c) and a slice of all strips of 16 outputs in a row.
// For each strip it copies dy and the pixels under it to shared memory once, where all taps find
// them: an implicit product would fetch each pixel again for every tap. A thread sums 8 filters by
// 4 taps; where the taps need few threads, the others take a part of the strip's outputs, and their
// sums are added in a fixed order at the end. A second pass adds the slices. The bias is one more
// tap, under which all pixels are 1.
#include <striate/kernels/conv2d.h>
#include <striate/kernels/conv2d_sizes.h>

#include <algorithm>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/gemm_store.cuh>
#include <striate/kernels/launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

constexpr int kStrip = 16, kFilters = 64, kTaps = 4, kThreads = 256;
constexpr int kFilterGroups = kFilters / 8, kMostTapGroups = kThreads / kFilterGroups;
constexpr int kSums = 8 * kTaps;

template <class T>
struct DirectWeight {
  const T *x, *dy;
  float* slices;
  int64_t strips, slice_strips, slice_pitch;
  int H, W, C, K, P, Q, R, S;
  int stride_h, stride_w, dilation_h, dilation_w, top, left;
  int strips_of_row, patch_w;        // patch_w: columns of pixels under a strip
  int taps, columns;                 // taps: of a filter; columns: with the bias'
  int tap_groups, tap_tiles, parts;  // parts: of a strip that threads of their own take
};

template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    conv2d_direct_backward_weight_kernel(const __grid_constant__ DirectWeight<T> p) {
  extern __shared__ __align__(16) float shared[];
  float* gradients = shared;                  // [kStrip, kFilters]
  float* patch = shared + kStrip * kFilters;  // [R, patch_w, C], then ones
  const int t = static_cast<int>(threadIdx.x);
  const int patch_size = p.R * p.patch_w * p.C, step = p.stride_w * p.C;
  const int tile = static_cast<int>(blockIdx.x) % p.tap_tiles;
  const int k0 = static_cast<int>(blockIdx.x) / p.tap_tiles * kFilters;
  const int filter = t % kFilterGroups * 4, lane = t / kFilterGroups;
  const int group = lane % p.tap_groups, part = lane / p.tap_groups;
  const int first = (tile * p.tap_groups + group) * kTaps;
  int offset[kTaps];
#pragma unroll
  for (int j = 0; j < kTaps; ++j) {
    const int tap = min(first + j, p.columns - 1);
    const int c = tap % p.C, s = tap / p.C % p.S, r = tap / p.C / p.S;
    offset[j] = tap < p.taps ? (r * p.patch_w + s * p.dilation_w) * p.C + c : patch_size;
  }
  for (int i = t; i <= (kStrip - 1) * step; i += kThreads) patch[patch_size + i] = 1;

  float sums[8][kTaps] = {};
  const int64_t begin = blockIdx.y * p.slice_strips;
  const int64_t end = min(begin + p.slice_strips, p.strips);
#pragma unroll 1
  for (int64_t strip = begin; strip < end; ++strip) {
    const int q0 = static_cast<int>(strip % p.strips_of_row) * kStrip;
    const int64_t row = strip / p.strips_of_row, image = row / p.P;
    const int h0 = static_cast<int>(row % p.P) * p.stride_h - p.top;
    const int w0 = q0 * p.stride_w - p.left;
    __syncthreads();  // the strip before is done with
    static_assert(kStrip * kFilters % kThreads == 0);
#pragma unroll
    for (int turn = 0; turn < kStrip * kFilters / kThreads; ++turn) {
      const int i = turn * kThreads + t;
      const int q = q0 + i / kFilters, k = k0 + i % kFilters;
      gradients[i] = q < p.Q && k < p.K ? to_float(p.dy[(row * p.Q + q) * p.K + k]) : 0;
    }
    for (int i = t; i < patch_size; i += kThreads) {
      const int c = i % p.C, w = w0 + i / p.C % p.patch_w;
      const int h = h0 + i / p.C / p.patch_w * p.dilation_h;
      const bool inside = static_cast<unsigned>(h) < static_cast<unsigned>(p.H) &&
                          static_cast<unsigned>(w) < static_cast<unsigned>(p.W);
      patch[i] = inside ? to_float(p.x[((image * p.H + h) * p.W + w) * p.C + c]) : 0;
    }
    __syncthreads();
    if (part >= p.parts) continue;
    const int count = min(kStrip, p.Q - q0);
    for (int q = part; q < count; q += p.parts) {
      const float4 low = *reinterpret_cast<const float4*>(gradients + q * kFilters + filter);
      const float4 high = *reinterpret_cast<const float4*>(gradients + q * kFilters + 32 + filter);
#pragma unroll
      for (int j = 0; j < kTaps; ++j) {
        const float v = patch[offset[j] + q * step];
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          sums[e][j] += (&low.x)[e] * v;
          sums[4 + e][j] += (&high.x)[e] * v;
        }
      }
    }
  }

  // The first part takes the sums of the others, one after the other.
  const int place = group * kFilterGroups + t % kFilterGroups;
  const int places = p.tap_groups * kFilterGroups;
#pragma unroll 1
  for (int other = 1; other < p.parts; ++other) {
    __syncthreads();
    if (part == other)
#pragma unroll
      for (int i = 0; i < kSums; ++i) shared[i * places + place] = sums[i / kTaps][i % kTaps];
    __syncthreads();
    if (part == 0)
#pragma unroll
      for (int i = 0; i < kSums; ++i) sums[i / kTaps][i % kTaps] += shared[i * places + place];
  }
  if (part != 0) return;
  float* slice = p.slices + blockIdx.y * p.slice_pitch;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int k = k0 + filter + i / 4 * 32 + i % 4;
    if (k >= p.K) continue;
#pragma unroll
    for (int j = 0; j < kTaps; ++j)
      if (first + j < p.columns) slice[int64_t{k} * p.columns + first + j] = sums[i][j];
  }
}

/// How taps, parts of a strip and slices are dealt out.
struct Deal {
  int64_t columns, tap_tiles, tap_groups, parts, filter_tiles, strips, slices, slice_strips;
  int64_t patch_w;
  size_t shared, workspace;
};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

Deal deal_of(const Conv2dShape& s, bool has_bias) {
  Deal d = {};
  d.columns = s.R * s.S * s.C + (has_bias ? 1 : 0);
  const int64_t groups = divide_up(d.columns, kTaps);
  d.tap_tiles = divide_up(groups, kMostTapGroups);
  d.tap_groups = divide_up(groups, d.tap_tiles);
  d.parts = std::min<int64_t>(kMostTapGroups / d.tap_groups, kStrip);
  d.filter_tiles = divide_up(s.K, kFilters);
  d.strips = s.N * s.P * divide_up(s.Q, kStrip);
  // Two blocks for each of 108 multiprocessors; a slice of few strips costs more than it gives.
  constexpr int64_t kBlocks = 216, kLeastStrips = 8;
  const int64_t wanted = std::max<int64_t>(1, kBlocks / (d.tap_tiles * d.filter_tiles));
  d.slice_strips = std::max(divide_up(d.strips, wanted), kLeastStrips);
  d.slices = divide_up(d.strips, d.slice_strips);
  d.patch_w = (kStrip - 1) * s.stride_w + (s.S - 1) * s.dilation_w + 1;
  const int64_t ones = (kStrip - 1) * s.stride_w * s.C + 1;
  const int64_t floats = kStrip * kFilters + s.R * d.patch_w * s.C + ones;
  const int64_t exchanged = d.parts > 1 ? d.tap_groups * kFilterGroups * kSums : 0;
  d.shared = static_cast<size_t>(std::max(floats, exchanged)) * sizeof(float);
  d.workspace = static_cast<size_t>(d.slices * s.K * d.columns) * sizeof(float);
  return d;
}

template <class T>
void run(const Conv2dShape& s, const Deal& d, bool has_bias, const Arguments& a) {
  const auto number = [](int64_t v) { return static_cast<int>(v); };
  DirectWeight<T> p = {};
  p.x = static_cast<const T*>(a.inputs[0]), p.dy = static_cast<const T*>(a.inputs[1]);
  p.slices = static_cast<float*>(a.workspace);
  p.strips = d.strips, p.slice_strips = d.slice_strips, p.slice_pitch = s.K * d.columns;
  p.H = number(s.H), p.W = number(s.W), p.C = number(s.C), p.K = number(s.K);
  p.P = number(s.P), p.Q = number(s.Q), p.R = number(s.R), p.S = number(s.S);
  p.stride_h = number(s.stride_h), p.stride_w = number(s.stride_w);
  p.dilation_h = number(s.dilation_h), p.dilation_w = number(s.dilation_w);
  p.top = number(s.top), p.left = number(s.left);
  p.strips_of_row = number(divide_up(s.Q, kStrip)), p.patch_w = number(d.patch_w);
  p.taps = number(s.R * s.S * s.C), p.columns = number(d.columns);
  p.tap_groups = number(d.tap_groups), p.tap_tiles = number(d.tap_tiles);
  p.parts = number(d.parts);
  launch("conv2d_backward_weight direct", conv2d_direct_backward_weight_kernel<T>,
         {d.tap_tiles * d.filter_tiles, d.slices, 1, kThreads, d.shared}, a.stream, p);
  sum_weight_slices<T>(
      "conv2d_backward_weight direct, sum of slices",
      {p.slices, d.slices, s.K, s.R * s.S * s.C, d.columns, static_cast<T*>(a.outputs[0]),
       has_bias ? static_cast<T*>(a.outputs[1]) : nullptr},
      a.stream);
}

Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  check_sizes(s);
  const bool has_bias = problem.get<Conv2dOptions>().bias;
  const Deal deal = deal_of(s, has_bias);
  return prepared(
      [=, dtype = problem.inputs[0].dtype](const Arguments& a) {
        with_type(dtype, [&](auto zero) { run<decltype(zero)>(s, deal, has_bias, a); });
      },
      deal.workspace);
}

std::string declines(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  if (s.C > 4) return "takes at most 4 channels";
  if (s.groups > 1) return "takes no groups";
  if (s.N * s.P * s.Q == 0) return "takes pictures of one pixel and more";
  if (deal_of(s, true).shared > kDefaultShared)
    return "what a block sees does not fit shared memory";
  if (problem.inputs[1].dtype != problem.inputs[0].dtype) return "takes values of one type";
  return takes_floats(problem, 0, 1);
}

const bool added = [] {
  // Small layers are done sooner by one launch of implicit_gemm, so this one waits to be asked for.
  add_cuda_entry("conv2d_backward_weight", "direct", prepare, declines, 0.38);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
