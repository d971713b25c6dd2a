// The choice of tile and slices for products of matrices on CUDA devices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace striate::kernels {

/// The tiles that are compiled, as sums of a block: 128 x 128, 128 x 64, 64 x 32 on CUDA cores, and
/// on tensor cores 128 x 128 and 64 x 64.
enum class GemmTile { kLarge, kMedium, kSmall, kTensorLarge, kTensorSmall };

/// One product, or `batch` of them side by side.
struct GemmSize {
  int64_t rows = 0, columns = 0, depth = 0, batch = 1;
  int64_t outputs = 0;  // elements of one slice in the workspace
};

/// Tiles that may be chosen, and whether the sums must go through the workspace in any case.
struct GemmChoice {
  bool large = true, medium = true, small = true, tensor = false;
  bool through_workspace = false;
  bool last_may_add = false;  // the last block of a tile, instead of a second pass
  int depth_step = 8;
};

/// The depth is cut into slices, each summed by blocks of its own into the workspace; the last
/// block of each tile or a second pass adds them in their order.
struct GemmPlan {
  GemmTile tile = GemmTile::kSmall;
  int64_t row_tiles = 0, column_tiles = 0, blocks = 0;  // blocks: of all batches, for one slice
  int64_t slices = 1, slice_depth = 0;
  size_t workspace = 0;  // bytes; 0: the sums are final
  bool last_adds = false;

  bool has_second_pass() const { return workspace > 0 && !last_adds; }
  std::string to_string() const;
};

/// Return the plan with the least estimated time on a device of 108 multiprocessors. Where a
/// product is large and tiles and slices can fill the device, only plans that do so count.
GemmPlan plan_gemm(const GemmSize& size, const GemmChoice& choice);

}  // namespace striate::kernels
