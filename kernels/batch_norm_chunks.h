// How batch normalisation on the CPU walks over an image: groups of channels, chunks of their rows.
//
// A group is up to 64 channels: one block of a blocked layout, or a slice of dense channels. Its
// rows are cut into chunks that depend on the shape alone, each summed by one thread, and the
// chunks' sums are added in a fixed order: the result does not depend on the number of threads.
// Where a group has few channels, several rows that lie behind each other are taken as one row of
// up to 64 floats, `fold` rows wide; parameters are repeated accordingly.
#pragma once

#include <striate/core/parallel.h>
#include <striate/kernels/batch_norm.h>
#include <striate/kernels/image_lanes.h>
#include <striate/kernels/instruction_set.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>

namespace striate::kernels {

constexpr int64_t kBatchNormWidth = 64;  // floats of the widest folded row

/// Rows [row, row + rows) of `segments` segments from `segment` on, of channel group `group`.
struct BatchNormChunk {
  int64_t group, segment, segments, row, rows;
};

class BatchNormChunks {
 public:
  BatchNormChunks(const Shape& x, const Layout& layout);

  int64_t channels, rows;       // of the whole value: [rows, channels]
  int64_t groups, group_lanes;  // group g holds channels [g * group_lanes, (g + 1) * group_lanes)
  int64_t fold, width, stride;  // width = floats of a folded row, stride = from one to the next
  int64_t segment_rows;         // rows of one group that lie behind each other
  int64_t count = 0;            // of chunks

  /// Return chunk i; the chunks are not stored, so that a plan does not grow with the batch.
  BatchNormChunk chunk(int64_t i) const {
    const int64_t part = i % parts_, g = i / parts_ % groups, s = i / parts_ / groups * together_;
    return {g, s, std::min(together_, segments_ - s), part * most_,
            std::min(most_, segment_rows - part * most_)};
  }

  /// Return the first float of `chunk` in its segment `i`.
  int64_t offset(const BatchNormChunk& chunk, int64_t i) const {
    return (chunk.segment + i) * segment_step_ + chunk.group * group_step_ + chunk.row * row_step_;
  }
  /// Return the lanes of group g that hold channels, and those that are stored (with padding).
  int64_t used(int64_t g) const {
    const int64_t rest = channels - g * group_lanes;
    return rest < group_lanes ? rest : group_lanes;
  }
  int64_t stored(int64_t g) const { return stride == width ? group_lanes : used(g); }
  /// True when every folded row is kBatchNormWidth wide, but for what is left over of a segment.
  bool is_regular() const {
    return width == kBatchNormWidth && (stride == width || channels % group_lanes == 0);
  }
  /// Return the floats of one parameter array and of one array of sums (doubles) of all chunks.
  int64_t parameters() const { return groups * kBatchNormWidth; }
  int64_t sums() const { return count * kBatchNormWidth; }

  /// Set array[g][l] to value(channel), repeated over the folded rows; 0 where there is no channel.
  template <class Value>
  void fill(float* array, const Value& value) const {
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t l = 0; l < width; ++l) {
        const int64_t lane = l % group_lanes;
        array[g * kBatchNormWidth + l] =
            lane < used(g) ? static_cast<float>(value(g * group_lanes + lane)) : 0.0f;
      }
  }

 private:
  int64_t segments_ = 1, segment_step_, group_step_, row_step_;
  int64_t most_, together_ = 1, parts_ = 1;  // rows, segments of a chunk; chunks of a segment
};

/// Call `body(offset, floats, kRows)` for the folded rows of a chunk, kRows at a time (a type with
/// a constant `value` of 4 or 1) that lie c.stride floats apart. kWidth: the width, or 0 for any.
template <int64_t kWidth, class Body>
STRIATE_INLINE void for_each_row(const BatchNormChunks& c, const BatchNormChunk& chunk,
                                 const Body& body) {
  const int64_t whole = chunk.rows / c.fold, rest = chunk.rows % c.fold * c.group_lanes;
  // The last slice of dense channels may be narrower; slices are not folded.
  const int64_t width = kWidth ? kWidth : c.stride == c.width ? c.width : c.used(chunk.group);
  for (int64_t i = 0; i < chunk.segments; ++i) {
    int64_t at = c.offset(chunk, i), r = 0;
    for (; r + 4 <= whole; r += 4, at += 4 * c.stride)
      body(at, width, std::integral_constant<int, 4>());
    for (; r < whole; ++r, at += c.stride) body(at, width, std::integral_constant<int, 1>());
    if (rest) body(at, rest, std::integral_constant<int, 1>());
  }
}

/// Return the sum of value(k) over one or four rows k, as a tree.
template <class Rows, class Value>
STRIATE_INLINE float row_sum(Rows rows, const Value& value) {
  if constexpr (rows.value == 4)
    return (value(0) + value(1)) + (value(2) + value(3));
  else
    return value(0);
}

/// Run `Loop` (which has kWidth as its first template argument) over all chunks.
template <template <int64_t> class Loop, class... A>
void over_chunks(const BatchNormChunks& c, A... arguments) {
  parallel_ranges(c.count, 1, [&](int64_t begin, int64_t end) {
    if (c.is_regular())
      on_widest<Loop<kBatchNormWidth>>(&c, arguments..., begin, end);
    else
      on_widest<Loop<0>>(&c, arguments..., begin, end);
  });
}

/// Return the layout in which the entries here take `x`.
Layout batch_norm_layout(const ValueDesc& x);

/// Make an entry `direct` that takes float32.
Entry batch_norm_entry(const char* operation, Prepared (*prepare)(const Problem&));

}  // namespace striate::kernels
