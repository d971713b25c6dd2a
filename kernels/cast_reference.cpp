// Conversion of single elements, through double or, for integers, long double.
#include <striate/kernels/cast.h>
#include <striate/kernels/elements.h>

namespace striate::kernels {
namespace {

void cast(const Problem& problem, const Arguments& arguments) {
  with_element_type(problem.inputs[0].dtype, [&](auto from) {
    with_element_type(problem.outputs[0].dtype, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      for (int64_t i = 0; i < problem.outputs[0].shape.elements(); ++i) {
        const auto value =
            static_cast<Wide<From>>(static_cast<const From*>(arguments.inputs[0])[i]);
        // Integers keep their low bits in a smaller type, only fractions saturate.
        if constexpr (std::is_integral_v<From> && std::is_integral_v<To>)
          static_cast<To*>(arguments.outputs[0])[i] = static_cast<To>(static_cast<From>(value));
        else
          static_cast<To*>(arguments.outputs[0])[i] = convert<To>(value);
      }
    });
  });
}

void rescale(const Problem& problem, const Arguments& arguments) {
  const auto options = problem.options ? problem.get<RescaleOptions>() : RescaleOptions();
  with_element_type(problem.outputs[0].dtype, [&](auto t) {
    using T = decltype(t);
    for (int64_t i = 0; i < problem.outputs[0].shape.elements(); ++i) {
      const double x = element_at(arguments.inputs[0], problem.inputs[0].dtype, i);
      static_cast<T*>(arguments.outputs[0])[i] = convert<T>(x * options.scale + options.offset);
    }
  });
}

const Register cast_entry(reference_entry("cast", cast));
const Register rescale_entry(reference_entry("rescale", rescale));

}  // namespace
}  // namespace striate::kernels
