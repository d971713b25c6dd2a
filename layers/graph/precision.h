// Mixed precision: the graph of a model with its products, and what follows them, in 16 bits.
#pragma once

#include <striate/layers/graph/graph.h>

#include <vector>

namespace striate {

/// While one lives that allows it, operations take float16 and bfloat16 on this thread: kernels of
/// a device compute with them, those of the CPU do not.
class Allow16Bits {
 public:
  explicit Allow16Bits(bool allowed);
  ~Allow16Bits();
  Allow16Bits(const Allow16Bits&) = delete;
  Allow16Bits& operator=(const Allow16Bits&) = delete;
  static bool is_allowed();

 private:
  bool before_;
};

/// Return the values of a graph of its own in which products take and make `products`, and so do
/// the operations after them. Weights stay float32 and are converted where they are used;
/// statistics, softmax, sums and the values returned are float32 (Micikevicius et al. 2018, "Mixed
/// Precision Training").
std::vector<Value> with_products_in(const std::vector<Value>& outputs, DType products);

}  // namespace striate
