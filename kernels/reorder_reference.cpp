// Reordering element by element, by the definition of Layout::offset.
#include <striate/core/parallel.h>
#include <striate/kernels/reorder.h>

#include <cstring>

namespace striate::kernels {
namespace {

void run(const Shape& shape, size_t size, const Layout& from, const Layout& to,
         const Arguments& arguments) {
  const auto* x = static_cast<const char*>(arguments.inputs[0]);
  auto* y = static_cast<char*>(arguments.outputs[0]);
  if (to.has_padding(shape)) std::memset(y, 0, static_cast<size_t>(to.elements(shape)) * size);
  parallel_ranges(shape.elements(), 4096, [&](int64_t begin, int64_t end) {
    int64_t index[Shape::kMaxRank] = {}, rest = begin;
    for (int d = shape.rank() - 1; d >= 0; --d) index[d] = rest % shape[d], rest /= shape[d];
    for (int64_t i = begin; i < end; ++i) {
      std::memcpy(y + static_cast<size_t>(to.offset(shape, index)) * size,
                  x + static_cast<size_t>(from.offset(shape, index)) * size, size);
      for (int d = shape.rank() - 1; d >= 0 && ++index[d] == shape[d]; --d) index[d] = 0;
    }
  });
}

Prepared prepare(const Problem& problem) {
  const ValueDesc x = problem.inputs[0];
  const Layout to = problem.get<ReorderOptions>().to;
  Prepared prepared;
  prepared.inputs = {x.layout};
  prepared.outputs = {to};
  prepared.kernel =
      make_kernel([x, to](const Arguments& a) { run(x.shape, size_of(x.dtype), x.layout, to, a); });
  return prepared;
}

const Register reorder({"reorder", "reference", DeviceType::kCpu,
                        [](const Problem&) { return std::string(); }, prepare,
                        [](const Problem&) { return 0.02; }});

}  // namespace
}  // namespace striate::kernels
