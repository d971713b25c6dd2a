// The functions of two values and `where` on float32.
//
// Equal shapes are one flat loop over the stored elements, in any layout. Broadcasting runs over
// dense values in runs in which each input either advances or stays on one element.
#include <striate/kernels/binary.h>
#include <striate/kernels/binary_functions.h>
#include <striate/kernels/broadcast.h>
#include <striate/kernels/clones.h>
#include <striate/kernels/elementwise.h>

namespace striate::kernels {
namespace {

/// `StepA`, `StepB`: 1 where the input advances, 0 where one element serves the whole run.
template <int StepA, int StepB, class Y, class F>
STRIATE_CLONES void binary_loop(const float* a, const float* b, Y* y, int64_t count, F f) {
  const float first_a = *a, first_b = *b;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i)
    y[i] = f(StepA == 1 ? a[i] : first_a, StepB == 1 ? b[i] : first_b);
}

STRIATE_CLONES void where_loop(const uint8_t* cond, const float* a, const float* b, float* y,
                               int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = cond[i] != 0 ? a[i] : b[i];
}

std::vector<Shape> input_shapes(const Problem& problem) {
  std::vector<Shape> shapes;
  for (const ValueDesc& input : problem.inputs) shapes.push_back(input.shape);
  return shapes;
}

/// Return the plan for values that lie in `layout`: one run over all stored elements if all shapes
/// are equal.
Broadcast plan_of(const Problem& problem, const Layout& layout) {
  if (layout.is_dense()) return {problem.outputs[0].shape, input_shapes(problem)};
  const Shape stored{layout.elements(problem.outputs[0].shape)};
  return {stored, std::vector<Shape>(problem.inputs.size(), stored)};
}

template <class F>
Entry binary(Named<F> f) {
  using Y = decltype(f.function(0.0f, 0.0f));  // float, or bool of a comparison
  auto declines = [](const Problem& problem) { return takes_float32(problem, 0, 2); };
  return direct_entry(f.name, declines, [f](const Problem& problem) {
    const Layout layout = elementwise_layout(problem, f.function(0.0f, 0.0f));
    const Broadcast plan = plan_of(problem, layout);
    return prepare_elementwise(
        problem, layout, make_kernel([=](const Arguments& arguments) {
          const float* a = static_cast<const float*>(arguments.inputs[0]);
          const float* b = static_cast<const float*>(arguments.inputs[1]);
          Y* y = static_cast<Y*>(arguments.outputs[0]);
          parallel_ranges(plan.elements(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
            plan.runs(begin, end, [&](int64_t at, const int64_t* place, int64_t length) {
              const float *from_a = a + place[0], *from_b = b + place[1];
              if (plan.step(0) == 1 && plan.step(1) == 1)
                binary_loop<1, 1>(from_a, from_b, y + at, length, f.function);
              else if (plan.step(0) == 1)
                binary_loop<1, 0>(from_a, from_b, y + at, length, f.function);
              else
                binary_loop<0, 1>(from_a, from_b, y + at, length, f.function);
            });
          });
        }));
  });
}

std::string where_declines(const Problem& problem) {
  if (size_of(problem.inputs[0].dtype) != 1)
    return std::string("takes a bool or uint8 condition, got ") + name_of(problem.inputs[0].dtype);
  return takes_float32(problem, 1, 3);
}

Prepared prepare_where(const Problem& problem) {
  const Layout layout = elementwise_layout(problem, 0);
  const Broadcast plan = plan_of(problem, layout);
  return prepare_elementwise(
      problem, layout, make_kernel([plan](const Arguments& arguments) {
        const auto* cond = static_cast<const uint8_t*>(arguments.inputs[0]);
        const float* a = static_cast<const float*>(arguments.inputs[1]);
        const float* b = static_cast<const float*>(arguments.inputs[2]);
        float* y = static_cast<float*>(arguments.outputs[0]);
        parallel_ranges(plan.elements(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
          plan.runs(begin, end, [&](int64_t at, const int64_t* place, int64_t length) {
            if (plan.step(0) == 1 && plan.step(1) == 1 && plan.step(2) == 1)
              return where_loop(cond + place[0], a + place[1], b + place[2], y + at, length);
            for (int64_t i = 0; i < length; ++i)
              y[at + i] = cond[place[0] + i * plan.step(0)] != 0 ? a[place[1] + i * plan.step(1)]
                                                                 : b[place[2] + i * plan.step(2)];
          });
        });
      }));
}

const bool registered = [] {
  std::apply([](auto... f) { (Register(binary(f)), ...); }, kBinaryFunctions);
  std::apply([](auto... f) { (Register(binary(f)), ...); }, kComparisons);
  Register(direct_entry("where", where_declines, prepare_where));
  return true;
}();

}  // namespace

std::vector<std::string> binary_operations() {
  return std::apply([](auto... f) { return std::vector<std::string>{f.name...}; },
                    kBinaryFunctions);
}
std::vector<std::string> comparison_operations() {
  return std::apply([](auto... f) { return std::vector<std::string>{f.name...}; }, kComparisons);
}

}  // namespace striate::kernels
