#include <striate/core/error.h>

#include <utility>

namespace striate {

Error::Error(std::string rule, std::string values, std::string fix)
    : rule_(std::move(rule)), values_(std::move(values)), fix_(std::move(fix)) {
  compose();
}

void Error::set_layer(const std::string& layer) {
  if (!layer_.empty() || layer.empty()) return;
  layer_ = layer;
  compose();
}

void Error::compose() {
  message_ = layer_.empty() ? "" : "[" + layer_ + "] ";
  message_ += rule_;
  if (!values_.empty()) message_ += ", got " + values_;
  message_ += ".";
  if (!fix_.empty()) message_ += " " + fix_ + ".";
}

}  // namespace striate
