#include <striate/core/error.h>
#include <striate/kernels/pad2d.h>

#include <algorithm>

namespace striate::kernels {

std::vector<int64_t> pad_sources(const std::string& mode, int64_t size, int64_t before,
                                 int64_t after) {
  const bool reflect = mode == "reflect", edge = mode == "edge";
  if (!reflect && !edge && mode != "constant")
    throw ShapeError("mode must be constant, reflect or edge", "'" + mode + "'");
  const int64_t most = std::max(before, after);
  if (most > 0 && ((reflect && most >= size) || (edge && size == 0)))
    throw ShapeError("'" + mode + "' padding needs a larger image",
                     std::to_string(most) + " on a size of " + std::to_string(size));
  std::vector<int64_t> sources;
  for (int64_t i = -before; i < size + after; ++i) {
    int64_t source = i;
    if (i < 0) source = reflect ? -i : edge ? 0 : -1;
    if (i >= size) source = reflect ? 2 * (size - 1) - i : edge ? size - 1 : -1;
    sources.push_back(source);
  }
  return sources;
}

}  // namespace striate::kernels
