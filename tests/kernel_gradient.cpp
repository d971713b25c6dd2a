// Backward operations against central differences, both in float64 by the reference entries.
#include <gtest/gtest.h>
#include <striate/core/random.h>
#include <striate/tests/kernel_table.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace striate::testing {

// -------------------------------------------------------------------------------------

void check_gradient(const GradientCase& g, double tolerance) {
  const Case forward = g.forward.with_floats(DType::kF64);
  std::vector<Values> inputs = draw_inputs(forward, 2);
  const std::vector<Values> outputs = run_entry(forward, "reference", inputs);

  std::vector<Values> cotangents;  // 1 for a loss that brings its own gradient, else random
  for (size_t j = 0; j < outputs.size(); ++j) {
    const RandomStream stream{3, j, 0};
    cotangents.emplace_back(outputs[j].size(), g.backward.empty() && j == 0 ? 1.0 : 0.0);
    if (!g.backward.empty())
      for (size_t e = 0; e < outputs[j].size(); ++e)
        cotangents[j][e] = uniform01(stream.words(e, 0)[0]) - 0.5;
  }
  // Outputs that no dy belongs to (batch statistics, winners) do not count in the sum.
  if (!g.backward.empty())
    for (size_t j = 0; j < outputs.size(); ++j)
      if (std::none_of(g.inputs.begin(), g.inputs.end(), [j](const From& from) {
            return from.kind == From::Kind::kCotangent && from.index == static_cast<int>(j);
          }))
        std::fill(cotangents[j].begin(), cotangents[j].end(), 0.0);

  std::vector<Values> gradients = outputs;
  if (!g.backward.empty()) {
    Case backward = forward;
    backward.operation = g.backward;
    if (g.options) backward.options = g.options;
    backward.inputs.clear(), backward.outputs.clear();
    std::vector<Values> values;
    for (const From& from : g.inputs) {
      const auto i = static_cast<size_t>(from.index);
      const bool of_input = from.kind == From::Kind::kInput || from.kind == From::Kind::kLike;
      Input input(of_input ? forward.inputs[i].shape : forward.outputs[i].shape,
                  of_input ? forward.inputs[i].dtype : forward.outputs[i].dtype,
                  Input::Fill::kUniform);
      if (from.kind == From::Kind::kLike) input.fill = Input::Fill::kLike;
      if (from.kind == From::Kind::kAbsent) input = Input::absent();
      backward.inputs.push_back(input);
      values.push_back(from.kind == From::Kind::kInput       ? inputs[i]
                       : from.kind == From::Kind::kOutput    ? outputs[i]
                       : from.kind == From::Kind::kCotangent ? cotangents[i]
                                                             : Values());
    }
    for (size_t j = 0; j < g.outputs.size(); ++j) {
      const Input& of = forward.inputs[static_cast<size_t>(std::max(g.outputs[j], 0))];
      backward.outputs.emplace_back(of.shape, of.dtype);
    }
    gradients = run_entry(backward, "reference", values);
  }

  auto sum = [&] {
    const std::vector<Values> made = run_entry(forward, "reference", inputs);
    double total = 0;
    for (size_t j = 0; j < made.size(); ++j)
      for (size_t e = 0; e < made[j].size(); ++e)
        if (cotangents[j][e] != 0) total += made[j][e] * cotangents[j][e];
    return total;
  };
  for (size_t j = 0; j < g.outputs.size(); ++j) {
    if (g.outputs[j] < 0) continue;
    Values& x = inputs[static_cast<size_t>(g.outputs[j])];
    ASSERT_EQ(x.size(), gradients[j].size()) << forward.describe();
    double largest = 1e-3;
    for (double v : gradients[j]) largest = std::max(largest, std::abs(v));
    const size_t step = std::max<size_t>(1, x.size() / 48);
    for (size_t e = 0; e < x.size(); e += step) {
      const double at = x[e];
      double best = std::numeric_limits<double>::infinity(), difference = 0;
      for (double h : {1e-3, 1e-4, 1e-5}) {
        x[e] = at + h;
        const double above = sum();
        x[e] = at - h;
        const double slope = (above - sum()) / (2 * h);
        x[e] = at;
        const double error = std::abs(slope - gradients[j][e]);
        if (error < best) best = error, difference = slope;
      }
      EXPECT_LE(best, tolerance * largest)
          << (g.backward.empty() ? forward.operation : g.backward) << " output " << j << " element "
          << e << " is " << gradients[j][e] << ", central difference " << difference << " on "
          << forward.describe();
    }
  }
}

}  // namespace striate::testing
