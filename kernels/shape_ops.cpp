#include <striate/kernels/shape_ops.h>

namespace striate::kernels {

std::vector<int> transpose_order(const Problem& problem) {
  const int rank = problem.inputs[0].shape.rank();
  std::vector<int> order =
      problem.options ? problem.get<TransposeOptions>().order : std::vector<int>();
  if (order.empty())
    for (int d = rank - 1; d >= 0; --d) order.push_back(d);
  for (int& d : order) d = d < 0 ? d + rank : d;
  return order;
}

}  // namespace striate::kernels
