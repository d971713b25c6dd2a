#include <striate/kernels/dropout.h>
#include <striate/layers/dropout.h>

namespace striate {
namespace {

const RegisterLayer<Dropout> dropout_layer(
    Describe<Dropout>("Dropout",
                      "In training, set a part of the elements to 0 and enlarge the "
                      "rest (Srivastava et al. 2014).\nx -> y of the same shape")
        .required("rate", &Dropout::rate, "Part of the elements that is dropped.",
                  in_unit_interval()));

}  // namespace

Value Dropout::call(Weights&, const Value& x) const {
  return apply("dropout", {x}, DropoutOptions{rate});
}

}  // namespace striate
