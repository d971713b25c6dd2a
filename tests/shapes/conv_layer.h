// One convolution of a named network, for tests and benchmarks.
#pragma once

#include <cstdint>

namespace striate::shapes {

struct ConvLayer {
  const char* name;
  int64_t height, width, channels;  // of the input
  int64_t filters, window, stride;
  int64_t padding;  // on all four sides
  int64_t groups = 1;
  int64_t times = 1;  // how often the network has it
};

}  // namespace striate::shapes
