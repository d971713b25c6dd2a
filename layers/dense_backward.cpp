// A dense layer's gradients as one operation: the graph's fusion makes it, nobody calls it.
#include <striate/kernels/dense_backward.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

const RegisterOperation dense_backward({
    .name = "dense_backward",
    .doc = "Return all gradients of a dense layer.\n"
           "dy: [M, out], x: [M, in], w: [in, out] -> dx: [M, in], dw: [in, out], db: [out]",
    .inputs = {"dy", "x", "w"},
    .outputs = {"dx", "dw", "[db]"},
    .options = Describe<DenseBackwardOptions>("dense_backward", "")
                   .field("bias", &DenseBackwardOptions::bias, "Also return db."),
    .infer = [](const Signature& s) -> std::vector<Type> {
      need_floats(s, {"dy", "x", "w"});
      const Shape &dy = s.shape(0), &x = s.shape(1), &w = s.shape(2);
      need_rank(dy, 2, "dy must be a matrix [M, out]");
      need_rank(x, 2, "x must be a matrix [M, in]");
      need_shape("dy must be", dy, {x[0], dy[1]});
      need_shape("w must be", w, {x[1], dy[1]});
      std::vector<Type> types = {{x, s.dtype(0)}, {w, s.dtype(0)}};
      if (s.get<DenseBackwardOptions>().bias) types.push_back({Shape{dy[1]}, s.dtype(0)});
      return types;
    },
    .is_public = false,
});

}  // namespace
}  // namespace striate
