// Options of the shape operations that the graph resolves before a kernel runs.
#pragma once

#include <striate/core/shape.h>
#include <striate/kernels/shape_ops.h>

namespace striate {

struct ReshapeOptions {
  /// One size may be unknown: it follows from the others. With a second one unknown, the first
  /// size is that of x: the batch.
  Shape shape;
};

}  // namespace striate
