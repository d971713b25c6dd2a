// Global average pooling on the CPU: means over height and width, dense NHWC and blocks of
// channels.
//
// Sums run in float over at most 64 pixels and in double over those, so the result does not lose
// digits on large images and does not depend on the number of threads.
#include <striate/kernels/pool2d_rows.h>

namespace striate::kernels {
namespace {

constexpr int64_t kRun = 64;  // pixels summed in float

struct View {
  Lanes lanes;
  int64_t outer, pixels;
  float share;

  View(const Shape& image, const Layout& layout) : lanes(layout, image[3]) {
    outer = image[0] * lanes.blocks;
    pixels = image[1] * image[2];
    share = pixels ? static_cast<float>(1.0 / static_cast<double>(pixels)) : 0.0f;
  }
};

/// Blocks [begin, end) of outer. x: [outer][pixels][lanes], y: [N, C].
struct Forward {
  static STRIATE_INLINE void run(const View* view, const float* x, float* y, int64_t begin,
                                 int64_t end) {
    const View v = *view;
    const int64_t lanes = v.lanes.lanes;
    for (int64_t o = begin; o < end; ++o) {
      const float* image = x + o * v.pixels * lanes;
      float* to = y + o / v.lanes.blocks * v.lanes.channels + o % v.lanes.blocks * lanes;
      const int64_t used = v.lanes.used(o);
      for_each_tile(lanes, [&](auto tile, int64_t l, int64_t n) STRIATE_INLINED {
        constexpr int kWidth = tile.value ? tile.value : 8;
        const int64_t count = tile.value ? tile.value : n;
        double total[kWidth] = {};
        for (int64_t i = 0; i < v.pixels; i += kRun) {
          const int64_t last = std::min(i + kRun, v.pixels);
          float sum[kWidth] = {};
          for (int64_t k = i; k < last; ++k)
#pragma omp simd
            for (int64_t j = 0; j < count; ++j) sum[j] += image[k * lanes + l + j];
          for (int64_t j = 0; j < count; ++j) total[j] += static_cast<double>(sum[j]);
        }
        for (int64_t j = 0; j < count && l + j < used; ++j)
          to[l + j] = static_cast<float>(total[j] * static_cast<double>(v.share));
      });
    }
  }
};

/// Blocks [begin, end) of outer. dy: [N, C], dx: [outer][pixels][lanes].
struct Backward {
  static STRIATE_INLINE void run(const View* view, const float* dy, float* dx, int64_t begin,
                                 int64_t end) {
    const View v = *view;
    const int64_t lanes = v.lanes.lanes;
    for (int64_t o = begin; o < end; ++o) {
      float* image = dx + o * v.pixels * lanes;
      const float* from = dy + o / v.lanes.blocks * v.lanes.channels + o % v.lanes.blocks * lanes;
      const int64_t used = v.lanes.used(o);
      if (v.pixels == 0) continue;
      for (int64_t l = 0; l < lanes; ++l) image[l] = l < used ? from[l] * v.share : 0.0f;
      for (int64_t k = 1; k < v.pixels; ++k) std::copy_n(image, lanes, image + k * lanes);
    }
  }
};

const Register forward(direct_entry("global_avg_pool2d", [](const Problem& problem) {
  const Layout layout = lanes_layout(problem.inputs[0]);
  const View v(problem.inputs[0].shape, layout);
  Prepared prepared;
  prepared.inputs = {layout};
  prepared.outputs = {Layout()};
  prepared.kernel = make_kernel([v](const Arguments& a) {
    over_rows<Forward>(v.outer, v.pixels * v.lanes.lanes, &v, input<float>(a, 0),
                       output<float>(a, 0));
  });
  return prepared;
}));

const Register backward(direct_entry("global_avg_pool2d_backward", [](const Problem& problem) {
  const Layout layout = lanes_layout(problem.inputs[1]);
  const View v(problem.inputs[1].shape, layout);
  Prepared prepared;
  prepared.inputs = {Layout(), layout};
  prepared.outputs = {layout};
  prepared.kernel = make_kernel([v](const Arguments& a) {
    over_rows<Backward>(v.outer, v.pixels * v.lanes.lanes, &v, input<float>(a, 0),
                        output<float>(a, 0));
  });
  return prepared;
}));

}  // namespace
}  // namespace striate::kernels
