// Chains of functions element by element in double, and how their steps are written.
#include <striate/kernels/chain.h>
#include <striate/kernels/chain_functions.h>
#include <striate/kernels/elements.h>

#include <sstream>

namespace striate::kernels {

std::vector<ChainStep> chain_steps(const std::string& text) {
  std::vector<ChainStep> steps;
  std::istringstream all(text);
  for (std::string written; std::getline(all, written, ';');) {
    ChainStep step;
    std::istringstream words(written);
    if (!(words >> step.function >> step.other >> step.alpha) || !is_chainable(step.function))
      throw KernelError("a chain's step is a function, an input's place and a number", written);
    steps.push_back(step);
  }
  return steps;
}

std::string to_string(const std::vector<ChainStep>& steps) {
  std::ostringstream text;
  text.precision(9);  // a float as it is
  for (const ChainStep& step : steps)
    text << (text.tellp() > 0 ? ";" : "") << step.function << ' ' << step.other << ' '
         << step.alpha;
  return text.str();
}

bool is_chainable(const std::string& operation) { return chain_function(operation) >= 0; }

namespace {

const Register chain(reference_entry("chain", [](const Problem& problem, const Arguments& a) {
  const auto steps = chain_steps(problem.get<ChainOptions>().steps);
  const auto element = [&](size_t input, int64_t i) {
    const ValueDesc& value = problem.inputs[input];
    return element_at(a.inputs[input], value.dtype, value.shape.elements() == 1 ? 0 : i);
  };
  with_element_type(problem.outputs[0].dtype, [&](auto t) {
    auto* y = static_cast<decltype(t)*>(a.outputs[0]);
    for (int64_t i = 0; i < problem.outputs[0].shape.elements(); ++i) {
      double v = element(0, i);
      for (const ChainStep& step : steps) {
        const double other =
            step.other == 0 ? 0 : element(static_cast<size_t>(std::abs(step.other)), i);
        with_chain_function(chain_function(step.function), [&](auto f) {
          v = step.other < 0 ? f(other, v, double{step.alpha}) : f(v, other, double{step.alpha});
        });
      }
      y[i] = convert<decltype(t)>(v);
    }
  });
}));

}  // namespace
}  // namespace striate::kernels
