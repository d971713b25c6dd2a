// A variable for tests of graphs.
#pragma once

#include <striate/layers/graph/variable.h>

#include <memory>
#include <string>

namespace striate {

/// Make a float32 variable of ones.
inline std::shared_ptr<Variable> variable(const std::string& path, const Shape& shape) {
  auto made = std::make_shared<Variable>();
  made->path = path;
  made->type = {shape, DType::kF32};
  made->initializer = "Ones";
  return made;
}

}  // namespace striate
