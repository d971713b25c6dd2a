#include <striate/kernels/pad2d.h>
#include <striate/layers/pad2d.h>

namespace striate {
namespace {

const RegisterLayer<ZeroPadding2D> padding_layer(
    Describe<ZeroPadding2D>("ZeroPadding2D",
                            "Add rows and columns of zeros.\n"
                            "x: [N, H, W, C] -> y: [N, H', W', C]")
        .field("padding", &ZeroPadding2D::padding,
               "One number, (vertical, horizontal) or (top, bottom, left, right)."));

}  // namespace

Value ZeroPadding2D::call(Weights&, const Value& x) const {
  return apply("pad2d", {x}, Pad2dOptions{padding, "constant", 0});
}

}  // namespace striate
