#include <striate/kernels/elementwise.h>

#include <cmath>
#include <utility>

namespace striate::kernels {

Layout elementwise_layout(const Problem& problem, double at_zero) {
  const Shape& shape = problem.outputs[0].shape;
  Layout layout;
  for (const ValueDesc& input : problem.inputs) {
    if (input.shape != shape) return {};
    if (layout.is_dense()) layout = input.layout;
  }
  const bool padding_stays_zero = at_zero == 0 && !std::signbit(at_zero);
  return padding_stays_zero || !layout.has_padding(shape) ? layout : Layout();
}

Prepared prepare_elementwise(const Problem& problem, const Layout& layout,
                             std::unique_ptr<Kernel> kernel) {
  Prepared prepared;
  prepared.kernel = std::move(kernel);
  prepared.inputs.assign(problem.inputs.size(), layout);
  prepared.outputs.assign(1, layout);
  const ValueDesc& y = problem.outputs[0];
  for (size_t i = 0; i < problem.inputs.size(); ++i)
    if (problem.inputs[i].shape == y.shape && size_of(problem.inputs[i].dtype) == size_of(y.dtype))
      prepared.in_place.push_back({0, static_cast<int>(i), false});
  return prepared;
}

std::string takes_float32(const Problem& problem, size_t first, size_t last) {
  for (size_t i = first; i < last && i < problem.inputs.size(); ++i)
    if (problem.has_input(i) && problem.inputs[i].dtype != DType::kF32)
      return std::string("takes float32, got ") + name_of(problem.inputs[i].dtype);
  return "";
}

Entry direct_entry(std::string operation, std::function<std::string(const Problem&)> declines,
                   std::function<Prepared(const Problem&)> prepare, double efficiency) {
  Entry entry;
  entry.operation = std::move(operation);
  entry.name = "direct";
  entry.declines = std::move(declines);
  entry.prepare = std::move(prepare);
  entry.efficiency = [efficiency](const Problem&) { return efficiency; };
  return entry;
}

}  // namespace striate::kernels
