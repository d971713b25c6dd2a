#include <striate/kernels/pool2d.h>

namespace striate {

Window pool2d_window(const Pool2dOptions& options, const Shape& image) {
  return resolve_window(image, options.pool_size, options.strides.value_or(options.pool_size),
                        options.padding, 1);
}

DType pool2d_winner_dtype(const Pool2dOptions& options) {
  const Size2 size = options.pool_size;
  return size.height <= 255 && size.width <= 255 && size.height * size.width <= 255 ? DType::kU8
                                                                                    : DType::kI32;
}

namespace kernels {

Pool2dShape pool2d_shape(const Pool2dOptions& options, const Shape& image) {
  const Window w = pool2d_window(options, image);
  return {image[0],
          image[3],
          {image[1], w.out_height, w.size.height, w.strides.height, w.top},
          {image[2], w.out_width, w.size.width, w.strides.width, w.left},
          options.count_padding, options.rectified};
}

}  // namespace kernels
}  // namespace striate
