// The functions of one value in double, for every element type.
#include <striate/kernels/elements.h>
#include <striate/kernels/unary.h>
#include <striate/kernels/unary_functions.h>

namespace striate::kernels {
namespace {

double alpha_of(const Problem& problem) {
  return problem.options ? problem.get<UnaryOptions>().alpha : 1;
}

template <class F>
Entry unary(Named<F> f) {
  return reference_entry(f.name, [f](const Problem& problem, const Arguments& arguments) {
    with_element_type(problem.inputs[0].dtype, [&](auto t) {
      using T = decltype(t);
      using W = Wide<T>;
      const T* x = static_cast<const T*>(arguments.inputs[0]);
      T* y = static_cast<T*>(arguments.outputs[0]);
      const double alpha = alpha_of(problem);
      for (int64_t i = 0; i < problem.outputs[0].shape.elements(); ++i)
        y[i] = convert<T>(f.function(static_cast<double>(static_cast<W>(x[i])), alpha));
    });
  });
}

template <class F>
Entry unary_backward(Named<F> f) {
  return reference_entry(f.name, [f](const Problem& problem, const Arguments& arguments) {
    with_element_type(problem.inputs[0].dtype, [&](auto t) {
      using T = decltype(t);
      const T* dy = static_cast<const T*>(arguments.inputs[0]);
      const T* y = static_cast<const T*>(arguments.inputs[1]);
      T* dx = static_cast<T*>(arguments.outputs[0]);
      const double alpha = alpha_of(problem);
      for (int64_t i = 0; i < problem.outputs[0].shape.elements(); ++i)
        dx[i] =
            convert<T>(f.function(static_cast<double>(dy[i]), static_cast<double>(y[i]), alpha));
    });
  });
}

const bool registered = [] {
  std::apply([](auto... f) { (Register(unary(f)), ...); }, kUnaryFunctions);
  std::apply([](auto... f) { (Register(unary_backward(f)), ...); }, kUnaryBackwardFunctions);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
