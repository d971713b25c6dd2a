// Padding of images in the graph.
#include <striate/kernels/pad2d.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

Schema schema() {
  return Describe<Pad2dOptions>("pad2d", "")
      .required("padding", &Pad2dOptions::padding,
                "One number, (vertical, horizontal) or (top, bottom, left, right).")
      .field("mode", &Pad2dOptions::mode,
             "constant, reflect (mirror, the edge pixel not repeated) or edge (repeat it).")
      .field("value", &Pad2dOptions::value, "What constant padding holds.");
}

int64_t padded_size(const char* axis, int64_t size, int64_t before, int64_t after,
                    const std::string& mode) {
  constexpr int64_t kLimit = int64_t{1} << 40;
  if (before < 0 || after < 0 || before > kLimit || after > kLimit)
    throw ShapeError("padding must be from 0 to 2^40",
                     std::to_string(before) + " and " + std::to_string(after));
  if (size == kUnknown) return kUnknown;
  const int64_t most = std::max(before, after);
  if (mode == "reflect" && most >= size && most > 0)
    throw ShapeError("'reflect' needs padding below the " + std::string(axis),
                     std::to_string(most) + " on " + axis + " " + std::to_string(size));
  if (mode == "edge" && size == 0 && most > 0)
    throw ShapeError("'edge' needs " + std::string(axis) + " >= 1", "0");
  return before + size + after;
}

Shape padded(const Shape& x, const Pad2dOptions& options) {
  need_rank(x, 4, "images are [N, height, width, channels]");
  const Padding& p = options.padding;
  const std::string& mode = options.mode;
  if (p.rule != Padding::Rule::kExplicit)
    throw ShapeError(
        "padding must be numbers: one, (vertical, horizontal) or (top, bottom, left, "
        "right)",
        "'" + p.to_string() + "'");
  if (mode != "constant" && mode != "reflect" && mode != "edge")
    throw ShapeError("mode must be constant, reflect or edge", "'" + mode + "'");
  return {x[0], padded_size("height", x[1], p.top, p.bottom, mode),
          padded_size("width", x[2], p.left, p.right, mode), x[3]};
}

const RegisterOperation pad2d({
    .name = "pad2d",
    .doc = "Add rows and columns around pictures.\n"
           "y[n,p,q,c] = x[n, p - top, q - left, c] inside, by mode outside\n"
           "x: [N, H, W, C] -> y: [N, top + H + bottom, left + W + right, C]",
    .inputs = {"x"},
    .options = schema(),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const Shape y = padded(s.shape(0), s.get<Pad2dOptions>());
      need_floats(s, {"x"});
      return {checked_type(y, s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      return {apply("pad2d_backward", {dys[0], node.inputs[0]}, node.get<Pad2dOptions>())};
    },
});

const RegisterOperation pad2d_backward({
    .name = "pad2d_backward",
    .doc = "Add dy up at the pixels that it shows; what shows the constant is dropped.\n"
           "dy: [N, P, Q, C], like x: [N, H, W, C] -> dx: [N, H, W, C]",
    .inputs = {"dy", "like x"},
    .outputs = {"dx"},
    .options = schema(),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const Shape y = padded(s.shape(1), s.get<Pad2dOptions>());
      need_floats(s, {"dy"});
      need_shape("dy must be", s.shape(0), y);
      return {checked_type(s.shape(1), s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& ddx) -> std::vector<Value> {
      Pad2dOptions options = node.get<Pad2dOptions>();
      options.value = 0;
      return {apply("pad2d", {ddx[0]}, options), {}};
    },
    .is_public = false,
});

}  // namespace
}  // namespace striate
