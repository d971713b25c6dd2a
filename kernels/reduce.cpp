#include <striate/kernels/reduce.h>

namespace striate::kernels {

std::vector<bool> reduced_axes(const ReduceOptions& options, int rank) {
  std::vector<bool> reduced(static_cast<size_t>(rank), options.axes.empty());
  for (int axis : options.axes) reduced[static_cast<size_t>(axis < 0 ? axis + rank : axis)] = true;
  return reduced;
}

std::vector<bool> repeated_axes(const Shape& from, const Shape& to) {
  std::vector<bool> repeated(static_cast<size_t>(to.rank()), true);
  const int missing = to.rank() - from.rank();
  for (int d = missing; d < to.rank(); ++d)
    repeated[static_cast<size_t>(d)] = from[d - missing] == 1 && to[d] != 1;
  return repeated;
}

ReduceShape reduce_shape(const Shape& shape, const std::vector<bool>& reduced) {
  ReduceShape sizes;
  enum { kOuter, kReduced, kInner } at = kOuter;
  for (int d = 0; d < shape.rank(); ++d) {
    if (shape[d] == 1) continue;
    const bool reduce = reduced[static_cast<size_t>(d)];
    if (at == kOuter && reduce) at = kReduced;
    if (at == kReduced && !reduce) at = kInner;
    if (at == kInner && reduce) sizes.one_run = false;
    (at == kOuter ? sizes.outer : at == kReduced ? sizes.reduced : sizes.inner) *= shape[d];
  }
  return sizes;
}

}  // namespace striate::kernels
