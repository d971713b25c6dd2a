// Optimizer steps over all weights in one call, and the norm of all gradients.
//
//   sgd   step_block, [clip_scale f32[1]], w..., g...[, v...]       -> w...[, v...]
//   adam  step_block, [clip_scale f32[1]], w..., g..., m..., v...   -> w..., m..., v...
//   squared_norm  g... -> f32[1]           sum of all squares, in a fixed order
//   clip_scale    squared_norm -> f32[1]   min(1, norm / sqrt(squared_norm))
//
// With lr = StepBlock::learning_rate[index], t = StepBlock::step + 1 and g times clip_scale:
//   sgd:  w -= lr * weight_decay * w;  v = momentum * v - lr * g;  w += v
//         nesterov: w += momentum * v - lr * g with the new v;  no momentum: w -= lr * g
//   adam (Kingma and Ba 2015, the form of Keras; its epsilon stands beside the uncorrected root):
//         w -= lr * weight_decay * w;  m += (1 - beta_1)(g - m);  v += (1 - beta_2)(g^2 - v)
//         w -= lr * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)
// So weight decay is decoupled from the gradient in both (Loshchilov and Hutter 2019), as in Keras.
// Outputs lie in the memory of their inputs. All values of one weight have its layout, and are
// updated over the stored elements: padding is zero and stays zero.
#pragma once

#include <striate/kernels/impl.h>

namespace striate {

struct SgdOptions {
  int tensors = 0;      // weights in one call
  int index = 0;        // of the learning rate in the step block
  double momentum = 0;  // above 0: values v are there
  bool nesterov = false;
  double weight_decay = 0;
};

struct AdamOptions {
  int tensors = 0;
  int index = 0;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  double weight_decay = 0;
};

struct ClipOptions {
  double norm = 1;
};

}  // namespace striate
