// The functions of one value on float32: flat loops over the stored elements, in any layout.
#include <striate/kernels/clones.h>
#include <striate/kernels/elementwise.h>
#include <striate/kernels/unary.h>
#include <striate/kernels/unary_functions.h>

namespace striate::kernels {
namespace {

// `omp simd`: y may be x itself, which a check for overlap would send to the scalar loop.
template <class F>
STRIATE_CLONES void unary_loop(const float* x, float* y, int64_t count, float alpha, F f) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = f(x[i], alpha);
}

template <class F>
STRIATE_CLONES void backward_loop(const float* dy, const float* y, float* dx, int64_t count,
                                  float alpha, F f) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) dx[i] = f(dy[i], y[i], alpha);
}

float alpha_of(const Problem& problem) {
  return static_cast<float>(problem.options ? problem.get<UnaryOptions>().alpha : 1);
}

std::string declines(const Problem& problem) {
  return takes_float32(problem, 0, problem.inputs.size());
}

template <class F>
Entry unary(Named<F> f) {
  return direct_entry(f.name, declines, [f](const Problem& problem) {
    const float alpha = alpha_of(problem);
    const Layout layout = elementwise_layout(problem, f.function(0.0f, alpha));
    const int64_t count = layout.elements(problem.outputs[0].shape);
    return prepare_elementwise(
        problem, layout, make_kernel([=](const Arguments& arguments) {
          const float* x = static_cast<const float*>(arguments.inputs[0]);
          float* y = static_cast<float*>(arguments.outputs[0]);
          parallel_ranges(count, kElementwiseGrain, [&](int64_t begin, int64_t end) {
            unary_loop(x + begin, y + begin, end - begin, alpha, f.function);
          });
        }));
  });
}

template <class F>
Entry unary_backward(Named<F> f) {
  return direct_entry(f.name, declines, [f](const Problem& problem) {
    const float alpha = alpha_of(problem);
    const Layout layout = elementwise_layout(problem, f.function(0.0f, 0.0f, alpha));
    const int64_t count = layout.elements(problem.outputs[0].shape);
    return prepare_elementwise(
        problem, layout, make_kernel([=](const Arguments& arguments) {
          const float* dy = static_cast<const float*>(arguments.inputs[0]);
          const float* y = static_cast<const float*>(arguments.inputs[1]);
          float* dx = static_cast<float*>(arguments.outputs[0]);
          parallel_ranges(count, kElementwiseGrain, [&](int64_t begin, int64_t end) {
            backward_loop(dy + begin, y + begin, dx + begin, end - begin, alpha, f.function);
          });
        }));
  });
}

template <class Table>
std::vector<std::string> names_of(const Table& table) {
  return std::apply([](auto... f) { return std::vector<std::string>{f.name...}; }, table);
}

const bool registered = [] {
  std::apply([](auto... f) { (Register(unary(f)), ...); }, kUnaryFunctions);
  std::apply([](auto... f) { (Register(unary_backward(f)), ...); }, kUnaryBackwardFunctions);
  return true;
}();

}  // namespace

std::vector<std::string> unary_operations() { return names_of(kUnaryFunctions); }
std::vector<std::string> unary_backward_operations() { return names_of(kUnaryBackwardFunctions); }

}  // namespace striate::kernels
