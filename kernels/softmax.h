// Softmax over the last axis and its logarithm.
//
//   softmax               x[..., C] -> y   y = exp(x - m) / sum(exp(x - m)), m the row's largest
//   log_softmax           x[..., C] -> y   y = x - m - log(sum(exp(x - m)))
//   softmax_backward      dy, y -> dx      dx = y * (dy - sum(dy * y))
//   log_softmax_backward  dy, y -> dx      dx = dy - exp(y) * sum(dy)
#pragma once

#include <striate/kernels/impl.h>
