// Convolution of images with few channels: the first layer of most networks.
//
//   y[n,p,q,k] = act(b[k] + residual[n,p,q,k] + sum over (r,s,c) of
//     w[k,r,s,c] * x[n, p*stride - top + r*dilation, q*stride - left + s*dilation, c])
//
// With one to four channels the filters, not the channels, are the vector. A block makes a strip of
// outputs, 32 across, for 8, 16 or 32 filters: it reads the patch of the picture that they see once
// into shared memory (zeros outside), and the filters one row of taps at a time. A thread makes
// four outputs, 8 columns apart, of eight filters: each pixel and each filter value it reads serves
// 8 and 4 products. The results go through shared memory once more, so that activations are
// applied in a short loop and stores are whole lines.
//
// Shared memory without bank conflicts: rows of taps are four floats longer than the filters, so
// that eight taps of four filters lie in 32 banks; the rows of the patch are so much longer that the
// outputs of a warp, of one to four rows, see pixels in different banks; pixels of two or four
// channels are read at once. A warp fetches 32 taps of each of four filters, and its four groups of
// eight lanes exchange what they hold so that it stores eight taps of all four.
#include <striate/kernels/conv2d.h>

#include <array>
#include <striate/kernels/activation.cuh>
#include <striate/kernels/block_sum.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/gemm_tile.cuh>
#include <striate/kernels/launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

constexpr int kThreads = 128, kColumns = 32;  // of a block: threads, outputs of a row
constexpr int kOutputs = 4, kFilters = 8;     // of a thread
constexpr int kAcross = kColumns / kOutputs;  // threads over a row of outputs
constexpr int kSums = kThreads * kOutputs * kFilters;
constexpr int kBanks = 32, kTapsOfWarp = 32, kFiltersOfWarp = 4;

template <class T>
struct Direct {
  const T *x, *w, *bias, *residual;  // the last two: null for none
  T* y;
  AnyActivation activation;
  int H, W, K, P, Q, R, S, stride_h, stride_w, dilation_h, dilation_w, top, left;
  int groups;  // of kFilters filters in a block: 1, 2 or 4
  int rows;    // of outputs in a block
  int tiles_p, tiles_q, tiles_k;
  int patch_h, patch_w;  // pixels that a block sees
  int patch_pitch;       // from one row of them to the next, in floats
};

/// Read the channels of a pixel, at once where two or four of them are a vector.
template <int C>
__device__ void read_pixel(const float* from, float (&v)[C]) {
  if constexpr (C == 4) {
    const float4 all = *reinterpret_cast<const float4*>(from);
    v[0] = all.x, v[1] = all.y, v[2] = all.z, v[3] = all.w;
  } else if constexpr (C == 2) {
    const float2 all = *reinterpret_cast<const float2*>(from);
    v[0] = all.x, v[1] = all.y;
  } else {
#pragma unroll
    for (int c = 0; c < C; ++c) v[c] = from[c];
  }
}

/// Exchange values among a warp's four groups of eight lanes: what group g held as number f becomes
/// number g of group f.
__device__ inline void exchange(float (&v)[kFiltersOfWarp], int group) {
#pragma unroll
  for (int half = 1; half < kFiltersOfWarp; half *= 2) {
    const bool upper = (group & half) != 0;
#pragma unroll
    for (int f = 0; f < kFiltersOfWarp; ++f) {
      if ((f & half) != 0) continue;
      const float other =
          __shfl_xor_sync(kAllLanes, upper ? v[f] : v[f + half], half * kBanks / kFiltersOfWarp);
      (upper ? v[f] : v[f + half]) = other;
    }
  }
}

template <class T, int C>
__global__ void __launch_bounds__(kThreads, 4)
    conv2d_direct_kernel(const __grid_constant__ Direct<T> p) {
  extern __shared__ __align__(16) float shared[];
  const int filters = p.groups * kFilters;  // of the block
  const int pitch = filters + kFiltersOfWarp;
  float* taps = shared;  // [S, C, pitch] of one row
  float* patch = shared + p.S * C * pitch;
  const int t = static_cast<int>(threadIdx.x);
  const int lane = t % kBanks;
  const int across = filters / kFiltersOfWarp;  // a row of taps, in turns of warps
  const int turns = (p.S * C + kTapsOfWarp - 1) / kTapsOfWarp * across;
  int tile = static_cast<int>(blockIdx.x);
  const int k0 = tile % p.tiles_k * filters;
  tile /= p.tiles_k;
  const int q0 = tile % p.tiles_q * kColumns;
  tile /= p.tiles_q;
  const int p0 = tile % p.tiles_p * p.rows, n = tile / p.tiles_p;

  const int h0 = p0 * p.stride_h - p.top, w0 = q0 * p.stride_w - p.left;
  const T* image = p.x + int64_t{n} * p.H * p.W * C;
  for (int i = t; i < p.patch_h * p.patch_w * C; i += kThreads) {
    const int row = i / (p.patch_w * C), h = h0 + row;
    const int rest = i - row * (p.patch_w * C), w = w0 + rest / C;
    const bool inside = static_cast<unsigned>(h) < static_cast<unsigned>(p.H) &&
                        static_cast<unsigned>(w) < static_cast<unsigned>(p.W);
    patch[row * p.patch_pitch + rest] =
        inside ? to_float(image[(int64_t{h} * p.W + w) * C + rest % C]) : 0;
  }

  const int group = t % p.groups, place = t / p.groups;
  const int row = place / kAcross, column = place % kAcross;
  const float* pixels = patch + row * p.stride_h * p.patch_pitch + column * p.stride_w * C;
  const int next = kAcross * p.stride_w * C;  // to the thread's next output
  float sum[kOutputs][kFilters] = {};
  for (int r = 0; r < p.R; ++r) {
    __syncthreads();
    for (int turn = t / kBanks; turn < turns; turn += kThreads / kBanks) {
      const int filter = turn % across * kFiltersOfWarp, tap0 = turn / across * kTapsOfWarp;
      const T* from = p.w + ((int64_t{k0} + filter) * p.R + r) * (p.S * C) + tap0 + lane;
      float own[kFiltersOfWarp];
#pragma unroll
      for (int f = 0; f < kFiltersOfWarp; ++f, from += int64_t{p.R} * (p.S * C))
        own[f] = tap0 + lane < p.S * C && k0 + filter + f < p.K ? to_float(*from) : 0;
      exchange(own, lane / 8);
#pragma unroll
      for (int f = 0; f < kFiltersOfWarp; ++f) {
        const int tap = tap0 + f * 8 + lane % 8;
        if (tap < p.S * C) taps[tap * pitch + filter + lane / 8] = own[f];
      }
    }
    __syncthreads();
    const float* at = pixels + r * p.dilation_h * p.patch_pitch;
    const float* f = taps + group * kFilters;
    for (int s = 0; s < p.S; ++s, at += p.dilation_w * C) {
      float v[kOutputs][C];
#pragma unroll
      for (int i = 0; i < kOutputs; ++i) read_pixel(at + i * next, v[i]);
#pragma unroll
      for (int c = 0; c < C; ++c, f += pitch) {
        const float4 low = *reinterpret_cast<const float4*>(f);
        const float4 high = *reinterpret_cast<const float4*>(f + 4);
#pragma unroll
        for (int i = 0; i < kOutputs; ++i) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            sum[i][e] += v[i][c] * (&low.x)[e];
            sum[i][4 + e] += v[i][c] * (&high.x)[e];
          }
        }
      }
    }
  }

  __syncthreads();  // the sums take the place of the patch: [rows, columns, filters]
#pragma unroll
  for (int i = 0; i < kOutputs; ++i) {
    float* to = shared + ((row * kColumns + column + i * kAcross) * filters + group * kFilters);
    *reinterpret_cast<float4*>(to) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
    *reinterpret_cast<float4*>(to + 4) = make_float4(sum[i][4], sum[i][5], sum[i][6], sum[i][7]);
  }
  __syncthreads();
#pragma unroll 1
  for (int i = t; i < kSums; i += kThreads) {
    const int filter = k0 + i % filters, output = i / filters;
    const int out_p = p0 + output / kColumns, out_q = q0 + output % kColumns;
    if (filter >= p.K || out_p >= p.P || out_q >= p.Q) continue;
    const int64_t at = ((int64_t{n} * p.P + out_p) * p.Q + out_q) * p.K + filter;
    float v = shared[i];
    if (p.bias) v += to_float(p.bias[filter]);
    if (p.residual) v += to_float(p.residual[at]);
    p.y[at] = from_float<T>(p.activation(v));
  }
}

/// How a block's outputs and filters are cut, and its shared memory.
struct Cut {
  int groups, rows, patch_h, patch_w, patch_pitch;
  size_t shared;
};

/// Return the length of the patch's rows, at least `width` floats and whole pixels, with which the
/// fewest threads of a warp read one bank: `rows` rows of kAcross of them, `down` patch rows and
/// `across` floats apart.
int64_t patch_pitch(int64_t width, int64_t channels, int rows, int64_t down, int64_t across) {
  int64_t best = width;
  int fewest = kBanks + 1;
  for (int64_t pitch = width; pitch < width + kBanks; pitch += channels) {
    int worst = 0;
    std::array<int, kBanks> threads = {};
    for (int row = 0; row < rows; ++row)
      for (int column = 0; column < kAcross; ++column)
        worst = std::max(
            worst, ++threads[static_cast<size_t>((row * down * pitch + column * across) % kBanks)]);
    if (worst < fewest) fewest = worst, best = pitch;
  }
  return best;
}

Cut cut_of(const Conv2dShape& s) {
  Cut cut;
  cut.groups = s.K <= kFilters ? 1 : s.K <= 2 * kFilters ? 2 : 4;
  cut.rows = kThreads / cut.groups / kAcross;
  const int64_t patch_h = (cut.rows - 1) * s.stride_h + (s.R - 1) * s.dilation_h + 1;
  const int64_t patch_w = (kColumns - 1) * s.stride_w + (s.S - 1) * s.dilation_w + 1;
  const int64_t pitch =
      patch_pitch(patch_w * s.C, s.C, kBanks / kAcross / cut.groups, s.stride_h, s.stride_w * s.C);
  const int64_t floats = patch_h * pitch + s.S * s.C * (cut.groups * kFilters + kFiltersOfWarp);
  cut.patch_pitch = static_cast<int>(pitch);
  cut.patch_h = static_cast<int>(patch_h), cut.patch_w = static_cast<int>(patch_w);
  cut.shared = static_cast<size_t>(std::max<int64_t>(floats, kSums)) * sizeof(float);
  return cut;
}

template <class T>
void run(const Conv2dShape& s, const Conv2dOptions& options, const Arguments& a) {
  const Cut cut = cut_of(s);
  Direct<T> p = {};
  p.x = static_cast<const T*>(a.inputs[0]), p.w = static_cast<const T*>(a.inputs[1]);
  p.bias = static_cast<const T*>(a.inputs[2]), p.residual = static_cast<const T*>(a.inputs[3]);
  p.y = static_cast<T*>(a.outputs[0]);
  p.activation = {options.activation, options.negative_slope};
  p.H = static_cast<int>(s.H), p.W = static_cast<int>(s.W), p.K = static_cast<int>(s.K);
  p.P = static_cast<int>(s.P), p.Q = static_cast<int>(s.Q);
  p.R = static_cast<int>(s.R), p.S = static_cast<int>(s.S);
  p.stride_h = static_cast<int>(s.stride_h), p.stride_w = static_cast<int>(s.stride_w);
  p.dilation_h = static_cast<int>(s.dilation_h), p.dilation_w = static_cast<int>(s.dilation_w);
  p.top = static_cast<int>(s.top), p.left = static_cast<int>(s.left);
  p.groups = cut.groups, p.rows = cut.rows, p.patch_h = cut.patch_h, p.patch_w = cut.patch_w;
  p.patch_pitch = cut.patch_pitch;
  p.tiles_p = (p.P + cut.rows - 1) / cut.rows, p.tiles_q = (p.Q + kColumns - 1) / kColumns;
  p.tiles_k = (p.K + cut.groups * kFilters - 1) / (cut.groups * kFilters);
  const Grid grid = {s.N * p.tiles_p * p.tiles_q * p.tiles_k, 1, 1, kThreads, cut.shared};
  void (*kernels[])(Direct<T>) = {conv2d_direct_kernel<T, 1>, conv2d_direct_kernel<T, 2>,
                                  conv2d_direct_kernel<T, 3>, conv2d_direct_kernel<T, 4>};
  launch("conv2d direct", kernels[s.C - 1], grid, a.stream, p);
}

Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const auto options = problem.get<Conv2dOptions>();
  const bool has_bias = problem.has_input(2), has_residual = problem.has_input(3);
  return prepared([=, dtype = problem.inputs[0].dtype](const Arguments& a) {
    const void* inputs[] = {a.inputs[0], a.inputs[1], has_bias ? a.inputs[2] : nullptr,
                            has_residual ? a.inputs[3] : nullptr};
    const Arguments all = {inputs, a.outputs, a.workspace, a.stream};
    with_type(dtype, [&](auto zero) { run<decltype(zero)>(s, options, all); });
  });
}

std::string declines(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  if (s.C > 4) return "takes at most 4 channels";
  if (s.groups > 1) return "takes no groups";
  constexpr int64_t kLimit = int64_t{1} << 28;
  for (const int64_t size : {s.stride_h, s.stride_w, s.R * s.dilation_h, s.S * s.dilation_w, s.top,
                             s.left, s.H * s.W, s.P * s.Q, s.K})
    if (size >= kLimit) return "takes sizes below 2^28";
  if (cut_of(s).shared > kDefaultShared) return "what a block sees does not fit shared memory";
  return takes_floats(problem, 0, problem.inputs.size());
}

const bool added = [] {
  add_cuda_entry("conv2d", "direct", prepare, declines, 0.65);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
