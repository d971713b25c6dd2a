#include <striate/core/error.h>
#include <striate/kernels/window.h>

#include <algorithm>
#include <cstring>

namespace striate {
namespace {

struct Axis {
  int64_t before = 0, after = 0, out = 0;
};

Axis resolve_axis(const char* name, int64_t size, int64_t window, int64_t stride, int64_t dilation,
                  Padding::Rule rule, int64_t before, int64_t after, const Shape& image) {
  const std::string axis = name;
  if (window < 1)
    throw ShapeError("the window's " + axis + " must be >= 1", std::to_string(window));
  if (stride < 1) throw ShapeError("strides must be >= 1", std::to_string(stride));
  if (dilation < 1) throw ShapeError("dilation rates must be >= 1", std::to_string(dilation));
  if (before < 0 || after < 0)
    throw ShapeError("padding must be >= 0",
                     std::to_string(before) + " and " + std::to_string(after));
  constexpr int64_t kLimit = int64_t{1} << 40;
  if (window > kLimit || dilation > kLimit || stride > kLimit || before > kLimit ||
      after > kLimit || (window - 1) > kLimit / dilation)
    throw ShapeError("window, stride, dilation and padding must be below 2^40",
                     std::to_string(window) + ", " + std::to_string(stride) + ", " +
                         std::to_string(dilation) + " and " +
                         std::to_string(std::max(before, after)));
  const int64_t extent = dilation * (window - 1) + 1;
  if (rule == Padding::Rule::kSame) {
    if (size == kUnknown) return {0, 0, kUnknown};
    const int64_t out = (size + stride - 1) / stride;
    const int64_t total = std::max<int64_t>((out - 1) * stride + extent - size, 0);
    return {total / 2, total - total / 2, out};
  }
  const int64_t out = output_size(size, window, stride, before + after, dilation);
  if (out != kUnknown && out < 1) {
    const int64_t least = extent - before - after;
    const std::string word = rule == Padding::Rule::kValid ? "'valid' padding" : "the window";
    throw ShapeError(word + " needs " + axis + " >= " + std::to_string(least),
                     "input " + image.to_string(), "Use padding \"same\" or a smaller window");
  }
  return {before, after, out};
}

}  // namespace

Padding::Padding(const char* word) {
  if (std::strcmp(word, "same") == 0)
    rule = Rule::kSame;
  else if (std::strcmp(word, "valid") != 0)
    throw ShapeError("padding must be 'same', 'valid' or numbers", "'" + std::string(word) + "'");
}

std::string Padding::to_string() const {
  if (rule == Rule::kValid) return "valid";
  if (rule == Rule::kSame) return "same";
  return "(" + std::to_string(top) + ", " + std::to_string(bottom) + ", " + std::to_string(left) +
         ", " + std::to_string(right) + ")";
}

int64_t output_size(int64_t size, int64_t window, int64_t stride, int64_t padding,
                    int64_t dilation) {
  if (size == kUnknown) return kUnknown;
  const int64_t room = size + padding - dilation * (window - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

Window resolve_window(const Shape& image, Size2 size, Size2 strides, const Padding& padding,
                      Size2 dilation) {
  if (image.rank() != 4)
    throw ShapeError("images are [N, height, width, channels]", image.to_string(),
                     "Add the missing dimension with reshape");
  const Axis h = resolve_axis("height", image[1], size.height, strides.height, dilation.height,
                              padding.rule, padding.top, padding.bottom, image);
  const Axis w = resolve_axis("width", image[2], size.width, strides.width, dilation.width,
                              padding.rule, padding.left, padding.right, image);
  return {size, strides, dilation, h.before, h.after, w.before, w.after, h.out, w.out};
}

}  // namespace striate
