// Sorting by the standard library's stable sort, row by row.
#include <striate/kernels/elements.h>
#include <striate/kernels/sort.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace striate::kernels {
namespace {

/// Return the places of a row's elements in their order.
template <class T>
std::vector<int32_t> order_of(const T* row, int64_t count, bool descending) {
  std::vector<int32_t> places(static_cast<size_t>(count));
  std::iota(places.begin(), places.end(), 0);
  std::stable_sort(places.begin(), places.end(), [&](int32_t i, int32_t j) {
    const auto a = static_cast<double>(row[descending ? j : i]);
    const auto b = static_cast<double>(row[descending ? i : j]);
    return a < b || (a == a && b != b);
  });
  return places;
}

/// Write the first `kept` elements of each row's order, and their places where there is room.
void sort_rows(const Problem& problem, const Arguments& a, bool descending, int32_t* places) {
  const Shape& shape = problem.inputs[0].shape;
  const int64_t count = shape[-1], rows = shape.elements() / std::max<int64_t>(count, 1);
  const int64_t kept = problem.outputs[0].shape[-1];
  with_element_type(problem.inputs[0].dtype, [&](auto t) {
    using T = decltype(t);
    const auto* x = static_cast<const T*>(a.inputs[0]);
    auto* y = static_cast<T*>(a.outputs[0]);
    for (int64_t r = 0; r < rows; ++r) {
      const auto order = order_of(x + r * count, count, descending);
      for (int64_t i = 0; i < kept; ++i) {
        y[r * kept + i] = x[r * count + order[static_cast<size_t>(i)]];
        if (places) places[r * kept + i] = order[static_cast<size_t>(i)];
      }
    }
  });
}

const Register sort(reference_entry("sort", [](const Problem& problem, const Arguments& a) {
  sort_rows(problem, a, problem.get<SortOptions>().descending, nullptr);
}));
const Register top_k(reference_entry("top_k", [](const Problem& problem, const Arguments& a) {
  sort_rows(problem, a, true, static_cast<int32_t*>(a.outputs[1]));
}));

}  // namespace
}  // namespace striate::kernels
