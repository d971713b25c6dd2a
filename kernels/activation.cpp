#include <striate/core/error.h>
#include <striate/kernels/activation.h>

namespace striate {
namespace {
constexpr const char* kNames[] = {"none", "relu", "relu6", "leaky_relu", "sigmoid", "tanh"};
}

const char* name_of(Activation activation) { return kNames[static_cast<int>(activation)]; }

Activation activation_from_name(const std::string& name) {
  for (int i = 0; i < 6; ++i)
    if (name == kNames[i]) return static_cast<Activation>(i);
  throw ShapeError("activation must be none, relu, relu6, leaky_relu, sigmoid or tanh",
                   "'" + name + "'");
}

}  // namespace striate
