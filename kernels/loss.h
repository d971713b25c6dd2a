// Losses with their gradient in one pass, and the count of right answers.
//
//   sparse_categorical_crossentropy  logits[..., C], labels[...], step_block
//                                                              -> loss[], dlogits, [share[]]
//   categorical_crossentropy         logits[..., C], targets[..., C], step_block -> loss[], dlogits
//   binary_crossentropy              logits, targets of its shape, step_block  -> loss[], dlogits
//   mean_squared_error               y, targets of its shape, step_block       -> loss[], dy
//   top_k_correct                    logits[N, C], labels[N] -> correct[N]     1 or 0
//
// Axis 0 is the batch. A sample's loss is the mean over its rows (crossentropies over C) or over
// its elements (the others); loss = sum over samples / StepBlock::loss_divisor, of rank 0, and the
// second output is its gradient. A crossentropy from logits l with targets t is
//   sum(t) * log(sum(exp(l))) - sum(t * l)         stable: l less its largest
// and without from_logits the inputs are probabilities, clipped to [1e-7, 1 - 1e-7] (as Keras does;
// for the categorical losses they are not normalised again). label_smoothing s makes targets
// t * (1 - s) + s / C, of the binary loss t * (1 - s) + s / 2.
// A label outside [0, C) makes the loss and its row of the gradient NaN. `share`, where
// LossOptions::top_k asks for it, is the mean of top_k_correct.
#pragma once

#include <striate/kernels/impl.h>

namespace striate {

struct LossOptions {
  bool from_logits = true;
  double label_smoothing = 0;
  int top_k = 0;       // of the sparse loss: also make the share of right rows; 0: do not
  bool stops = false;  // set StepBlock::fault where the loss or the share is not finite
};

/// A row is right when fewer than k classes come before its label: those with a larger score, with
/// an equal one and a lower number, or with NaN. So k = 1 agrees with argmax. No label outside is
/// right.
struct TopKOptions {
  int k = 1;
};

}  // namespace striate
