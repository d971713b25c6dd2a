// Sorting along the last axis in the graph.
#include <striate/kernels/sort.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

void need_row(const Signature& s) {
  need_floats(s, {"x"});
  if (s.shape(0).rank() < 1) throw ShapeError("sorting needs an axis", s.shape(0).to_string());
}

const RegisterOperation sort({
    .name = "sort",
    .doc = "Sort along the last axis; equal elements keep their order, NaN is larger than all.\n"
           "x: [..., C] -> y: [..., C]",
    .inputs = {"x"},
    .options = Describe<SortOptions>("sort", "")
                   .field("descending", &SortOptions::descending, "The largest first."),
    .infer = [](const Signature& s) -> std::vector<Type> {
      need_row(s);
      return {*s.inputs[0]};
    },
});

const RegisterOperation top_k({
    .name = "top_k",
    .doc = "Return the k largest elements of the last axis, the largest first, and their places;\n"
           "of equal ones the first, NaN is larger than all.\n"
           "x: [..., C] -> values: [..., k], indices: int32 [..., k]",
    .inputs = {"x"},
    .outputs = {"values", "indices"},
    .options = Describe<LargestOptions>("top_k", "")
                   .field("k", &LargestOptions::k, "How many; at most C.", at_least(1)),
    .infer = [](const Signature& s) -> std::vector<Type> {
      need_row(s);
      const int64_t k = s.get<LargestOptions>().k, size = s.shape(0)[-1];
      if (k < 1 || (size != kUnknown && k > size))
        throw ShapeError("k must be from 1 to the size of the last axis",
                         std::to_string(k) + " of " + s.shape(0).to_string());
      Shape y = s.shape(0);
      y[-1] = k;
      return {checked_type(y, s.dtype(0)), checked_type(y, DType::kI32)};
    },
    .returns_all = true,
});

}  // namespace
}  // namespace striate
