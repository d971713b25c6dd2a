// The losses and their gradients on float32, in one pass over blocks that stay in the cache.
//
// Each block leaves its part of the loss in the workspace; the parts are added in order, so the sum
// does not depend on the number of threads.
#include <striate/core/step.h>
#include <striate/kernels/clones.h>
#include <striate/kernels/elements.h>
#include <striate/kernels/elementwise.h>
#include <striate/kernels/float_functions.h>
#include <striate/kernels/lanes.h>
#include <striate/kernels/loss.h>
#include <striate/kernels/softmax_rows.h>

#include <cmath>

namespace striate::kernels {
namespace {

constexpr double kClip = 1e-7;
constexpr int64_t kPiece = 512;   // elements whose terms wait on the stack to be summed
constexpr int64_t kChunk = 8192;  // elements of one part of an elementwise loss

/// What one run needs to know: pointers to the whole values, and the options as numbers.
struct Pass {
  const float* x;
  const void* targets;
  DType target_type;
  float* gradient;
  double scale;      // of each row's or element's loss
  double keep;       // 1 - label_smoothing
  double smoothing;  // what smoothing adds to each target
};

// 1. Rows of classes ------------------------------------------------------------------------------

STRIATE_CLONES void scale_and_shift(float* d, int64_t count, float factor, float offset) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) d[i] = d[i] * factor + offset;
}

STRIATE_CLONES void subtract_scaled(float* d, const float* t, int64_t count, float factor) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) d[i] -= t[i] * factor;
}

STRIATE_CLONES double sum_of(const float* x, int64_t count) {
  return sum_in_lanes<double>(count, [x](int64_t i) { return x[i]; });
}

STRIATE_CLONES double dot(const float* x, const float* t, int64_t count) {
  return sum_in_lanes<double>(count, [=](int64_t i) { return static_cast<double>(x[i]) * t[i]; });
}

/// Return the loss of rows [first, first + rows) from logits, without its scale.
double categorical_from_logits(const Pass& pass, bool sparse, int64_t first, int64_t rows,
                               int64_t C) {
  const float* x = pass.x + first * C;
  float* d = pass.gradient + first * C;
  double sum_t[kMaxRowBlock], sum_tx[kMaxRowBlock];
  int64_t label[kMaxRowBlock];
  // d may lie in x, so all that is needed of x comes first.
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * C;
    if (sparse) {
      label[r] = label_at(pass.targets, pass.target_type, first + r);
      const bool valid = label[r] >= 0 && label[r] < C;
      sum_t[r] = valid ? pass.keep : std::numeric_limits<double>::quiet_NaN();
      sum_tx[r] = valid ? pass.keep * row[label[r]] : 0;
    } else {
      const float* t = static_cast<const float*>(pass.targets) + (first + r) * C;
      sum_t[r] = pass.keep * sum_of(t, C);
      sum_tx[r] = pass.keep * dot(row, t, C);
    }
    sum_t[r] += pass.smoothing * static_cast<double>(C);
    if (pass.smoothing != 0) sum_tx[r] += pass.smoothing * sum_of(row, C);
  }
  float max[kMaxRowBlock], sum[kMaxRowBlock];
  exp_rows(x, d, rows, C, max, sum);
  double total = 0;
  const float target_scale = static_cast<float>(pass.keep * pass.scale);
  for (int64_t r = 0; r < rows; ++r, d += C) {
    total += sum_t[r] * (std::log(static_cast<double>(sum[r])) + max[r]) - sum_tx[r];
    scale_and_shift(d, C, static_cast<float>(sum_t[r] * pass.scale / sum[r]),
                    static_cast<float>(-pass.smoothing * pass.scale));
    if (!sparse)
      subtract_scaled(d, static_cast<const float*>(pass.targets) + (first + r) * C, C,
                      target_scale);
    else if (label[r] >= 0 && label[r] < C)
      d[label[r]] -= target_scale;
  }
  return total;
}

/// Return -t log(p) of one probability and write its slope; p is x clipped.
double log_term(const Pass& pass, float x, double t, float& slope) {
  const double p = std::clamp<double>(x, kClip, 1 - kClip);
  slope = static_cast<float>(p == x ? -t / p * pass.scale : x != x ? x : 0);
  return t == 0 && x == x ? 0 : -t * std::log(p);
}

double categorical_from_probabilities(const Pass& pass, bool sparse, int64_t first, int64_t rows,
                                      int64_t C) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  double total = 0;
  for (int64_t r = first; r < first + rows; ++r) {
    const int64_t label = sparse ? label_at(pass.targets, pass.target_type, r) : 0;
    const bool valid = label >= 0 && label < C;
    for (int64_t i = r * C; i < (r + 1) * C; ++i) {
      const double t = sparse ? i - r * C == label : static_cast<const float*>(pass.targets)[i];
      const double target = t * pass.keep + pass.smoothing;
      const double term = log_term(pass, pass.x[i], target, pass.gradient[i]);
      if (!sparse || target != 0) total += term;  // NaN in a class that does not count is no loss
      if (!valid) pass.gradient[i] = kNan;
    }
    if (!valid) total = kNan;
  }
  return total;
}

// 2. Losses of single elements --------------------------------------------------------------------

/// Return log(1 + z) for z in [0, 1]: 2 artanh(w) with w = z / (2 + z), its series up to w^15.
[[gnu::always_inline]] inline float log_of_one_plus(float z) {
  const float w = z / (2.0f + z), s = w * w;
  float p = 2.0f / 15;
  p = p * s + 2.0f / 13;
  p = p * s + 2.0f / 11;
  p = p * s + 2.0f / 9;
  p = p * s + 2.0f / 7;
  p = p * s + 2.0f / 5;
  p = p * s + 2.0f / 3;
  return (p * s + 2.0f) * w;
}

STRIATE_CLONES double binary_from_logits(const float* x, const float* targets, float* d,
                                         int64_t count, float keep, float smoothing, float scale) {
  float term[kPiece];
  double total = 0;
  for (int64_t first = 0; first < count; first += kPiece) {
    const int64_t piece = std::min(kPiece, count - first);
#pragma omp simd
    for (int64_t i = 0; i < piece; ++i) {
      const float v = x[first + i], t = targets[first + i] * keep + smoothing;
      const float z = exp_of(-std::abs(v));
      const float sigmoid = (v < 0 ? z : 1.0f) / (1.0f + z);
      term[i] = (v < 0 ? 0.0f : v) - v * t + log_of_one_plus(z);
      d[first + i] = (sigmoid - t) * scale;
    }
    total += sum_in_lanes<double>(piece, [&term](int64_t i) { return term[i]; });
  }
  return total;
}

double binary_from_probabilities(const Pass& pass, int64_t first, int64_t count) {
  double total = 0;
  for (int64_t i = first; i < first + count; ++i) {
    const double t = static_cast<const float*>(pass.targets)[i] * pass.keep + pass.smoothing;
    const float x = pass.x[i];
    const double p = std::clamp<double>(x, kClip, 1 - kClip);
    total -= t * std::log(p) + (1 - t) * std::log1p(-p);
    const double slope = (p - t) / (p * (1 - p)) * pass.scale;
    pass.gradient[i] = static_cast<float>(p == x ? slope : x != x ? x : 0);
  }
  return total;
}

STRIATE_CLONES double squared(const float* y, const float* targets, float* d, int64_t count,
                              float scale) {
  double total = 0;
  for (int64_t first = 0; first < count; first += kPiece) {
    const int64_t piece = std::min(kPiece, count - first);
    float difference[kPiece];
#pragma omp simd
    for (int64_t i = 0; i < piece; ++i) {
      difference[i] = y[first + i] - targets[first + i];
      d[first + i] = difference[i] * scale;
    }
    total += sum_in_lanes<double>(
        piece, [&difference](int64_t i) { return double{difference[i]} * difference[i]; });
  }
  return total;
}

// 3. Entries --------------------------------------------------------------------------------------

/// How a loss is divided: `parts` of `size` units (rows or elements), `terms` of them in a sample.
struct Division {
  int64_t units = 0, size = 1;
  double terms = 1;
  int64_t parts() const { return (units + size - 1) / size; }
};

Division divide(const Shape& shape, bool by_rows) {
  Division division;
  const int64_t C = by_rows ? shape[-1] : 1;
  division.units = shape.elements() / std::max<int64_t>(C, 1);
  division.size = by_rows ? row_block(C) : kChunk;
  if (shape.rank() > 0 && shape[0] > 0 && division.units > 0)
    division.terms = static_cast<double>(division.units) / static_cast<double>(shape[0]);
  return division;
}

/// Make the entry of a loss whose `part(pass, options, first, count, C)` returns the sum of a part.
template <class Part>
Entry loss_entry(const char* operation, bool labels, bool by_rows, Part part) {
  auto declines = [labels](const Problem& p) -> std::string {
    if (p.options && (p.get<LossOptions>().top_k > 0 || p.get<LossOptions>().stops))
      return "makes the loss and its gradient alone";
    return takes_float32(p, 0, labels ? 1 : 2);
  };
  return direct_entry(operation, declines, [=](const Problem& problem) {
    const Shape shape = problem.inputs[0].shape;
    const LossOptions options = problem.options ? problem.get<LossOptions>() : LossOptions();
    const Division division = divide(shape, by_rows);
    const int64_t C = by_rows ? shape[-1] : 2;  // an element of the binary loss has two classes
    const DType target_type = problem.inputs[1].dtype;
    const int64_t rows = shape.rank() > 0 ? shape[0] : 1;
    Prepared prepared;
    prepared.workspace = static_cast<size_t>(division.parts()) * sizeof(double);
    prepared.in_place = {{1, 0, false}};
    prepared.kernel = make_kernel([=](const Arguments& arguments) {
      const auto* block = static_cast<const StepBlock*>(arguments.inputs[2]);
      const double scale = 1 / (block->divisor(rows) * division.terms);
      const Pass pass{static_cast<const float*>(arguments.inputs[0]),
                      arguments.inputs[1],
                      target_type,
                      static_cast<float*>(arguments.outputs[1]),
                      scale,
                      1 - options.label_smoothing,
                      options.label_smoothing / static_cast<double>(C)};
      double* sums = static_cast<double*>(arguments.workspace);
      const int64_t grain = std::max<int64_t>(1, 16384 / (division.size * (by_rows ? C : 1) + 1));
      parallel_ranges(division.parts(), grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t first = i * division.size;
          sums[i] = part(pass, options, first, std::min(division.size, division.units - first), C);
        }
      });
      double total = 0;
      for (int64_t i = 0; i < division.parts(); ++i) total += sums[i];
      *static_cast<float*>(arguments.outputs[0]) = static_cast<float>(total * scale);
    });
    return prepared;
  });
}

Entry categorical_entry(const char* operation, bool sparse) {
  return loss_entry(operation, sparse, true,
                    [sparse](const Pass& pass, const LossOptions& options, int64_t first,
                             int64_t rows, int64_t C) {
                      return options.from_logits
                                 ? categorical_from_logits(pass, sparse, first, rows, C)
                                 : categorical_from_probabilities(pass, sparse, first, rows, C);
                    });
}

double binary_part(const Pass& pass, const LossOptions& options, int64_t first, int64_t count,
                   int64_t) {
  if (!options.from_logits) return binary_from_probabilities(pass, first, count);
  return binary_from_logits(pass.x + first, static_cast<const float*>(pass.targets) + first,
                            pass.gradient + first, count, static_cast<float>(pass.keep),
                            static_cast<float>(pass.smoothing), static_cast<float>(pass.scale));
}

double squared_part(const Pass& pass, const LossOptions&, int64_t first, int64_t count, int64_t) {
  return squared(pass.x + first, static_cast<const float*>(pass.targets) + first,
                 pass.gradient + first, count, static_cast<float>(2 * pass.scale));
}

/// True when fewer than k classes come before the label in the order of argmax.
bool is_among_first(const float* scores, int64_t C, int64_t label, int k) {
  if (label < 0 || label >= C) return false;
  const float own = scores[label];
  int64_t before = 0;
  for (int64_t c = 0; c < label; ++c) before += !(scores[c] < own);
  for (int64_t c = label + 1; c < C; ++c) before += !(scores[c] <= own);
  return before < k;
}

Prepared prepare_top_k(const Problem& problem) {
  const int64_t C = problem.inputs[0].shape[-1], rows = problem.outputs[0].shape.elements();
  const DType label_type = problem.inputs[1].dtype;
  const int k = problem.options ? problem.get<TopKOptions>().k : 1;
  Prepared prepared;
  prepared.kernel = make_kernel([=](const Arguments& arguments) {
    const float* scores = static_cast<const float*>(arguments.inputs[0]);
    float* correct = static_cast<float*>(arguments.outputs[0]);
    const int64_t grain = std::max<int64_t>(1, kElementwiseGrain / std::max<int64_t>(C, 1));
    parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        correct[r] =
            is_among_first(scores + r * C, C, label_at(arguments.inputs[1], label_type, r), k);
    });
  });
  return prepared;
}

const Register sparse(categorical_entry("sparse_categorical_crossentropy", true));
const Register dense(categorical_entry("categorical_crossentropy", false));
const Register two_classes(loss_entry("binary_crossentropy", false, false, binary_part));
const Register squares(loss_entry("mean_squared_error", false, false, squared_part));
const Register top_k(direct_entry(
    "top_k_correct", [](const Problem& p) { return takes_float32(p, 0, 1); }, prepare_top_k));

}  // namespace
}  // namespace striate::kernels
