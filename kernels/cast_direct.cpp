// Conversion between all pairs of element types: flat loops over the stored elements, in any
// layout.
#include <striate/kernels/cast.h>
#include <striate/kernels/clones.h>
#include <striate/kernels/elements.h>
#include <striate/kernels/elementwise.h>

namespace striate::kernels {
namespace {

template <class From, class To>
void cast_loop(const void* from, void* to, int64_t begin, int64_t end) {
  const From* x = static_cast<const From*>(from);
  To* y = static_cast<To*>(to);
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) y[i] = convert<To>(x[i]);
}

using CastLoop = void (*)(const void*, void*, int64_t, int64_t);

CastLoop cast_loop_of(DType from, DType to) {
  CastLoop loop = nullptr;
  with_element_type(from, [&](auto f) {
    with_element_type(to, [&](auto t) { loop = cast_loop<decltype(f), decltype(t)>; });
  });
  return loop;
}

template <class T>
STRIATE_CLONES void rescale_loop(const T* x, float* y, int64_t count, float scale, float offset) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<float>(x[i]) * scale + offset;
}

Prepared prepare_cast(const Problem& problem) {
  const Layout layout = elementwise_layout(problem, 0);
  const int64_t count = layout.elements(problem.outputs[0].shape);
  const CastLoop loop = cast_loop_of(problem.inputs[0].dtype, problem.outputs[0].dtype);
  return prepare_elementwise(problem, layout, make_kernel([=](const Arguments& arguments) {
                               parallel_ranges(
                                   count, kElementwiseGrain, [&](int64_t begin, int64_t end) {
                                     loop(arguments.inputs[0], arguments.outputs[0], begin, end);
                                   });
                             }));
}

std::string rescale_declines(const Problem& problem) {
  if (problem.inputs[0].dtype == DType::kU8) return "";
  return takes_float32(problem, 0, 1);
}

Prepared prepare_rescale(const Problem& problem) {
  const auto options = problem.options ? problem.get<RescaleOptions>() : RescaleOptions();
  const float scale = static_cast<float>(options.scale);
  const float offset = static_cast<float>(options.offset);
  const Layout layout = elementwise_layout(problem, 0 * scale + offset);
  const int64_t count = layout.elements(problem.outputs[0].shape);
  const bool pixels = problem.inputs[0].dtype == DType::kU8;
  return prepare_elementwise(
      problem, layout, make_kernel([=](const Arguments& arguments) {
        float* y = static_cast<float*>(arguments.outputs[0]);
        parallel_ranges(count, kElementwiseGrain, [&](int64_t begin, int64_t end) {
          if (pixels)
            rescale_loop(static_cast<const uint8_t*>(arguments.inputs[0]) + begin, y + begin,
                         end - begin, scale, offset);
          else
            rescale_loop(static_cast<const float*>(arguments.inputs[0]) + begin, y + begin,
                         end - begin, scale, offset);
        });
      }));
}

const Register cast(direct_entry(
    "cast", [](const Problem&) { return std::string(); }, prepare_cast));
const Register rescale(direct_entry("rescale", rescale_declines, prepare_rescale));

}  // namespace
}  // namespace striate::kernels
