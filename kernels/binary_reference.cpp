// The functions of two values and `where`, for every element type and any broadcasting.
#include <striate/kernels/binary.h>
#include <striate/kernels/binary_functions.h>
#include <striate/kernels/elements.h>

namespace striate::kernels {
namespace {

/// Return the element of an input that element `i` of the output uses.
int64_t source(const Shape& input, const Shape& output, int64_t i) {
  int64_t place = 0, stride = 1;
  for (int d = output.rank() - 1; d >= 0; --d) {
    const int at = d - (output.rank() - input.rank());
    if (at >= 0) {
      if (input[at] != 1) place += i % output[d] * stride;
      stride *= input[at];
    }
    i /= output[d];
  }
  return place;
}

/// T is the inputs' type; the result has its own, T or bool.
template <class F>
Entry binary(Named<F> f) {
  return reference_entry(f.name, [f](const Problem& problem, const Arguments& arguments) {
    const Shape& shape = problem.outputs[0].shape;
    with_element_type(problem.inputs[0].dtype, [&](auto t) {
      using T = decltype(t);
      using W = Wide<T>;
      const T* a = static_cast<const T*>(arguments.inputs[0]);
      const T* b = static_cast<const T*>(arguments.inputs[1]);
      using R = decltype(f.function(W(), W()));
      using Y = std::conditional_t<std::is_same_v<R, bool>, bool, T>;
      Y* y = static_cast<Y*>(arguments.outputs[0]);
      for (int64_t i = 0; i < shape.elements(); ++i) {
        const W left = static_cast<W>(a[source(problem.inputs[0].shape, shape, i)]);
        const W right = static_cast<W>(b[source(problem.inputs[1].shape, shape, i)]);
        y[i] = convert<Y>(f.function(left, right));
      }
    });
  });
}

void where(const Problem& problem, const Arguments& arguments) {
  const Shape& shape = problem.outputs[0].shape;
  with_element_type(problem.outputs[0].dtype, [&](auto t) {
    using T = decltype(t);
    for (int64_t i = 0; i < shape.elements(); ++i) {
      const double condition = element_at(arguments.inputs[0], problem.inputs[0].dtype,
                                          source(problem.inputs[0].shape, shape, i));
      const size_t chosen = condition != 0 ? 1 : 2;
      static_cast<T*>(arguments.outputs[0])[i] = static_cast<const T*>(
          arguments.inputs[chosen])[source(problem.inputs[chosen].shape, shape, i)];
    }
  });
}

const bool registered = [] {
  std::apply([](auto... f) { (Register(binary(f)), ...); }, kBinaryFunctions);
  std::apply([](auto... f) { (Register(binary(f)), ...); }, kComparisons);
  Register(reference_entry("where", where));
  return true;
}();

}  // namespace
}  // namespace striate::kernels
