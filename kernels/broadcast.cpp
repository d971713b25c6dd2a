#include <striate/kernels/broadcast.h>

namespace striate::kernels {

Broadcast::Broadcast(const Shape& output, const std::vector<Shape>& inputs)
    : elements_(output.elements()) {
  int64_t next[kMaxInputs] = {1, 1, 1};  // elements of each input below the present dimension
  bool any = false;
  for (int d = output.rank() - 1; d >= 0; --d) {
    if (output[d] == 1) continue;
    int64_t stride[kMaxInputs] = {};
    for (size_t i = 0; i < inputs.size(); ++i) {
      const int at = d - (output.rank() - inputs[i].rank());
      if (at < 0 || inputs[i][at] == 1) continue;
      stride[i] = next[i];
      next[i] *= inputs[i][at];
    }
    const int last = rank_ - 1;
    bool merges = any;
    for (int i = 0; i < kMaxInputs; ++i)
      merges = merges && stride[i] == stride_[last][i] * size_[last];
    if (merges) {
      size_[last] *= output[d];
      continue;
    }
    if (any) ++rank_;
    any = true;
    size_[rank_ - 1] = output[d];
    std::copy(stride, stride + kMaxInputs, stride_[rank_ - 1]);
  }
}

}  // namespace striate::kernels
