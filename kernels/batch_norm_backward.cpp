// Gradients of batch normalisation on the CPU: one pass for the sums, one for dx.
//
//   dbeta = sum of dy      dgamma = inv_std * sum of dy * (x - mean)
//   dx = gamma * inv_std * (dy - dbeta / M - (x - mean) * inv_std * dgamma / M)
// Inference leaves out the two means, since its statistics do not depend on x.
#include <striate/kernels/batch_norm_chunks.h>

#include <algorithm>
#include <cmath>

namespace striate::kernels {
namespace {

constexpr int64_t kWide = kBatchNormWidth;

/// Sums of dy and of dy * (x - mean) over chunks [begin, end), for each lane of their group.
template <int64_t kWidth>
struct Sums {
  static STRIATE_INLINE void run(const BatchNormChunks* chunks, const float* x, const float* dy,
                                 const float* means, double* plain, double* weighted, int64_t begin,
                                 int64_t end) {
    const BatchNormChunks& c = *chunks;
    const int64_t stride = c.stride;
    for (int64_t i = begin; i < end; ++i) {
      const BatchNormChunk chunk = c.chunk(i);
      const int64_t lanes = c.stored(chunk.group);
      const float* mean = means + chunk.group * kWide;
      double sum[kWide] = {}, product[kWide] = {};
      for_each_row<kWidth>(c, chunk, [&](int64_t at, int64_t n, auto rows) STRIATE_INLINED {
        const float *g = dy + at, *v = x + at;
#pragma omp simd
        for (int64_t l = 0; l < n; ++l) {
          sum[l] += static_cast<double>(
              row_sum(rows, [&](int64_t k) STRIATE_INLINED { return g[k * stride + l]; }));
          product[l] += static_cast<double>(row_sum(rows, [&](int64_t k) STRIATE_INLINED {
            return g[k * stride + l] * (v[k * stride + l] - mean[l]);
          }));
        }
      });
      for (int64_t l = 0; l < lanes; ++l) {
        double a = 0, b = 0;
        for (int64_t f = 0; f < c.fold; ++f) {
          a += sum[f * lanes + l];
          b += product[f * lanes + l];
        }
        plain[i * kWide + l] = a;
        weighted[i * kWide + l] = b;
      }
    }
  }
};

/// dx = scale * (dy - shift - (x - mean) * slope) for chunks [begin, end), the last first: it is
/// what the pass before left in the cache.
template <int64_t kWidth>
struct Training {
  static STRIATE_INLINE void run(const BatchNormChunks* chunks, const float* x, const float* dy,
                                 const float* means, const float* scales, const float* shifts,
                                 const float* slopes, float* dx, int64_t begin, int64_t end) {
    for (int64_t i = end - 1; i >= begin; --i) {
      const BatchNormChunk chunk = chunks->chunk(i);
      const int64_t parameters = chunk.group * kWide;
      const float *mean = means + parameters, *scale = scales + parameters,
                  *shift = shifts + parameters, *slope = slopes + parameters;
      for_each_row<kWidth>(*chunks, chunk, [&](int64_t at, int64_t n, auto rows) STRIATE_INLINED {
        for (int64_t k = 0; k < rows.value; ++k, at += chunks->stride)
#pragma omp simd
          for (int64_t l = 0; l < n; ++l)
            dx[at + l] = scale[l] * ((dy[at + l] - shift[l]) - (x[at + l] - mean[l]) * slope[l]);
      });
    }
  }
};

/// dx = scale * dy for chunks [begin, end).
template <int64_t kWidth>
struct Inference {
  static STRIATE_INLINE void run(const BatchNormChunks* chunks, const float* dy,
                                 const float* scales, float* dx, int64_t begin, int64_t end) {
    for (int64_t i = end - 1; i >= begin; --i) {
      const BatchNormChunk chunk = chunks->chunk(i);
      const float* scale = scales + chunk.group * kWide;
      for_each_row<kWidth>(*chunks, chunk, [&](int64_t at, int64_t n, auto rows) STRIATE_INLINED {
        for (int64_t k = 0; k < rows.value; ++k, at += chunks->stride)
#pragma omp simd
          for (int64_t l = 0; l < n; ++l) dx[at + l] = scale[l] * dy[at + l];
      });
    }
  }
};

class Backward {
 public:
  Backward(const Problem& problem, const Layout& layout, bool is_training)
      : chunks_(problem.inputs[0].shape, layout),
        epsilon_(problem.get<BatchNormOptions>().epsilon),
        is_training_(is_training) {}

  size_t workspace() const {
    const int64_t doubles = 2 * chunks_.sums() + 2 * chunks_.parameters();
    return static_cast<size_t>(doubles) * sizeof(double) +
           static_cast<size_t>(4 * chunks_.parameters()) * sizeof(float);
  }

  void run(const Arguments& a) const {
    const BatchNormChunks& c = chunks_;
    const float *x = in(a, 0), *gamma = in(a, 1), *mean = in(a, 2), *spread = in(a, 3),
                *dy = in(a, 4);
    float *dx = out(a, 0), *dgamma = out(a, 1), *dbeta = out(a, 2);
    double* plain = static_cast<double*>(a.workspace);
    double* weighted = plain + c.sums();
    double* sums = weighted + c.sums();
    double* products = sums + c.parameters();
    float* means = reinterpret_cast<float*>(products + c.parameters());
    float* scales = means + c.parameters();
    float* shifts = scales + c.parameters();
    float* slopes = shifts + c.parameters();
    const auto inv_std = [&](int64_t channel) {
      const double v = static_cast<double>(spread[channel]);
      return is_training_ ? v : 1 / std::sqrt(v + epsilon_);
    };
    const auto at = [&](const double* values, int64_t channel) {
      return values[channel / c.group_lanes * kWide + channel % c.group_lanes];
    };
    c.fill(means, [&](int64_t channel) { return mean[channel]; });
    over_chunks<Sums>(c, x, dy, means, plain, weighted);
    add_chunks(plain, sums);
    add_chunks(weighted, products);
    for (int64_t channel = 0; channel < c.channels; ++channel) {
      dbeta[channel] = static_cast<float>(at(sums, channel));
      dgamma[channel] = static_cast<float>(at(products, channel) * inv_std(channel));
    }
    c.fill(scales,
           [&](int64_t channel) { return static_cast<double>(gamma[channel]) * inv_std(channel); });
    if (!is_training_) {
      over_chunks<Inference>(c, dy, scales, dx);
      return;
    }
    const double share = c.rows ? 1.0 / static_cast<double>(c.rows) : 0;
    c.fill(shifts, [&](int64_t channel) { return share * at(sums, channel); });
    c.fill(slopes, [&](int64_t channel) {
      const double s = inv_std(channel);
      return share * s * s * at(products, channel);
    });
    over_chunks<Training>(c, x, dy, means, scales, shifts, slopes, dx);
  }

 private:
  static const float* in(const Arguments& a, size_t i) {
    return static_cast<const float*>(a.inputs[i]);
  }
  static float* out(const Arguments& a, size_t i) { return static_cast<float*>(a.outputs[i]); }

  void add_chunks(const double* parts, double* totals) const {
    std::fill(totals, totals + chunks_.parameters(), 0.0);
    for (int64_t i = 0; i < chunks_.count; ++i) {
      const int64_t group = chunks_.chunk(i).group;
      for (int64_t l = 0; l < chunks_.stored(group); ++l)
        totals[group * kWide + l] += parts[i * kWide + l];
    }
  }

  BatchNormChunks chunks_;
  double epsilon_;
  bool is_training_;
};

template <bool kTraining>
Prepared prepare(const Problem& problem) {
  const Layout layout = batch_norm_layout(problem.inputs[0]), dense;
  auto backward = std::make_shared<Backward>(problem, layout, kTraining);
  Prepared prepared;
  prepared.inputs = {layout, dense, dense, dense, layout};
  prepared.outputs = {layout, dense, dense};
  prepared.in_place = {{0, 4, false}, {0, 0, false}};
  prepared.workspace = backward->workspace();
  prepared.kernel = make_kernel([backward](const Arguments& a) { backward->run(a); });
  return prepared;
}

/// oneDNN (0.4) is quicker where it has whole vectors of channels, and several times slower
/// elsewhere.
Entry with_efficiency(Entry entry) {
  entry.efficiency = [](const Problem& problem) {
    return problem.inputs[0].shape[-1] % 8 == 0 ? 0.35 : 0.5;
  };
  return entry;
}

const Register training(with_efficiency(batch_norm_entry("batch_norm_training_backward",
                                                         prepare<true>)));
const Register inference(batch_norm_entry("batch_norm_inference_backward", prepare<false>));

}  // namespace
}  // namespace striate::kernels
