// The losses and their gradients in double, one sample at a time.
#include <striate/core/step.h>
#include <striate/kernels/elements.h>
#include <striate/kernels/loss.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace striate::kernels {
namespace {

constexpr double kClip = 1e-7;

/// Return the slope at x of a function of p, which is x clipped.
double clipped(double x, double p, double slope) { return p == x ? slope : x != x ? x : 0; }

/// The values of one loss; `T` is the type of the predictions.
template <class T>
struct Loss {
  Loss(const Problem& p, const Arguments& a)
      : problem(p),
        x(static_cast<const T*>(a.inputs[0])),
        targets(a.inputs[1]),
        target_type(p.inputs[1].dtype),
        block(static_cast<const StepBlock*>(a.inputs[2])),
        gradient(static_cast<T*>(a.outputs[1])) {
    if (p.options) options = p.get<LossOptions>();
  }

  /// Return 1 / (loss_divisor * terms of one sample).
  double scale(int64_t terms) const {
    const Shape& shape = problem.inputs[0].shape;
    const int64_t samples = shape.rank() > 0 ? std::max<int64_t>(shape[0], 1) : 1;
    return 1 / (block->divisor(samples) * std::max(1.0, 1.0 * terms / samples));
  }

  const Problem& problem;
  LossOptions options;
  const T* x;
  const void* targets;
  DType target_type;
  const StepBlock* block;
  T* gradient;
};

template <class T>
double categorical(const Loss<T>& loss, bool sparse) {
  const Shape& shape = loss.problem.inputs[0].shape;
  const int64_t C = shape[-1], rows = shape.elements() / std::max<int64_t>(C, 1);
  const double scale = loss.scale(rows), smoothing = loss.options.label_smoothing;
  double total = 0;
  std::vector<double> x(C), t(C);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t label = sparse ? label_at(loss.targets, loss.target_type, r) : 0;
    double max = -std::numeric_limits<double>::infinity(), sum = 0, sum_t = 0;
    for (int64_t c = 0; c < C; ++c) {
      x[c] = static_cast<double>(loss.x[r * C + c]);
      t[c] = sparse ? c == label : element_at(loss.targets, loss.target_type, r * C + c);
      t[c] = t[c] * (1 - smoothing) + smoothing / static_cast<double>(C);
      max = std::max(max, x[c]);
      sum_t += t[c];
    }
    if (label < 0 || label >= C) sum_t = std::numeric_limits<double>::quiet_NaN();
    for (int64_t c = 0; c < C; ++c) sum += std::exp(x[c] - max);
    for (int64_t c = 0; c < C; ++c) {
      const double p = std::clamp(x[c], kClip, 1 - kClip);
      const bool logits = loss.options.from_logits;
      const double slope = logits ? std::exp(x[c] - max) / sum * sum_t - t[c]
                                  : clipped(x[c], p, -t[c] / p) + 0 * sum_t;
      if (!sparse || t[c] != 0)  // a class that is ruled out by -infinity costs nothing
        total += t[c] * (logits ? std::log(sum) + max - x[c] : -std::log(p)) * scale;
      loss.gradient[r * C + c] = convert<T>(slope * scale);
    }
    total += 0 * sum_t;  // NaN for a label that is no class
  }
  return total;
}

template <class T>
double binary(const Loss<T>& loss) {
  const int64_t count = loss.problem.inputs[0].shape.elements();
  const double scale = loss.scale(count), smoothing = loss.options.label_smoothing;
  double total = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double x = static_cast<double>(loss.x[i]);
    const double t =
        element_at(loss.targets, loss.target_type, i) * (1 - smoothing) + smoothing / 2;
    double slope;
    if (loss.options.from_logits) {
      total += (std::max(x, 0.0) - x * t + std::log1p(std::exp(-std::abs(x)))) * scale;
      slope = 1 / (1 + std::exp(-x)) - t;
    } else {
      const double p = std::clamp(x, kClip, 1 - kClip);
      total -= (t * std::log(p) + (1 - t) * std::log1p(-p)) * scale;
      slope = clipped(x, p, (p - t) / (p * (1 - p)));
    }
    loss.gradient[i] = convert<T>(slope * scale);
  }
  return total;
}

template <class T>
double squared(const Loss<T>& loss) {
  const int64_t count = loss.problem.inputs[0].shape.elements();
  const double scale = loss.scale(count);
  double total = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double difference =
        static_cast<double>(loss.x[i]) - element_at(loss.targets, loss.target_type, i);
    total += difference * difference * scale;
    loss.gradient[i] = convert<T>(2 * difference * scale);
  }
  return total;
}

/// True when row `r` has its label among its k largest scores.
bool is_right(const Problem& problem, const Arguments& arguments, int64_t r, int k) {
  const int64_t C = problem.inputs[0].shape[-1];
  const int64_t label = label_at(arguments.inputs[1], problem.inputs[1].dtype, r);
  if (label < 0 || label >= C) return false;
  const auto score = [&](int64_t c) {
    return element_at(arguments.inputs[0], problem.inputs[0].dtype, r * C + c);
  };
  int64_t before = 0;
  for (int64_t c = 0; c < C; ++c)
    if (c != label) before += !(c < label ? score(c) < score(label) : score(c) <= score(label));
  return before < k;
}

double share_of_right_rows(const Problem& problem, const Arguments& arguments, int k) {
  const int64_t C = problem.inputs[0].shape[-1];
  const int64_t rows = problem.inputs[0].shape.elements() / std::max<int64_t>(C, 1);
  double right = 0;
  for (int64_t r = 0; r < rows; ++r) right += is_right(problem, arguments, r, k);
  return right / static_cast<double>(rows);
}

template <class Run>
Entry loss_entry(const char* operation, Run run) {
  return reference_entry(operation, [run](const Problem& problem, const Arguments& arguments) {
    const LossOptions options = problem.options ? problem.get<LossOptions>() : LossOptions();
    std::vector<double> results;
    if (options.top_k > 0)  // first: the gradient may take the place of the scores
      results.push_back(share_of_right_rows(problem, arguments, options.top_k));
    with_element_type(problem.inputs[0].dtype, [&](auto t) {
      results.insert(results.begin(), run(Loss<decltype(t)>(problem, arguments)));
    });
    for (size_t i = 0; i < results.size(); ++i) {
      if (options.stops && !std::isfinite(results[i]))
        static_cast<StepBlock*>(const_cast<void*>(arguments.inputs[2]))->fault = 1;
      with_element_type(problem.outputs[0].dtype, [&](auto u) {
        using U = decltype(u);
        *static_cast<U*>(arguments.outputs[2 * i]) = convert<U>(results[i]);
      });
    }
  });
}

void top_k_correct(const Problem& problem, const Arguments& arguments) {
  const int k = problem.options ? problem.get<TopKOptions>().k : 1;
  for (int64_t r = 0; r < problem.outputs[0].shape.elements(); ++r)
    with_element_type(problem.outputs[0].dtype, [&](auto t) {
      using T = decltype(t);
      static_cast<T*>(arguments.outputs[0])[r] =
          convert<T>(is_right(problem, arguments, r, k) ? 1 : 0);
    });
}

const Register sparse(loss_entry("sparse_categorical_crossentropy",
                                 [](const auto& loss) { return categorical(loss, true); }));
const Register dense(loss_entry("categorical_crossentropy",
                                [](const auto& loss) { return categorical(loss, false); }));
const Register two_classes(loss_entry("binary_crossentropy",
                                      [](const auto& loss) { return binary(loss); }));
const Register squares(loss_entry("mean_squared_error",
                                  [](const auto& loss) { return squared(loss); }));
const Register top_k(reference_entry("top_k_correct", top_k_correct));

}  // namespace
}  // namespace striate::kernels
