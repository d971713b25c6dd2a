// Batch normalisation on the CPU: one pass for the moments, one for the result.
//
// The moments of a chunk are taken while it lies in the cache, first its mean, then the squares
// about that mean; chunks are combined as in Chan, Golub and LeVeque (1983). The mean is summed in
// double and used as a float and its remainder: nothing is lost where it is far larger than the
// deviation.
#include <striate/kernels/batch_norm_chunks.h>

#include <algorithm>
#include <cmath>

namespace striate::kernels {
namespace {

constexpr int64_t kWide = kBatchNormWidth;

/// Mean and sum of squares about it of chunks [begin, end), for each lane of their group.
template <int64_t kWidth>
struct Moments {
  static STRIATE_INLINE void run(const BatchNormChunks* chunks, const float* x, double* means,
                                 double* squares, int64_t begin, int64_t end) {
    const BatchNormChunks& c = *chunks;
    const int64_t stride = c.stride;
    for (int64_t i = begin; i < end; ++i) {
      const BatchNormChunk chunk = c.chunk(i);
      const int64_t lanes = c.stored(chunk.group);
      const double count = static_cast<double>(chunk.segments * chunk.rows);
      double* mean = means + i * kWide;
      double* square = squares + i * kWide;
      const float* first = x + c.offset(chunk, 0);
      double sum[kWide] = {};
      float about[kWide], square_sum[kWide] = {};
      for (int64_t f = 0; f < c.fold; ++f)
        for (int64_t l = 0; l < lanes; ++l) about[f * lanes + l] = first[l];
      for_each_row<kWidth>(c, chunk, [&](int64_t at, int64_t n, auto rows) STRIATE_INLINED {
        const float* from = x + at;
#pragma omp simd
        for (int64_t l = 0; l < n; ++l)
          sum[l] += static_cast<double>(row_sum(
              rows, [&](int64_t k) STRIATE_INLINED { return from[k * stride + l] - about[l]; }));
      });
      for (int64_t l = 0; l < lanes; ++l) {
        double total = 0;
        for (int64_t f = 0; f < c.fold; ++f) total += sum[f * lanes + l];
        mean[l] = static_cast<double>(first[l]) + total / count;
        for (int64_t f = 0; f < c.fold; ++f) about[f * lanes + l] = static_cast<float>(mean[l]);
      }
      for_each_row<kWidth>(c, chunk, [&](int64_t at, int64_t n, auto rows) STRIATE_INLINED {
        const float* from = x + at;
#pragma omp simd
        for (int64_t l = 0; l < n; ++l)
          square_sum[l] += row_sum(rows, [&](int64_t k) STRIATE_INLINED {
            const float d = from[k * stride + l] - about[l];
            return d * d;
          });
      });
      for (int64_t l = 0; l < lanes; ++l) {
        const double rest = mean[l] - static_cast<double>(about[l]);
        square[l] = -count * rest * rest;
        for (int64_t f = 0; f < c.fold; ++f)
          square[l] += static_cast<double>(square_sum[f * lanes + l]);
      }
    }
  }
};

/// y = act((x - mean) * scale + shift + residual) for chunks [begin, end), the last first: it is
/// what the pass before left in the cache.
template <bool kResidual, bool kRelu>
struct Normalise {
  template <int64_t kWidth>
  struct Loop {
    static STRIATE_INLINE void run(const BatchNormChunks* chunks, const float* x,
                                   const float* residual, const float* means, const float* scales,
                                   const float* shifts, float* y, int64_t begin, int64_t end) {
      const int64_t stride = chunks->stride;
      for (int64_t i = end - 1; i >= begin; --i) {
        const BatchNormChunk chunk = chunks->chunk(i);
        const int64_t parameters = chunk.group * kWide;
        const float *mean = means + parameters, *scale = scales + parameters,
                    *shift = shifts + parameters;
        for_each_row<kWidth>(*chunks, chunk, [&](int64_t at, int64_t n, auto rows) STRIATE_INLINED {
          for (int64_t k = 0; k < rows.value; ++k, at += stride)
#pragma omp simd
            for (int64_t l = 0; l < n; ++l) {
              float v = (x[at + l] - mean[l]) * scale[l] + shift[l];
              if (kResidual) v += residual[at + l];
              y[at + l] = kRelu && v < 0 ? 0 : v;
            }
        });
      }
    }
  };
};

/// The two passes and what lies in the workspace between them.
class Forward {
 public:
  Forward(const Problem& problem, const Layout& layout)
      : chunks_(problem.inputs[0].shape, layout),
        options_(problem.get<BatchNormOptions>()),
        residual_(problem.has_input(5)) {}

  size_t workspace() const {
    const int64_t doubles = 2 * chunks_.sums() + 2 * chunks_.parameters();
    return static_cast<size_t>(doubles) * sizeof(double) +
           static_cast<size_t>(3 * chunks_.parameters()) * sizeof(float);
  }

  void training(const Arguments& a) const {
    const BatchNormChunks& c = chunks_;
    const auto* x = static_cast<const float*>(a.inputs[0]);
    double* means = static_cast<double*>(a.workspace);
    double* squares = means + c.sums();
    double* mean = squares + c.sums();
    double* variance = mean + c.parameters();
    over_chunks<Moments>(c, x, means, squares);
    combine(means, squares, mean, variance);
    const bool empty = c.rows == 0;
    const double keep = empty ? 1 : options_.momentum;
    for_each_channel(mean, [&](int64_t channel, double value) {
      out(a, 1)[channel] = static_cast<float>(value);
      out(a, 3)[channel] = blend(keep, in(a, 3)[channel], value);
    });
    for_each_channel(variance, [&](int64_t channel, double& value) {
      out(a, 4)[channel] = blend(keep, in(a, 4)[channel], value);
      value = 1 / std::sqrt(value + options_.epsilon);
      out(a, 2)[channel] = static_cast<float>(value);
    });
    normalise(a, mean, variance);
  }

  void inference(const Arguments& a) const {
    double* mean = static_cast<double*>(a.workspace) + 2 * chunks_.sums();
    double* inv_std = mean + chunks_.parameters();
    for_each_channel(mean, [&](int64_t channel, double& value) { value = in(a, 3)[channel]; });
    for_each_channel(inv_std, [&](int64_t channel, double& value) {
      value = 1 / std::sqrt(static_cast<double>(in(a, 4)[channel]) + options_.epsilon);
    });
    normalise(a, mean, inv_std);
  }

 private:
  static const float* in(const Arguments& a, size_t i) {
    return static_cast<const float*>(a.inputs[i]);
  }
  static float* out(const Arguments& a, size_t i) { return static_cast<float*>(a.outputs[i]); }
  static float blend(double keep, float old, double value) {
    return static_cast<float>(keep * static_cast<double>(old) + (1 - keep) * value);
  }

  /// Call body(channel, values[group][lane]) for each channel.
  template <class Body>
  void for_each_channel(double* values, const Body& body) const {
    for (int64_t g = 0; g < chunks_.groups; ++g)
      for (int64_t l = 0; l < chunks_.used(g); ++l)
        body(g * chunks_.group_lanes + l, values[g * kWide + l]);
  }

  /// Combine the chunks' moments to the mean and variance of each group's lanes.
  void combine(const double* means, const double* squares, double* mean, double* variance) const {
    const BatchNormChunks& c = chunks_;
    std::fill(mean, mean + c.parameters(), 0.0);
    std::fill(variance, variance + c.parameters(), 0.0);
    const double share = c.rows ? 1.0 / static_cast<double>(c.rows) : 0;
    const auto add = [&](const auto& term, double* total) {
      for (int64_t i = 0; i < c.count; ++i) {
        const BatchNormChunk chunk = c.chunk(i);
        const double count = static_cast<double>(chunk.segments * chunk.rows);
        double* to = total + chunk.group * kWide;
        for (int64_t l = 0; l < c.stored(chunk.group); ++l)
          to[l] += share * term(i * kWide + l, chunk.group * kWide + l, count);
      }
    };
    add([&](int64_t from, int64_t, double count) { return count * means[from]; }, mean);
    add(
        [&](int64_t from, int64_t to, double count) {
          const double d = means[from] - mean[to];
          return squares[from] + count * d * d;
        },
        variance);
  }

  void normalise(const Arguments& a, const double* mean, const double* inv_std) const {
    const BatchNormChunks& c = chunks_;
    float* means = reinterpret_cast<float*>(static_cast<double*>(a.workspace) + 2 * c.sums() +
                                            2 * c.parameters());
    float* scales = means + c.parameters();
    float* shifts = scales + c.parameters();
    const float *gamma = in(a, 1), *beta = in(a, 2);
    const auto at = [&](const double* values, int64_t channel) {
      return values[channel / c.group_lanes * kWide + channel % c.group_lanes];
    };
    c.fill(means, [&](int64_t channel) { return at(mean, channel); });
    c.fill(scales, [&](int64_t channel) {
      return static_cast<double>(gamma[channel]) * at(inv_std, channel);
    });
    c.fill(shifts, [&](int64_t channel) {
      const double m = at(mean, channel), rest = m - static_cast<double>(static_cast<float>(m));
      const double scale = static_cast<double>(gamma[channel]) * at(inv_std, channel);
      return static_cast<double>(beta[channel]) - rest * scale;
    });
    const float *x = in(a, 0), *residual = residual_ ? in(a, 5) : nullptr;
    float* y = out(a, 0);
    const bool relu = options_.activation == Activation::kRelu;
    if (residual && relu)
      over_chunks<Normalise<true, true>::template Loop>(c, x, residual, means, scales, shifts, y);
    else if (residual)
      over_chunks<Normalise<true, false>::template Loop>(c, x, residual, means, scales, shifts, y);
    else if (relu)
      over_chunks<Normalise<false, true>::template Loop>(c, x, residual, means, scales, shifts, y);
    else
      over_chunks<Normalise<false, false>::template Loop>(c, x, residual, means, scales, shifts, y);
  }

  BatchNormChunks chunks_;
  BatchNormOptions options_;
  bool residual_;
};

Prepared prepare(const Problem& problem, void (Forward::*run)(const Arguments&) const) {
  const Layout layout = batch_norm_layout(problem.inputs[0]), dense;
  auto forward = std::make_shared<Forward>(problem, layout);
  Prepared prepared;
  prepared.inputs = {layout, dense, dense, dense, dense};
  prepared.in_place = {{0, 0, false}};
  if (problem.inputs.size() > 5) prepared.inputs.push_back(layout);
  if (problem.has_input(5)) prepared.in_place.push_back({0, 5, false});
  prepared.outputs = {layout};
  prepared.outputs.resize(problem.outputs.size());
  prepared.workspace = forward->workspace();
  prepared.kernel = make_kernel([forward, run](const Arguments& a) { ((*forward).*run)(a); });
  return prepared;
}

Prepared prepare_training(const Problem& problem) {
  Prepared prepared = prepare(problem, &Forward::training);
  prepared.in_place.push_back({3, 3, false});
  prepared.in_place.push_back({4, 4, false});
  return prepared;
}
Prepared prepare_inference(const Problem& problem) { return prepare(problem, &Forward::inference); }

const Register training(batch_norm_entry("batch_norm_training", prepare_training));
const Register inference(batch_norm_entry("batch_norm_inference", prepare_inference));

}  // namespace
}  // namespace striate::kernels
