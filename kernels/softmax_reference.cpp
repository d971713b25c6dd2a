// Softmax, its logarithm and their gradients row by row in double.
#include <striate/kernels/elements.h>
#include <striate/kernels/softmax.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace striate::kernels {
namespace {

/// Call `row(T{}, first element, C)` for each row of the last axis.
template <class Row>
void for_rows(const Problem& problem, const Row& row) {
  const Shape& shape = problem.outputs[0].shape;
  const int64_t C = shape[-1], rows = shape.elements() / std::max<int64_t>(C, 1);
  with_element_type(problem.outputs[0].dtype, [&](auto t) {
    for (int64_t r = 0; r < rows; ++r) row(t, r * C, C);
  });
}

void forward(const Problem& problem, const Arguments& arguments, bool logarithm) {
  for_rows(problem, [&](auto t, int64_t first, int64_t C) {
    using T = decltype(t);
    const T* x = static_cast<const T*>(arguments.inputs[0]) + first;
    T* y = static_cast<T*>(arguments.outputs[0]) + first;
    double max = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t c = 0; c < C; ++c) max = std::max(max, static_cast<double>(x[c]));
    for (int64_t c = 0; c < C; ++c) sum += std::exp(static_cast<double>(x[c]) - max);
    for (int64_t c = 0; c < C; ++c) {
      const double shifted = static_cast<double>(x[c]) - max;
      y[c] = convert<T>(logarithm ? shifted - std::log(sum) : std::exp(shifted) / sum);
    }
  });
}

void backward(const Problem& problem, const Arguments& arguments, bool logarithm) {
  for_rows(problem, [&](auto t, int64_t first, int64_t C) {
    using T = decltype(t);
    const T* dy = static_cast<const T*>(arguments.inputs[0]) + first;
    const T* y = static_cast<const T*>(arguments.inputs[1]) + first;
    T* dx = static_cast<T*>(arguments.outputs[0]) + first;
    double sum = 0;
    for (int64_t c = 0; c < C; ++c)
      sum += static_cast<double>(dy[c]) * (logarithm ? 1.0 : static_cast<double>(y[c]));
    for (int64_t c = 0; c < C; ++c) {
      const double d = static_cast<double>(dy[c]), v = static_cast<double>(y[c]);
      dx[c] = convert<T>(logarithm ? d - std::exp(v) * sum : v * (d - sum));
    }
  });
}

const bool registered = [] {
  for (bool logarithm : {false, true}) {
    const std::string name = logarithm ? "log_softmax" : "softmax";
    Register(reference_entry(
        name, [logarithm](const Problem& p, const Arguments& a) { forward(p, a, logarithm); }));
    Register(reference_entry(name + "_backward", [logarithm](const Problem& p, const Arguments& a) {
      backward(p, a, logarithm);
    }));
  }
  return true;
}();

}  // namespace
}  // namespace striate::kernels
