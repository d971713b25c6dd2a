// What the CPU's pooling loops share: the image as rows of lanes, and rows shared out to threads.
#pragma once

#include <striate/core/parallel.h>
#include <striate/kernels/image_lanes.h>
#include <striate/kernels/lane_tiles.h>
#include <striate/kernels/pool2d.h>

#include <algorithm>
#include <string>
#include <vector>

namespace striate::kernels {

/// Return the layout of images as pooling can keep it: channels or images in blocks, else dense.
inline Layout pool_layout(const ValueDesc& image) {
  const bool kept = image.shape.rank() == 4 && has_image_groups(image.layout);
  return kept ? image.layout : lanes_layout(image);
}

/// One pooling as loops over [outer][height][width][lanes]. Of images in groups, the lanes are
/// those of all channels.
struct PoolView {
  PoolAxis h, w;
  int64_t outer, lanes;
  int64_t blocks, run, used;  // the last of `blocks` uses `used` of each `run` lanes

  PoolView(const Pool2dShape& s, const Layout& layout) : h(s.h), w(s.w) {
    if (has_image_groups(layout)) {
      run = layout.block(0).size;
      outer = blocks = (s.N + run - 1) / run;
      lanes = s.C * run;
      used = s.N - (outer - 1) * run;
      return;
    }
    const Lanes l(layout, s.C);
    outer = s.N * l.blocks;
    lanes = run = l.lanes;
    blocks = l.blocks;
    used = l.used(blocks - 1);
  }
  int64_t input_row() const { return w.size * lanes; }
  int64_t output_row() const { return w.out * lanes; }
};

/// Return the factors [P, Q] of a mean.
inline std::vector<float> pool2d_shares(const Pool2dShape& s) {
  std::vector<float> shares;
  for (int64_t p = 0; p < s.h.out; ++p)
    for (int64_t q = 0; q < s.w.out; ++q) shares.push_back(static_cast<float>(s.share(p, q)));
  return shares;
}

/// Run `Loop` over ranges of `rows` rows, of which a thread takes at least 64 KiB.
template <class Loop, class... A>
void over_rows(int64_t rows, int64_t floats_per_row, A... arguments) {
  const int64_t grain = 1 + (int64_t{1} << 14) / std::max<int64_t>(floats_per_row, 1);
  parallel_ranges(rows, grain,
                  [&](int64_t begin, int64_t end) { on_widest<Loop>(arguments..., begin, end); });
}

/// Make an entry `direct` that takes float32.
inline Entry direct_entry(const char* operation, std::function<Prepared(const Problem&)> prepare) {
  Entry entry;
  entry.operation = operation;
  entry.name = "direct";
  entry.declines = [](const Problem& problem) {
    const DType dtype = problem.inputs[0].dtype;
    return dtype == DType::kF32 ? "" : std::string("takes float32, got ") + name_of(dtype);
  };
  entry.prepare = std::move(prepare);
  entry.efficiency = [](const Problem&) { return 0.5; };
  return entry;
}

template <class T>
const T* input(const Arguments& a, size_t i) {
  return static_cast<const T*>(a.inputs[i]);
}
template <class T>
T* output(const Arguments& a, size_t i) {
  return static_cast<T*>(a.outputs[i]);
}

}  // namespace striate::kernels
