// The optimizer's step fused with the gradient of large dense weights.
#pragma once

#include <striate/layers/graph/lower.h>

namespace striate {

/// Give each large dense weight, whose gradient only the optimizer reads, a node that makes the
/// gradient and uses it up: dense_sgd or dense_adam. Not those whose gradients are clipped; nor
/// where they are summed over shards or looked at for NaN: for such programs nobody calls this.
void fuse_updates(LoweredGraph& graph, Device device);

}  // namespace striate
