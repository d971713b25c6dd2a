// Dropout (Srivastava et al. 2014): each element is dropped with probability `rate`.
//
//   y[n,i] = uniform(n,i) >= rate ? x[n,i] / (1 - rate) : 0
//
// Operations and their values:
//   dropout           x, step_block -> y
//   dropout_backward  dy, step_block -> dx      (the same mask, computed again)
// `step_block` is the u8 [sizeof(StepBlock)] of core/step.h. The first axis counts samples; element
// i of global sample first_sample + n uses word i % 4 of group i / 4 of the stream of
// (seed, hash of the path + "/dropout", step), i in dense order whatever the layout.
#pragma once

#include <striate/kernels/impl.h>

namespace striate {

struct DropoutOptions {
  double rate = 0.5;
};

}  // namespace striate
