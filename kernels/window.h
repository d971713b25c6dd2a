// The one place for output sizes and padding rules of convolution and pooling.
#pragma once

#include <striate/core/shape.h>

#include <array>
#include <cstdint>
#include <string>

namespace striate {

/// A height and a width; one number means both.
struct Size2 {
  int64_t height = 1, width = 1;

  Size2() = default;
  Size2(int64_t both) : height(both), width(both) {}  // NOLINT: `kernel_size = 3` reads well
  Size2(int64_t h, int64_t w) : height(h), width(w) {}
  friend bool operator==(Size2 a, Size2 b) { return a.height == b.height && a.width == b.width; }
};

/// Rows and columns added on each side of an image.
struct Padding {
  enum class Rule { kValid, kSame, kExplicit };
  Rule rule = Rule::kValid;
  int64_t top = 0, bottom = 0, left = 0, right = 0;

  Padding() = default;
  /// "valid" or "same". Throws ShapeError for another word.
  Padding(const char* word);                             // NOLINT: `padding = "same"` reads well
  Padding(int64_t all) : Padding(all, all, all, all) {}  // NOLINT
  Padding(int64_t t, int64_t b, int64_t l, int64_t r)
      : rule(Rule::kExplicit), top(t), bottom(b), left(l), right(r) {}
  std::string to_string() const;
};

/// Return floor((size + padding - dilation * (window - 1) - 1) / stride) + 1, the number of window
/// positions; kUnknown for an unknown size. May be 0 or negative: see `resolve_window`.
int64_t output_size(int64_t size, int64_t window, int64_t stride, int64_t padding,
                    int64_t dilation);

/// A window's place on an image of known or unknown size, all rules applied.
struct Window {
  Size2 size, strides, dilation;
  int64_t top = 0, bottom = 0, left = 0, right = 0;
  int64_t out_height = 0, out_width = 0;
};

/// Apply the padding rule to an image [N, height, width, C]. "same" gives ceil(size / stride)
/// positions and puts the odd row below and the odd column right, as Keras does.
/// Throws ShapeError for sizes, strides or dilations < 1, negative padding, or a window beyond the
/// padded input (with the least height or width that would do).
Window resolve_window(const Shape& image, Size2 size, Size2 strides, const Padding& padding,
                      Size2 dilation);

}  // namespace striate
