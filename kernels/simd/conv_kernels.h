// What the convolution entries know of the kernels that are compiled for one instruction set.
//
// kernels/avx2/conv2d.cpp and kernels/avx512/conv2d.cpp fill one table each from the templates of
// this folder. This header itself needs no instruction set. Images lie in blocks of `lanes`
// channels, aDbc8d or aDbc16d, filters in ADbc8d8a or ADbc16d16a; padding is zero.
#pragma once

#include <striate/kernels/conv2d.h>

namespace striate::kernels::simd {

/// What happens to each output before it is stored.
struct Finish {
  const float* bias = nullptr;      // [K], may be null
  const float* residual = nullptr;  // lies like the output, may be null
  const float* gated = nullptr;     // relu's y, lies so too: keep a sum where it is above 0
  Activation activation = Activation::kNone;
  float slope = 0;                  // of leaky_relu
  float (*curve)(float) = nullptr;  // of sigmoid and tanh, one number at a time
};

/// A 3x3 convolution of stride 1 in Winograd's form, and how it is divided. Backward to the input
/// is the same on dy with `flipped` filters: rotated by 180 degrees, input and output channels
/// swapped.
struct WinogradPlan {
  int64_t n, in_h, in_w, in_c, out_h, out_w, out_c, top, left;
  bool flipped = false;
  bool bias = false;    // backward_weight: sum dy too
  bool packed = false;  // forward: the filters come transformed, as pack() makes them
  int workers = 1;      // at most so many run at once
  // Set by plan():
  int64_t chunk = 0;        // tiles transformed and multiplied together
  int64_t parts = 0;        // backward_weight: partial sums over chunks, 0: none
  bool by_filters = false;  // forward: all tiles first, then filters in groups
  int64_t workspace = 0;    // bytes
  int64_t filters = 0;      // forward: bytes of all transformed filters
};

struct WinogradKernels {
  void (*plan_forward)(WinogradPlan&);
  void (*pack)(const WinogradPlan&, const float* w, float* packed);
  void (*forward)(const WinogradPlan&, const float* x, const float* w, const Finish&, float* y,
                  float* workspace);
  void (*plan_backward_weight)(WinogradPlan&);
  void (*backward_weight)(const WinogradPlan&, const float* x, const float* dy, float* dw,
                          float* db, float* workspace);
};

/// A convolution of any window and stride, summed by its definition.
struct DirectPlan {
  int64_t n, in_h, in_w, in_c, out_h, out_w, out_c, window_h, window_w, stride_h, stride_w,
      dilation_h, dilation_w, top, left;
  bool bias = false;     // backward_weight: sum dy too
  bool flipped = false;  // depthwise: rotate the filters by 180 degrees
  int workers = 1;
  // Set by plan():
  int64_t parts = 1;      // backward_weight: partial sums over images
  int64_t images = 0;     // backward_weight of small images: packed together
  int64_t workspace = 0;  // bytes
};

struct DirectKernels {
  void (*plan_forward)(DirectPlan&);
  void (*forward)(const DirectPlan&, const float* x, const float* w, const Finish&, float* y,
                  float* workspace);
  void (*plan_backward_weight)(DirectPlan&);
  void (*backward_weight)(const DirectPlan&, const float* x, const float* dy, float* dw, float* db,
                          float* workspace);
};

/// One direction, height or width, of a convolution: output places `first + i * step`, i < count,
/// are sums over taps t < taps of input places `i * in_step + offset + t * offset_step`, as far as
/// they lie in [0, in_size), times the filter's place `index + t * index_step`. A gradient to the
/// input has one such axis for each phase of its stride.
struct ConvAxis {
  int64_t first = 0, step = 1, count = 0, out_size = 0;
  int64_t in_size = 0, in_step = 1, offset = 0, offset_step = 1;
  int64_t taps = 0, index = 0, index_step = 1, window = 0;
};

/// A convolution of any window and stride on blocks of channels, or one phase of its gradient to
/// the input.
struct BlocksPlan {
  int64_t n = 0;  // images
  ConvAxis h, w;
  int64_t in_c = 0, out_c = 0;
  bool transposed = false;  // filters in blocks [in_c][out_c][R][S], else [out_c][in_c][R][S]
  int workers = 1;
  // Set by plan():
  int64_t images = 0;     // whose pixels are the rows of one product
  int64_t workspace = 0;  // bytes
};

struct BlocksKernels {
  void (*plan)(BlocksPlan&);
  void (*run)(const BlocksPlan&, const float* x, const float* w, const Finish&, float* y,
              float* workspace);
};

struct ConvKernels {
  int lanes = 0;
  const char* instruction_set = "";
  WinogradKernels winograd_4x4, winograd_2x2;
  BlocksKernels blocks;
  DirectKernels direct;        // backward_weight only
  DirectKernels few_channels;  // x dense, [N, H, W, C]; filters in Abcd8a or Abcd16a
};

/// One filter for each channel; in_c is out_c. Filters lie in Abcd8a or Abcd16a.
struct DepthwiseKernels {
  int lanes = 0;
  const char* instruction_set = "";
  void (*plan_forward)(DirectPlan&);
  /// Forward, or with `flipped` backward to the input for stride 1.
  void (*forward)(const DirectPlan&, const float* x, const float* w, const Finish&, float* y,
                  float* workspace);
  void (*backward_input)(const DirectPlan&, const float* dy, const float* w, float* dx);
  void (*plan_backward_weight)(DirectPlan&);
  void (*backward_weight)(const DirectPlan&, const float* x, const float* dy, float* dw, float* db,
                          float* workspace);
};

/// Return the table of the instruction set in use whose blocks suit the numbers of channels; null
/// where there is none.
const ConvKernels* conv_kernels(int64_t input_channels, int64_t output_channels);
const DepthwiseKernels* depthwise_kernels(int64_t channels);

#if defined(__x86_64__)
extern const ConvKernels kConvAvx2, kConvAvx512;
extern const DepthwiseKernels kDepthwiseAvx2, kDepthwiseAvx512;
#endif

}  // namespace striate::kernels::simd
