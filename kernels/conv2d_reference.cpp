// Convolution and its gradients in plain loops: the oracle for all other entries.
//
// Each output is one sum in double over the window positions that lie inside the image, so what is
// outside never enters, not even as 0 * x. Outputs that share their inputs are summed side by side
// in a short array, only because that is several times quicker than one after the other.
#include <striate/core/parallel.h>
#include <striate/kernels/activation_value.h>
#include <striate/kernels/conv2d.h>
#include <striate/kernels/reference_types.h>

#include <algorithm>
#include <vector>

namespace striate::kernels {
namespace {

constexpr int64_t kTile = 64;  // sums kept at a time

/// Filters [K, R, S, C / groups] as [groups, R, S, C / groups, K / groups].
template <class T>
std::vector<double> outputs_last(const Conv2dShape& d, const T* w) {
  const int64_t cg = d.C / d.groups, kg = d.K / d.groups, rsc = d.R * d.S * cg;
  std::vector<double> turned(static_cast<size_t>(d.K * rsc));
  for (int64_t k = 0; k < d.K; ++k)
    for (int64_t i = 0; i < rsc; ++i)
      turned[static_cast<size_t>((k / kg * rsc + i) * kg + k % kg)] =
          static_cast<double>(w[k * rsc + i]);
  return turned;
}

template <class T>
void forward(const Problem& problem, const Arguments& arguments) {
  const Conv2dShape d = conv2d_shape(problem);
  const auto& options = problem.get<Conv2dOptions>();
  const auto* x = static_cast<const T*>(arguments.inputs[0]);
  const auto* b = problem.has_input(2) ? static_cast<const T*>(arguments.inputs[2]) : nullptr;
  const auto* residual =
      problem.has_input(3) ? static_cast<const T*>(arguments.inputs[3]) : nullptr;
  auto* y = static_cast<T*>(arguments.outputs[0]);
  const std::vector<double> w = outputs_last(d, static_cast<const T*>(arguments.inputs[1]));
  const int64_t cg = d.C / d.groups, kg = d.K / d.groups;

  parallel_for(d.N * d.P, [&](int64_t np) {
    const int64_t n = np / d.P, p = np % d.P;
    for (int64_t q = 0; q < d.Q; ++q)
      for (int64_t g = 0; g < d.groups; ++g)
        for (int64_t k0 = 0; k0 < kg; k0 += kTile) {
          const int64_t tile = std::min(kTile, kg - k0);
          double sum[kTile] = {};
          for (int64_t r = 0; r < d.R; ++r) {
            const int64_t h = p * d.stride_h - d.top + r * d.dilation_h;
            if (h < 0 || h >= d.H) continue;
            for (int64_t s = 0; s < d.S; ++s) {
              const int64_t u = q * d.stride_w - d.left + s * d.dilation_w;
              if (u < 0 || u >= d.W) continue;
              const T* image = x + ((n * d.H + h) * d.W + u) * d.C + g * cg;
              const double* filter = w.data() + ((g * d.R + r) * d.S + s) * cg * kg + k0;
              for (int64_t c = 0; c < cg; ++c) {
                const double value = static_cast<double>(image[c]);
                for (int64_t k = 0; k < tile; ++k) sum[k] += value * filter[c * kg + k];
              }
            }
          }
          const int64_t first = g * kg + k0, at = (np * d.Q + q) * d.K + first;
          for (int64_t k = 0; k < tile; ++k) {
            if (b) sum[k] += static_cast<double>(b[first + k]);
            if (residual) sum[k] += static_cast<double>(residual[at + k]);
            y[at + k] =
                static_cast<T>(activate(options.activation, sum[k], options.negative_slope));
          }
        }
  });
}

template <class T>
void backward_input(const Problem& problem, const Arguments& arguments) {
  const Conv2dShape d = conv2d_shape(problem);
  const auto* dy = static_cast<const T*>(arguments.inputs[0]);
  const auto* w = static_cast<const T*>(arguments.inputs[1]);
  auto* dx = static_cast<T*>(arguments.outputs[0]);
  const int64_t cg = d.C / d.groups, kg = d.K / d.groups;

  parallel_for(d.N * d.H, [&](int64_t nh) {
    const int64_t n = nh / d.H, h = nh % d.H;
    for (int64_t u = 0; u < d.W; ++u)
      for (int64_t g = 0; g < d.groups; ++g)
        for (int64_t c0 = 0; c0 < cg; c0 += kTile) {
          const int64_t tile = std::min(kTile, cg - c0);
          double sum[kTile] = {};
          for (int64_t r = 0; r < d.R; ++r) {
            const int64_t ph = h + d.top - r * d.dilation_h;
            if (ph < 0 || ph % d.stride_h != 0 || ph / d.stride_h >= d.P) continue;
            for (int64_t s = 0; s < d.S; ++s) {
              const int64_t qw = u + d.left - s * d.dilation_w;
              if (qw < 0 || qw % d.stride_w != 0 || qw / d.stride_w >= d.Q) continue;
              const T* gradient =
                  dy + ((n * d.P + ph / d.stride_h) * d.Q + qw / d.stride_w) * d.K + g * kg;
              for (int64_t k = 0; k < kg; ++k) {
                const double value = static_cast<double>(gradient[k]);
                const T* filter = w + (((g * kg + k) * d.R + r) * d.S + s) * cg + c0;
                for (int64_t c = 0; c < tile; ++c) sum[c] += value * static_cast<double>(filter[c]);
              }
            }
          }
          T* out = dx + (nh * d.W + u) * d.C + g * cg + c0;
          for (int64_t c = 0; c < tile; ++c) out[c] = static_cast<T>(sum[c]);
        }
  });
}

template <class T>
void backward_weight(const Problem& problem, const Arguments& arguments) {
  const Conv2dShape d = conv2d_shape(problem);
  const auto* x = static_cast<const T*>(arguments.inputs[0]);
  const auto* dy = static_cast<const T*>(arguments.inputs[1]);
  auto* dw = static_cast<T*>(arguments.outputs[0]);
  const int64_t cg = d.C / d.groups, kg = d.K / d.groups;

  parallel_for(d.K * d.R * d.S, [&](int64_t krs) {
    const int64_t k = krs / (d.R * d.S), r = krs / d.S % d.R, s = krs % d.S, g = k / kg;
    for (int64_t c0 = 0; c0 < cg; c0 += kTile) {
      const int64_t tile = std::min(kTile, cg - c0);
      double sum[kTile] = {};
      for (int64_t np = 0; np < d.N * d.P; ++np) {
        const int64_t h = np % d.P * d.stride_h - d.top + r * d.dilation_h;
        if (h < 0 || h >= d.H) continue;
        for (int64_t q = 0; q < d.Q; ++q) {
          const int64_t u = q * d.stride_w - d.left + s * d.dilation_w;
          if (u < 0 || u >= d.W) continue;
          const double value = static_cast<double>(dy[(np * d.Q + q) * d.K + k]);
          const T* image = x + ((np / d.P * d.H + h) * d.W + u) * d.C + g * cg + c0;
          for (int64_t c = 0; c < tile; ++c) sum[c] += value * static_cast<double>(image[c]);
        }
      }
      for (int64_t c = 0; c < tile; ++c) dw[krs * cg + c0 + c] = static_cast<T>(sum[c]);
    }
  });

  if (!problem.get<Conv2dOptions>().bias) return;
  auto* db = static_cast<T*>(arguments.outputs[1]);
  parallel_for(d.K, [&](int64_t k) {
    double sum = 0;
    for (int64_t i = 0; i < d.N * d.P * d.Q; ++i) sum += static_cast<double>(dy[i * d.K + k]);
    db[k] = static_cast<T>(sum);
  });
}

template <void (*Single)(const Problem&, const Arguments&),
          void (*Double)(const Problem&, const Arguments&)>
void by_dtype(const Problem& problem, const Arguments& arguments) {
  (problem.outputs[0].dtype == DType::kF64 ? Double : Single)(problem, arguments);
}

const Register conv2d(for_wide_floats(reference_entry("conv2d",
                                                      by_dtype<forward<float>, forward<double>>)));
const Register conv2d_backward_input(for_wide_floats(reference_entry(
    "conv2d_backward_input", by_dtype<backward_input<float>, backward_input<double>>)));
const Register conv2d_backward_weight(for_wide_floats(reference_entry(
    "conv2d_backward_weight", by_dtype<backward_weight<float>, backward_weight<double>>)));

}  // namespace
}  // namespace striate::kernels
