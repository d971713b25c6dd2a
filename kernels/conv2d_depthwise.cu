// Depthwise convolution and the gradient of its input: one filter for each channel.
//
//   y[n,p,q,c] = act(b[c] + residual[n,p,q,c] + sum over (r,s) of
//     w[c,r,s] * x[n, p*stride - top + r*dilation, q*stride - left + s*dilation, c])
//
// There is little to multiply for each byte, so the kernels go for whole lines of memory and few
// reads. For windows of 3, 5 and 7 and strides of 1 and 2 a thread makes four neighbouring outputs
// of four channels: a pixel is read once for all the outputs that see it. Other windows, strides,
// dilations and numbers of channels go one output and one channel a thread. With stride 1 the
// gradient of the input is the same convolution with turned filters; with others, a gather, which
// for stride 2 takes every second row and column of the window: no zeros are multiplied.
//
// Method: rows kept in registers as in Lu, Zhang, Wang 2021, "Optimizing Depthwise Separable
// Convolution Operations on GPUs".
#include <striate/kernels/conv2d_depthwise.cuh>
#include <striate/kernels/entry.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

constexpr int kOutputs = 4, kChannels = 4;  // of a thread
constexpr int kPitch = 32 * kChannels + 4;

template <class T, int window, int stride>
__global__ void __launch_bounds__(kDepthwiseThreads, 3)
    conv2d_depthwise_kernel(const __grid_constant__ Depthwise<T> p) {
  __shared__ __align__(16) float filters[window * window * kPitch];
  const int lane = static_cast<int>(threadIdx.x) % p.lanes;
  const int first = static_cast<int>(blockIdx.y) * p.lanes * kChannels;
  read_filters(p, first, p.lanes * kChannels, kPitch, filters);
  const int c = first + lane * kChannels;
  if (c >= p.C) return;
  const int across = kDepthwiseThreads / p.lanes;
  const T* gates = stride == 1 ? p.gated : nullptr;  // gradients are of stride 1
  for (int64_t strip = int64_t{blockIdx.x} * across + threadIdx.x / p.lanes; strip < p.strips;
       strip += int64_t{gridDim.x} * across) {
    const int row = static_cast<int>(strip) / p.strips_per_row;
    const int q = static_cast<int>(strip) % p.strips_per_row * kOutputs;
    const int n = row / p.P, h0 = row % p.P * stride - p.top, w0 = q * stride - p.left;
    const T* image = p.x + int64_t{n} * p.H * p.W * p.C + c;
    float sum[kOutputs][kChannels] = {};
    // Of float32, what large windows with strides see of a row takes all registers: two rows spill.
    constexpr int kRows = window * stride < 10 || sizeof(T) < 4 ? window : 1;
    // Offsets in a row are 32-bit numbers: `goes_by_fours` limits the channels to 2^23.
#pragma unroll(kRows)
    for (int r = 0; r < window; ++r) {
      if (static_cast<unsigned>(h0 + r) >= static_cast<unsigned>(p.H)) continue;
      const T* pixels = image + (int64_t{h0 + r} * p.W + w0) * p.C;
      float4 f[window];
#pragma unroll
      for (int s = 0; s < window; ++s)
        f[s] = *reinterpret_cast<const float4*>(filters + (r * window + s) * kPitch +
                                                lane * kChannels);
#pragma unroll
      for (int u = 0; u < (kOutputs - 1) * stride + window; ++u) {
        if (static_cast<unsigned>(w0 + u) >= static_cast<unsigned>(p.W)) continue;
        const auto v = fetch<T, kChannels>(pixels + u * p.C, true);
#pragma unroll
        for (int i = 0; i < kOutputs; ++i) {
          const int s = u - i * stride;
          if (s < 0 || s >= window) continue;
#pragma unroll
          for (int e = 0; e < kChannels; ++e) sum[i][e] += to_float(v.at[e]) * (&f[s].x)[e];
        }
      }
    }
    const auto b = fetch<T, kChannels>(p.bias + c, p.bias);
#pragma unroll
    for (int i = 0; i < kOutputs; ++i) {
      if (q + i >= p.Q) continue;
      const int64_t at = (int64_t{row} * p.Q + q + i) * p.C + c;
      const auto residual = fetch<T, kChannels>(p.residual + at, p.residual);
      const auto gated = fetch<T, kChannels>(gates + at, gates);
      Elements<T, kChannels> y;
#pragma unroll
      for (int e = 0; e < kChannels; ++e) {
        const float v = sum[i][e] + to_float(b.at[e]) + to_float(residual.at[e]);
        y.at[e] = from_float<T>(gates ? p.gate(v, to_float(gated.at[e])) : p.activation(v));
      }
      *reinterpret_cast<Elements<T, kChannels>*>(p.y + at) = y;
    }
  }
}

/// The gradient of the input for strides of 2; here x is dy, of P x Q, and y is dx. The first of a
/// thread's four neighbouring pixels lies in the padded picture's even columns, so that what it and
/// the third see of dy meets even taps, and the others odd ones.
template <class T, int window>
__global__ void __launch_bounds__(kDepthwiseThreads, 3)
    conv2d_depthwise_backward_input_by_2_kernel(const __grid_constant__ Depthwise<T> p) {
  __shared__ __align__(16) float filters[window * window * kPitch];
  const int lane = static_cast<int>(threadIdx.x) % p.lanes;
  const int first = static_cast<int>(blockIdx.y) * p.lanes * kChannels;
  read_filters(p, first, p.lanes * kChannels, kPitch, filters);
  const int c = first + lane * kChannels;
  if (c >= p.C) return;
  const int across = kDepthwiseThreads / p.lanes;
  for (int64_t strip = int64_t{blockIdx.x} * across + threadIdx.x / p.lanes; strip < p.strips;
       strip += int64_t{gridDim.x} * across) {
    const int row = static_cast<int>(strip) / p.strips_per_row, h = row % p.H + p.top;
    const int w0 = static_cast<int>(strip) % p.strips_per_row * kOutputs - p.left % 2;
    const int q0 = (w0 + p.left) / 2;
    const T* gradients = p.x + int64_t{row / p.H} * p.P * p.Q * p.C + c;
    float sum[kOutputs][kChannels] = {};
#pragma unroll 1
    for (int r = h % 2; r < window; r += 2) {
      const int from = (h - r) / 2;
      if (h < r || from >= p.P) continue;
      const T* line = gradients + (int64_t{from} * p.Q + q0) * p.C;
      const float* taps = filters + r * window * kPitch + lane * kChannels;
#pragma unroll
      for (int u = -(window / 2); u < kOutputs / 2; ++u) {
        if (static_cast<unsigned>(q0 + u) >= static_cast<unsigned>(p.Q)) continue;
        const auto v = fetch<T, kChannels>(line + u * p.C, true);
#pragma unroll
        for (int i = 0; i < kOutputs; ++i) {
          const int s = i - 2 * u;
          if (s < 0 || s >= window) continue;
          const float4 f = *reinterpret_cast<const float4*>(taps + s * kPitch);
#pragma unroll
          for (int e = 0; e < kChannels; ++e) sum[i][e] += to_float(v.at[e]) * (&f.x)[e];
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kOutputs; ++i) {
      if (static_cast<unsigned>(w0 + i) >= static_cast<unsigned>(p.W)) continue;
      const int64_t at = (int64_t{row} * p.W + w0 + i) * p.C + c;
      const auto gated = fetch<T, kChannels>(p.gated + at, p.gated);
      Elements<T, kChannels> y;
#pragma unroll
      for (int e = 0; e < kChannels; ++e)
        y.at[e] = from_float<T>(p.gated ? p.gate(sum[i][e], to_float(gated.at[e])) : sum[i][e]);
      *reinterpret_cast<Elements<T, kChannels>*>(p.y + at) = y;
    }
  }
}

/// One output of one channel: any window, stride, dilation. The filters are few and stay in L1.
template <class T>
__global__ void __launch_bounds__(kDepthwiseThreads)
    conv2d_depthwise_any_kernel(const __grid_constant__ Depthwise<T> p) {
  const int lane = static_cast<int>(threadIdx.x) % p.lanes;
  const int c = static_cast<int>(blockIdx.y) * p.lanes + lane;
  if (c >= p.C) return;
  const int across = kDepthwiseThreads / p.lanes;
  const T* filter = p.w + int64_t{c} * p.R * p.S;
  for (int64_t at = int64_t{blockIdx.x} * across + threadIdx.x / p.lanes; at < p.strips;
       at += int64_t{gridDim.x} * across) {
    const int row = static_cast<int>(at) / p.Q, q = static_cast<int>(at) % p.Q;
    const int h0 = row % p.P * p.stride_h - p.top, w0 = q * p.stride_w - p.left;
    const T* image = p.x + int64_t{row / p.P} * p.H * p.W * p.C + c;
    float sum = p.bias ? to_float(p.bias[c]) : 0;
    for (int r = 0; r < p.R; ++r) {
      const int h = h0 + r * p.dilation_h;
      if (static_cast<unsigned>(h) >= static_cast<unsigned>(p.H)) continue;
      for (int s = 0; s < p.S; ++s) {
        const int w = w0 + s * p.dilation_w;
        if (static_cast<unsigned>(w) >= static_cast<unsigned>(p.W)) continue;
        sum += to_float(filter[r * p.S + s]) * to_float(image[(int64_t{h} * p.W + w) * p.C]);
      }
    }
    if (p.residual) sum += to_float(p.residual[at * p.C + c]);
    p.y[at * p.C + c] = from_float<T>(p.activation(sum));
  }
}

/// One pixel of one channel of the input's gradient; here x is dy, of P x Q, and y is dx.
template <class T>
__global__ void __launch_bounds__(kDepthwiseThreads)
    conv2d_depthwise_backward_input_any_kernel(const __grid_constant__ Depthwise<T> p) {
  const int lane = static_cast<int>(threadIdx.x) % p.lanes;
  const int c = static_cast<int>(blockIdx.y) * p.lanes + lane;
  if (c >= p.C) return;
  const int across = kDepthwiseThreads / p.lanes;
  const T* filter = p.w + int64_t{c} * p.R * p.S;
  for (int64_t at = int64_t{blockIdx.x} * across + threadIdx.x / p.lanes; at < p.strips;
       at += int64_t{gridDim.x} * across) {
    const int row = static_cast<int>(at) / p.W, w = static_cast<int>(at) % p.W;
    const T* image = p.x + int64_t{row / p.H} * p.P * p.Q * p.C + c;
    float sum = 0;
    for (int r = 0; r < p.R; ++r) {
      const int h = row % p.H + p.top - r * p.dilation_h;
      if (h < 0 || h % p.stride_h != 0 || h / p.stride_h >= p.P) continue;
      for (int s = 0; s < p.S; ++s) {
        const int u = w + p.left - s * p.dilation_w;
        if (u < 0 || u % p.stride_w != 0 || u / p.stride_w >= p.Q) continue;
        sum += to_float(filter[r * p.S + s]) *
               to_float(image[(int64_t{h / p.stride_h} * p.Q + u / p.stride_w) * p.C]);
      }
    }
    if (p.gated) sum = p.gate(sum, to_float(p.gated[at * p.C + c]));
    p.y[at * p.C + c] = from_float<T>(sum);
  }
}

template <class T>
Depthwise<T> sizes_of(const Conv2dShape& s) {
  Depthwise<T> p = {};
  p.H = static_cast<int>(s.H), p.W = static_cast<int>(s.W), p.C = static_cast<int>(s.C);
  p.P = static_cast<int>(s.P), p.Q = static_cast<int>(s.Q);
  p.R = static_cast<int>(s.R), p.S = static_cast<int>(s.S);
  p.stride_h = static_cast<int>(s.stride_h), p.stride_w = static_cast<int>(s.stride_w);
  p.dilation_h = static_cast<int>(s.dilation_h), p.dilation_w = static_cast<int>(s.dilation_w);
  p.top = static_cast<int>(s.top), p.left = static_cast<int>(s.left);
  return p;
}

template <class T>
void launch_by_fours(const char* name, Depthwise<T> p, int64_t images, void* stream) {
  p.strips_per_row = (p.Q + kOutputs - 1) / kOutputs;
  p.strips = static_cast<int>(images * p.P * p.strips_per_row);
  p.lanes = depthwise_lanes(p.C / kChannels);
  const Grid grid = depthwise_grid(p.strips, p.C / kChannels, p.lanes);
  const bool two = p.stride_h == 2;
  if (p.R == 3)
    launch(name, two ? conv2d_depthwise_kernel<T, 3, 2> : conv2d_depthwise_kernel<T, 3, 1>, grid,
           stream, p);
  else if (p.R == 5)
    launch(name, two ? conv2d_depthwise_kernel<T, 5, 2> : conv2d_depthwise_kernel<T, 5, 1>, grid,
           stream, p);
  else
    launch(name, two ? conv2d_depthwise_kernel<T, 7, 2> : conv2d_depthwise_kernel<T, 7, 1>, grid,
           stream, p);
}

template <class T>
void launch_by_2(const char* name, Depthwise<T> p, int64_t images, void* stream) {
  p.strips_per_row = (p.W + p.left % 2 + kOutputs - 1) / kOutputs;
  p.strips = static_cast<int>(images * p.H * p.strips_per_row);
  p.lanes = depthwise_lanes(p.C / kChannels);
  const Grid grid = depthwise_grid(p.strips, p.C / kChannels, p.lanes);
  const auto kernel = p.R == 3   ? conv2d_depthwise_backward_input_by_2_kernel<T, 3>
                      : p.R == 5 ? conv2d_depthwise_backward_input_by_2_kernel<T, 5>
                                 : conv2d_depthwise_backward_input_by_2_kernel<T, 7>;
  launch(name, kernel, grid, stream, p);
}

template <class T>
void launch_singly(const char* name, void (*kernel)(Depthwise<T>), Depthwise<T> p, int64_t outputs,
                   void* stream) {
  p.strips = static_cast<int>(outputs);
  p.lanes = depthwise_lanes(p.C);
  launch(name, kernel, depthwise_grid(outputs, p.C, p.lanes), stream, p);
}

/// True when the window is one that the kernels by fours are compiled for.
template <class T>
bool goes_by_fours(const Depthwise<T>& p) {
  static_assert(kMaxGridYZ * 32 * kChannels < 1 << 23, "offsets in a row are 32-bit numbers");
  const bool window = p.R == p.S && (p.R == 3 || p.R == 5 || p.R == 7);
  const bool strides = p.stride_h == p.stride_w && p.stride_h <= 2;
  return window && strides && p.dilation_h == 1 && p.dilation_w == 1 && p.C % kChannels == 0 &&
         p.C / kChannels <= kMaxGridYZ * 32;
}

template <class T>
bool is_aligned(const Depthwise<T>& p) {
  for (const void* data : {static_cast<const void*>(p.x), static_cast<const void*>(p.y),
                           static_cast<const void*>(p.bias), static_cast<const void*>(p.residual),
                           static_cast<const void*>(p.gated)})
    if (reinterpret_cast<uintptr_t>(data) % 16 != 0) return false;
  return true;
}

Prepared prepare_forward(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  const auto options = problem.get<Conv2dOptions>();
  const bool has_bias = problem.has_input(2), has_residual = problem.has_input(3);
  return prepared([=, dtype = problem.inputs[0].dtype](const Arguments& a) {
    with_type(dtype, [&](auto zero) {
      using T = decltype(zero);
      Depthwise<T> p = sizes_of<T>(s);
      p.x = static_cast<const T*>(a.inputs[0]), p.w = static_cast<const T*>(a.inputs[1]);
      p.y = static_cast<T*>(a.outputs[0]);
      if (has_bias) p.bias = static_cast<const T*>(a.inputs[2]);
      if (has_residual) p.residual = static_cast<const T*>(a.inputs[3]);
      p.activation = {options.activation, options.negative_slope};
      if (goes_by_fours(p) && is_aligned(p))
        launch_by_fours("conv2d depthwise", p, s.N, a.stream);
      else
        launch_singly("conv2d depthwise", conv2d_depthwise_any_kernel<T>, p, s.N * s.P * s.Q,
                      a.stream);
    });
  });
}

Prepared prepare_backward_input(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  return prepared([=, dtype = problem.inputs[0].dtype, gate = problem.gate](const Arguments& a) {
    with_type(dtype, [&](auto zero) {
      using T = decltype(zero);
      const char* name = "conv2d_backward_input depthwise";
      Depthwise<T> p = sizes_of<T>(s);
      p.x = static_cast<const T*>(a.inputs[0]), p.w = static_cast<const T*>(a.inputs[1]);
      p.y = static_cast<T*>(a.outputs[0]);
      if (gate) p.gated = static_cast<const T*>(a.inputs[gate.input]);
      p.gate = AnyGate(gate);
      if (goes_by_fours(p) && is_aligned(p) && p.stride_h == 2) {
        launch_by_2(name, p, s.N, a.stream);
      } else if (goes_by_fours(p) && is_aligned(p)) {
        std::swap(p.H, p.P), std::swap(p.W, p.Q);
        p.top = p.R - 1 - p.top, p.left = p.S - 1 - p.left;
        p.turned = true;
        launch_by_fours(name, p, s.N, a.stream);
      } else {
        launch_singly(name, conv2d_depthwise_backward_input_any_kernel<T>, p, s.N * s.H * s.W,
                      a.stream);
      }
    });
  });
}

std::string declines(const Problem& problem) {
  const std::string reason = declines_depthwise(conv2d_shape(problem));
  return reason.empty() ? takes_floats(problem, 0, problem.inputs.size()) : reason;
}

const bool added = [] {
  add_cuda_entry("conv2d", "depthwise", prepare_forward, declines, 0.8);
  add_cuda_entry("conv2d_backward_input", "depthwise", prepare_backward_input, declines, 0.75,
                 true);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
