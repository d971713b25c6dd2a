// Batch normalisation in plain loops and double: the oracle.
#include <striate/kernels/batch_norm.h>

#include <cmath>

namespace striate::kernels {
namespace {

template <class T>
const T* input(const Arguments& a, size_t i) {
  return static_cast<const T*>(a.inputs[i]);
}
template <class T>
T* output(const Arguments& a, size_t i) {
  return static_cast<T*>(a.outputs[i]);
}

struct Sizes {
  int64_t rows, channels;
  explicit Sizes(const Shape& x) : rows(x.product(0, x.rank() - 1)), channels(x[-1]) {}
};

template <class T>
void normalise(const Problem& problem, const Arguments& a, const std::vector<double>& mean,
               const std::vector<double>& inv_std) {
  const Sizes s(problem.inputs[0].shape);
  const bool relu = problem.get<BatchNormOptions>().activation == Activation::kRelu;
  const T *x = input<T>(a, 0), *gamma = input<T>(a, 1), *beta = input<T>(a, 2);
  const T* residual = problem.has_input(5) ? input<T>(a, 5) : nullptr;
  for (int64_t i = 0; i < s.rows * s.channels; ++i) {
    const size_t c = static_cast<size_t>(i % s.channels);
    double v = (x[i] - mean[c]) * inv_std[c] * gamma[c] + beta[c] + (residual ? residual[i] : 0);
    output<T>(a, 0)[i] = static_cast<T>(relu && v < 0 ? 0 : v);
  }
}

template <class T>
void training(const Problem& problem, const Arguments& a) {
  const auto& options = problem.get<BatchNormOptions>();
  const Sizes s(problem.inputs[0].shape);
  const T* x = input<T>(a, 0);
  std::vector<double> mean(static_cast<size_t>(s.channels)), inv_std(mean.size());
  for (int64_t c = 0; c < s.channels; ++c) {
    const double count = s.rows ? static_cast<double>(s.rows) : 1;
    double sum = 0, squares = 0;
    for (int64_t r = 0; r < s.rows; ++r) sum += x[r * s.channels + c];
    const double m = sum / count;
    for (int64_t r = 0; r < s.rows; ++r) {
      const double d = x[r * s.channels + c] - m;
      squares += d * d;
    }
    const double variance = squares / count, keep = s.rows ? options.momentum : 1;
    mean[static_cast<size_t>(c)] = m;
    inv_std[static_cast<size_t>(c)] = 1 / std::sqrt(variance + options.epsilon);
    output<T>(a, 1)[c] = static_cast<T>(m);
    output<T>(a, 2)[c] = static_cast<T>(inv_std[static_cast<size_t>(c)]);
    output<T>(a, 3)[c] = static_cast<T>(keep * input<T>(a, 3)[c] + (1 - keep) * m);
    output<T>(a, 4)[c] = static_cast<T>(keep * input<T>(a, 4)[c] + (1 - keep) * variance);
  }
  normalise<T>(problem, a, mean, inv_std);
}

template <class T>
void inference(const Problem& problem, const Arguments& a) {
  const Sizes s(problem.inputs[0].shape);
  std::vector<double> mean, inv_std;
  for (int64_t c = 0; c < s.channels; ++c) {
    mean.push_back(input<T>(a, 3)[c]);
    inv_std.push_back(1 / std::sqrt(static_cast<double>(input<T>(a, 4)[c]) +
                                    problem.get<BatchNormOptions>().epsilon));
  }
  normalise<T>(problem, a, mean, inv_std);
}

/// inputs x, gamma, mean, (inv_std in training, else variance), dy.
template <class T>
void backward(const Problem& problem, const Arguments& a, bool is_training) {
  const Sizes s(problem.inputs[0].shape);
  const T *x = input<T>(a, 0), *gamma = input<T>(a, 1), *mean = input<T>(a, 2),
          *dy = input<T>(a, 4);
  for (int64_t c = 0; c < s.channels; ++c) {
    double inv_std = input<T>(a, 3)[c];
    if (!is_training) inv_std = 1 / std::sqrt(inv_std + problem.get<BatchNormOptions>().epsilon);
    double dgamma = 0, dbeta = 0;
    for (int64_t i = c; i < s.rows * s.channels; i += s.channels) {
      dgamma += dy[i] * (x[i] - static_cast<double>(mean[c])) * inv_std;
      dbeta += dy[i];
    }
    const double share = is_training && s.rows ? 1.0 / static_cast<double>(s.rows) : 0;
    for (int64_t i = c; i < s.rows * s.channels; i += s.channels) {
      double d = dy[i];
      if (is_training)
        d -= share * (dbeta + (x[i] - static_cast<double>(mean[c])) * inv_std * dgamma);
      output<T>(a, 0)[i] = static_cast<T>(gamma[c] * inv_std * d);
    }
    output<T>(a, 1)[c] = static_cast<T>(dgamma);
    output<T>(a, 2)[c] = static_cast<T>(dbeta);
  }
}

template <class T>
void training_backward(const Problem& problem, const Arguments& a) {
  backward<T>(problem, a, true);
}
template <class T>
void inference_backward(const Problem& problem, const Arguments& a) {
  backward<T>(problem, a, false);
}

using Run = void (*)(const Problem&, const Arguments&);
Entry by_type(const char* operation, Run float_run, Run double_run) {
  return reference_entry(operation, [=](const Problem& problem, const Arguments& a) {
    (problem.inputs[0].dtype == DType::kF64 ? double_run : float_run)(problem, a);
  });
}

const Register forward(by_type("batch_norm_training", training<float>, training<double>));
const Register forward_gradient(by_type("batch_norm_training_backward", training_backward<float>,
                                        training_backward<double>));
const Register frozen(by_type("batch_norm_inference", inference<float>, inference<double>));
const Register frozen_gradient(by_type("batch_norm_inference_backward", inference_backward<float>,
                                       inference_backward<double>));

}  // namespace
}  // namespace striate::kernels
