#include <striate/kernels/batch_norm_chunks.h>

#include <algorithm>

namespace striate::kernels {
namespace {
constexpr int64_t kRows = 256;  // folded rows of a chunk: 64 KiB, to be read twice from the cache
}

BatchNormChunks::BatchNormChunks(const Shape& x, const Layout& layout)
    : channels(x[-1]), rows(x.product(0, x.rank() - 1)) {
  if (layout.is_dense()) {
    group_lanes = std::clamp<int64_t>(channels, 1, kBatchNormWidth);
    groups = (channels + group_lanes - 1) / group_lanes;
    fold = groups > 1 ? 1 : kBatchNormWidth / group_lanes;
    segment_rows = rows;
    segment_step_ = 0;
    group_step_ = group_lanes;
    row_step_ = channels;
  } else {
    const Lanes lanes(layout, channels);
    group_lanes = lanes.lanes;
    groups = lanes.blocks;
    fold = kBatchNormWidth / group_lanes;
    segments_ = x[0];
    segment_rows = x[1] * x[2];
    group_step_ = segment_rows * group_lanes;
    segment_step_ = groups * group_step_;
    row_step_ = group_lanes;
  }
  width = fold * group_lanes;
  stride = row_step_ * fold;
  most_ = kRows * fold;
  if (rows == 0) return;
  together_ = std::max<int64_t>(1, most_ / segment_rows);
  parts_ = (segment_rows + most_ - 1) / most_;
  count = (segments_ + together_ - 1) / together_ * groups * parts_;
}

Layout batch_norm_layout(const ValueDesc& x) {
  const Layout layout = lanes_layout(x);
  return layout.is_dense() || layout.block(0).size <= kBatchNormWidth ? layout : Layout();
}

Entry batch_norm_entry(const char* operation, Prepared (*prepare)(const Problem&)) {
  Entry entry;
  entry.operation = operation;
  entry.name = "direct";
  entry.declines = [](const Problem& problem) {
    const DType dtype = problem.inputs[0].dtype;
    return dtype == DType::kF32 ? "" : std::string("takes float32, got ") + name_of(dtype);
  };
  entry.prepare = prepare;
  entry.efficiency = [](const Problem&) { return 0.5; };
  return entry;
}

}  // namespace striate::kernels
