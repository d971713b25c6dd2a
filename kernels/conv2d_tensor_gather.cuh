// The operands of a convolution, gathered in chunks of 16 bytes for tensor cores: as in
// conv2d_gather.cuh, by asynchronous copies that write zeros for what lies outside the picture.
//
// `whole`: the channels of a tap are a multiple of a step's depth, so all threads are under one tap
// and no step looks at the end of the depth.
#pragma once

#include <striate/kernels/conv2d_gather.cuh>
#include <striate/kernels/tensor_tile.cuh>

namespace striate::cuda {

/// The bits of 1 in a type.
template <class T>
__device__ constexpr uint32_t bits_of_one() {
  return std::is_same_v<T, float> ? 0x3F800000 : std::is_same_v<T, __half> ? 0x3C00 : 0x3F80;
}

/// Rows of a tile: the pixels under the taps at consecutive positions.
template <class T, class Tile, bool whole>
struct TensorGatherRows : DepthInside<Tile, Tile::kRows> {
  using Shared = DepthInside<Tile, Tile::kRows>;
  const Gather& g;
  const Digits& digits;
  const T* origin[Shared::kLoads];
  int h0[Shared::kLoads], w0[Shared::kLoads];
  Place tap;
  int depth_left;

  __device__ TensorGatherRows(const Gather& gather, const Digits& depth_digits,
                              const Positions& seen, const T* data, int64_t first, int64_t count,
                              int depth_begin, int depth_end)
      : g(gather),
        digits(depth_digits),
        tap(depth_begin + (whole ? 0 : Shared::depth()), depth_digits),
        depth_left(depth_end - depth_begin - Shared::depth()) {
    if (whole) data += Shared::depth();
    const int per_image = seen.rows * seen.columns;
    const int64_t first_image =
        first <= INT32_MAX ? static_cast<int>(first) / per_image : first / per_image;
    const int within = static_cast<int>(first - first_image * per_image);
#pragma unroll
    for (int i = 0; i < Shared::kLoads; ++i) {
      const int place = within + Shared::row(i);
      const int row = place / seen.columns;
      h0[i] = row % seen.rows * g.mul_h + seen.off_h;
      w0[i] = place % seen.columns * g.mul_w + seen.off_w;
      origin[i] = data + (first_image + row / seen.rows) * g.image_pitch +
                  (h0[i] * g.row_pitch + w0[i] * g.column_pitch);
      if (first + Shared::row(i) >= count) h0[i] = kFarOutside;
    }
  }

  __device__ void load(uint32_t shared) {
    const int r = tap.outer * g.step_h, s = tap.middle * g.step_w;
    const int offset = r * g.row_pitch + s * g.column_pitch + tap.inner;
#pragma unroll
    for (int i = 0; i < Shared::kLoads; ++i)
      copy_16_async(shared + Shared::to(i), origin[i] + offset,
                    (whole || depth_left > 0) &&
                        static_cast<unsigned>(h0[i] + r) < static_cast<unsigned>(g.height) &&
                        static_cast<unsigned>(w0[i] + s) < static_cast<unsigned>(g.width));
    tap.advance(digits);
    depth_left -= Tile::kDepth;
  }
};

/// The filters of backward_input, [k, r, s, c]: depth (r, s, k), columns c.
template <class T, class Tile, bool whole>
struct TensorFilterColumns : DepthOutside<Tile, Tile::kColumns> {
  using Shared = DepthOutside<Tile, Tile::kColumns>;
  /// From one load to the next of a thread.
  static constexpr int kStep = whole ? Tile::kDepth : Shared::kPass;
  const FilterPitch& pitch;
  const Digits& digits;
  const T* from;
  Place place;
  int depth_left;
  bool valid;

  __device__ TensorFilterColumns(const FilterPitch& elements, const Digits& depth_digits,
                                 const T* data, int left, int depth_begin, int depth_end)
      : pitch(elements),
        digits(depth_digits),
        from(data + Shared::column()),
        place(depth_begin + (whole ? 0 : Shared::depth(0)), depth_digits),
        depth_left(depth_end - depth_begin - Shared::depth(0)),
        valid(Shared::column() < left) {
    if (whole) from += Shared::depth(0) * pitch.filter;
  }

  __device__ int offset() const {
    return place.inner * pitch.filter + place.outer * pitch.row + place.middle * pitch.column;
  }

  __device__ void load(uint32_t shared) {
    if constexpr (whole) {
      const T* at = from + offset();
#pragma unroll
      for (int i = 0; i < Shared::kLoads; ++i)
        copy_16_async(shared + Shared::to(i), at + i * Shared::kPass * pitch.filter, valid);
      place.advance(digits);
    } else {
#pragma unroll
      for (int i = 0; i < Shared::kLoads; ++i) {
        copy_16_async(shared + Shared::to(i), from + offset(),
                      valid && depth_left > i * Shared::kPass);
        place.advance(digits);
      }
      depth_left -= Tile::kDepth;
    }
  }
};

/// The pixels of backward_weight: depth is the position (n, p, q), columns are (r, s, c). The
/// column behind the last one holds ones, for the bias' gradient.
template <class T, class Tile>
struct TensorGatherColumns : DepthOutside<Tile, Tile::kColumns> {
  using Shared = DepthOutside<Tile, Tile::kColumns>;
  const Gather& g;
  const Digits& digits;
  const T* from;
  Place position;
  int h0, w0, depth_left;
  bool ones;

  __device__ TensorGatherColumns(const Gather& gather, const Digits& depth_digits,
                                 const Positions& seen, const T* data, int3 taps, int column,
                                 int64_t depth_begin, int depth)
      : g(gather),
        digits(depth_digits),
        position(depth_begin + Shared::depth(0), depth_digits),
        depth_left(depth - Shared::depth(0)) {
    const int at = column + Shared::column(), channel = at % taps.z, tap = at / taps.z;
    const int r = tap / taps.y, s = tap % taps.y;
    h0 = seen.off_h + r * g.step_h;
    w0 = seen.off_w + s * g.step_w;
    from = data + (channel + h0 * g.row_pitch + w0 * g.column_pitch);
    ones = r == taps.x && s == 0 && channel == 0;
    if (r >= taps.x) h0 = kFarOutside;
  }

  /// Store the ones to all stages, where they stay: behind the end of the depth the other operand
  /// is zero.
  __device__ void store_ones(uint32_t shared) const {
    if (!ones) return;
#pragma unroll
    for (int stage = 0; stage < Tile::kStages; ++stage)
#pragma unroll
      for (int i = 0; i < Shared::kLoads; ++i)
        store_16(shared + stage * Tile::kStageBytes + Shared::to(i), bits_of_one<T>());
  }

  __device__ void load(uint32_t shared) {
#pragma unroll
    for (int i = 0; i < Shared::kLoads; ++i) {
      const int h = position.middle * g.mul_h, w = position.inner * g.mul_w;
      if (!ones)
        copy_16_async(
            shared + Shared::to(i),
            from + position.outer * g.image_pitch + (h * g.row_pitch + w * g.column_pitch),
            depth_left > i * Shared::kPass &&
                static_cast<unsigned>(h0 + h) < static_cast<unsigned>(g.height) &&
                static_cast<unsigned>(w0 + w) < static_cast<unsigned>(g.width));
      position.advance(digits);
    }
    depth_left -= Tile::kDepth;
  }
};

}  // namespace striate::cuda
