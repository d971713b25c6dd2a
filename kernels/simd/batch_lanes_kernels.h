// What the entries `batch_lanes` know of the kernels that are compiled for one instruction set.
//
// Images lie with `lanes` of them side by side, Abcd8a or Abcd16a: [N / lanes][H][W][C][lanes]. The
// lanes of the last group that hold no image are zero. Filters are dense.
#pragma once

#include <striate/kernels/simd/conv_kernels.h>

namespace striate::kernels::simd {

struct LanesPlan {
  int64_t groups = 0;  // of images
  int64_t last = 0;    // images of the last group
  ConvAxis h, w;
  int64_t in_c = 0, out_c = 0;
  bool transposed = false;  // filters [in_c][R][S][out_c], else [out_c][R][S][in_c]
  bool bias = false;        // backward_weight: sum dy too
  int workers = 1;
  // Set by plan():
  int64_t parts = 1;      // backward_weight: sums over parts of the rows
  int64_t workspace = 0;  // bytes
};

struct BatchLanesKernels {
  int lanes = 0;
  const char* instruction_set = "";
  void (*plan_convolve)(LanesPlan&);
  /// Forward, or one phase of backward to the input.
  void (*convolve)(const LanesPlan&, const float* x, const float* w, const Finish&, float* y,
                   float* workspace);
  void (*plan_backward_weight)(LanesPlan&);
  void (*backward_weight)(const LanesPlan&, const float* x, const float* dy, float* dw, float* db,
                          float* workspace);
};

/// Return the table of the instruction set in use whose groups suit the number of images; null
/// where there is none.
const BatchLanesKernels* batch_lanes_kernels(int64_t images);

#if defined(__x86_64__)
extern const BatchLanesKernels kBatchLanesAvx2, kBatchLanesAvx512;
#endif

}  // namespace striate::kernels::simd
