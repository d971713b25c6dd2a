// Chains of functions of elements in the graph; made by `fuse` alone.
#include <striate/kernels/chain.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

const RegisterOperation chain({
    .name = "chain",
    .doc = "Apply functions of elements one after the other.\nx, others...: of x's shape or one "
           "element -> y: x's shape",
    .inputs = {"x", "others..."},
    .options = Describe<ChainOptions>("chain", "")
                   .required("steps", &ChainOptions::steps, "`function other alpha;...`")
                   .field("to", &ChainOptions::to, "The element type of y."),
    .infer = [](const Signature& s) -> std::vector<Type> {
      return {checked_type(s.shape(0), s.get<ChainOptions>().to)};
    },
    .is_public = false,
});

}  // namespace
}  // namespace striate
