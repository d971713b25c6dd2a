// A change of memory layout in the graph; planners put it where neighbours disagree.
#include <striate/kernels/reorder.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

const RegisterOperation reorder({
    .name = "reorder",
    .doc = "Move the elements to another memory layout.\nx: any shape -> y: the same",
    .inputs = {"x"},
    .options = Describe<ReorderOptions>("reorder", ""),
    .infer = [](const Signature& s) -> std::vector<Type> { return {*s.inputs[0]}; },
    .is_public = false,
});

}  // namespace
}  // namespace striate
