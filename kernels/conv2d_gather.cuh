// The operands of a convolution as matrices, gathered on the way to shared memory (implicit GEMM).
//
// Rows are positions of a window's origin, the depth runs over taps and channels, c innermost. A
// position inside (r, s, c) moves on by the tile's depth without division: the host's or the
// block's quotients are added with carries. What lies outside the picture is zero and never read.
#pragma once

#include <cstdint>
#include <striate/kernels/gemm_tile.cuh>
#include <striate/kernels/ptx.cuh>

namespace striate::cuda {

/// The sizes of the two inner digits of a sequence, and a step split into digits.
struct Digits {
  int middle_size = 1, inner_size = 1;
  int outer_step = 0, middle_step = 0, inner_step = 0;

  Digits() = default;
  __host__ __device__ Digits(int step, int middles, int inners)
      : middle_size(middles),
        inner_size(inners),
        outer_step(step / inners / middles),
        middle_step(step / inners % middles),
        inner_step(step % inners) {}
};

/// A place (outer, middle, inner) in such a sequence, inner fastest.
struct Place {
  int outer, middle, inner;

  __device__ Place(int64_t place, const Digits& d) {
    if (place <= INT32_MAX) {  // 32-bit division is several times quicker
      const int small = static_cast<int>(place), rest = small / d.inner_size;
      inner = small % d.inner_size;
      outer = rest / d.middle_size;
      middle = rest % d.middle_size;
    } else {
      const int64_t rest = place / d.inner_size;
      inner = static_cast<int>(place % d.inner_size);
      outer = static_cast<int>(rest / d.middle_size);
      middle = static_cast<int>(rest % d.middle_size);
    }
  }

  __device__ void advance(const Digits& d) {
    inner += d.inner_step;
    middle += d.middle_step;
    outer += d.outer_step;
    carry(inner, d.inner_size, d.inner_size, middle, 1);
    carry(middle, d.middle_size, d.middle_size, outer, 1);
  }
};

/// The positions (row, column) of a window over a picture, and its place at the first of them.
struct Positions {
  int rows, columns;
  int off_h, off_w;
};

/// Pictures [N, height, width, ...] seen through a window:
///   h = row * mul_h + off_h + r * step_h      the same for columns
struct Gather {
  int height, width;
  int64_t image_pitch;          // elements
  int row_pitch, column_pitch;  // a picture has fewer than 2^31
  int mul_h, mul_w, step_h, step_w;
};

/// Steps through the positions, as a pixel under a tap moves: by rows and columns, by the elements
/// of whole pictures, and by a distance, to which something comes at the end of a row of positions
/// and of a picture. Parts of the distance may wrap around 32 bits, the sum does not.
struct Walk {
  int rows = 0, columns = 0;
  int row_span = 0, column_span = 0;  // of all positions of a picture
  int distance = 0, next_row = 0, next_picture = 0;
  int64_t pictures = 0;

  Walk() = default;
  Walk(const Gather& g, const Digits& d)
      : rows(d.middle_step * g.mul_h),
        columns(d.inner_step * g.mul_w),
        row_span(d.middle_size * g.mul_h),
        column_span(d.inner_size * g.mul_w),
        pictures(d.outer_step * g.image_pitch) {
    const auto elements = [&](int64_t down, int64_t across) {
      return down * g.row_pitch + across * g.column_pitch;
    };
    distance = static_cast<int>(elements(rows, columns));
    next_row = static_cast<int>(elements(g.mul_h, -column_span));
    next_picture = static_cast<int>(g.image_pitch - elements(row_span, 0));
  }
};

inline constexpr int kFarOutside = -(1 << 29);

/// Rows of a tile: the pixels under the taps at consecutive positions.
template <class T, class Tile, bool vectors>
struct GatherRows : RowStage<T, Tile, Tile::kRows, vectors> {
  using Stage = RowStage<T, Tile, Tile::kRows, vectors>;
  const Gather& g;
  const Digits& digits;  // of the depth: tap row, tap column, channel
  const T* origin[Stage::kLoads];
  int h0[Stage::kLoads], w0[Stage::kLoads];
  Place tap;
  int depth_left;

  /// `first`: the tile's first position, of `count`; `depth_end`: past the last depth to add.
  __device__ GatherRows(const Gather& gather, const Digits& depth_digits, const Positions& seen,
                        const T* data, int64_t first, int64_t count, int depth_begin, int depth_end)
      : g(gather),
        digits(depth_digits),
        tap(depth_begin + (Tile::kWholeSteps ? 0 : Stage::depth()), depth_digits),
        depth_left(depth_end - depth_begin - Stage::depth()) {
    if (Tile::kWholeSteps) data += Stage::depth();
    const int per_image = seen.rows * seen.columns;
    const int64_t first_image =
        first <= INT32_MAX ? static_cast<int>(first) / per_image : first / per_image;
    const int within = static_cast<int>(first - first_image * per_image);
#pragma unroll
    for (int i = 0; i < Stage::kLoads; ++i) {
      const int place = within + Stage::row(i);
      const int row = place / seen.columns;
      h0[i] = row % seen.rows * g.mul_h + seen.off_h;
      w0[i] = place % seen.columns * g.mul_w + seen.off_w;
      origin[i] = data + (first_image + row / seen.rows) * g.image_pitch +
                  (h0[i] * g.row_pitch + w0[i] * g.column_pitch);
      if (!Stage::is_inside(i) || first + Stage::row(i) >= count) h0[i] = kFarOutside;
    }
  }

  __device__ void load() {
    const int r = tap.outer * g.step_h, s = tap.middle * g.step_w;
    const int offset = r * g.row_pitch + s * g.column_pitch + tap.inner;
#pragma unroll
    for (int i = 0; i < Stage::kLoads; ++i)
      this->held[i] = fetch<T, Stage::kWidth>(
          moved(origin[i], offset),
          (Tile::kWholeSteps || depth_left > 0) &
              (static_cast<unsigned>(h0[i] + r) < static_cast<unsigned>(g.height)) &
              (static_cast<unsigned>(w0[i] + s) < static_cast<unsigned>(g.width)));
    tap.advance(digits);
    depth_left -= Tile::kDepth;
  }
};

/// The filters of backward_input, [k, r, s, c]: depth (r, s, k), columns c, elements to the next of
/// each. All filters of a group have fewer than 2^31 elements.
struct FilterPitch {
  int filter, row, column;
};

/// Both operands go through the depth together, so these taps are the left one's: lanes hand them
/// round, but for the largest tile, where all threads are under the same one. They load first.
template <class T, class Tile, bool vectors>
struct FilterColumns : ColumnStage<T, Tile, Tile::kColumns, vectors> {
  using Stage = ColumnStage<T, Tile, Tile::kColumns, vectors>;
  static_assert(!Tile::kWholeSteps || Stage::kLoads == 1, "all loads are under one tap then");
  const FilterPitch& pitch;
  const Place& tap;  // of the left operand: tap row, tap column, filter
  const T* from;
  int depth_left;
  bool valid;

  /// `data`: of the first tap and filter at the tile's first column, of which `left` remain.
  __device__ FilterColumns(const FilterPitch& elements, const Place& left_tap, const T* data,
                           int left, int depth)
      : pitch(elements),
        tap(left_tap),
        from(data + Stage::column()),
        depth_left(depth - Stage::depth(0)),
        valid(Stage::column() < left && Stage::is_inside(0)) {
    if (Tile::kWholeSteps) from += Stage::depth(0) * pitch.filter;
  }

  __device__ void load() {
    const int mine = tap.inner * pitch.filter + tap.outer * pitch.row + tap.middle * pitch.column;
#pragma unroll
    for (int i = 0; i < Stage::kLoads; ++i) {
      int offset = mine;
      if constexpr (!Tile::kWholeSteps) {
        const int depth = Stage::depth(i);
        offset =
            __shfl_sync(~0U, mine, depth / Stage::kWidth) + depth % Stage::kWidth * pitch.filter;
      }
      this->held[i] = fetch<T, Stage::kWidth>(
          moved(from, offset), valid & (Tile::kWholeSteps || depth_left > i * Stage::kPass));
    }
    depth_left -= Tile::kDepth;
  }
};

/// The pixels of backward_weight: depth is the position (n, p, q), columns are (r, s, c). The
/// column after the last one holds ones, so that its sums are the bias' gradient.
template <class T, class Tile, bool vectors>
struct GatherColumns : ColumnStage<T, Tile, Tile::kColumns, vectors> {
  using Stage = ColumnStage<T, Tile, Tile::kColumns, vectors>;
  const Gather& g;
  const Walk& walk;
  const T* from;
  int h, w, h_end, w_end, depth_left;  // h, w: of the pixel under the tap
  T outside;                           // what lies outside the picture: 1 in the column of ones

  /// `taps`: tap rows, tap columns, channels; `column`: the tile's first; `depth_begin`: the first
  /// position to add, of `depth`; `digits`: of the positions.
  __device__ GatherColumns(const Gather& gather, const Walk& steps, const Digits& digits,
                           const Positions& seen, const T* data, int3 taps, int column,
                           int64_t depth_begin, int depth)
      : g(gather), walk(steps), depth_left(Stage::is_inside(0) ? depth - Stage::depth(0) : 0) {
    const int at = column + Stage::column(), channel = at % taps.z, tap = at / taps.z;
    const int r = tap / taps.y, s = tap % taps.y;
    const Place position(depth_begin + Stage::depth(0), digits);
    const int h0 = seen.off_h + r * g.step_h, w0 = seen.off_w + s * g.step_w;
    h = h0 + position.middle * g.mul_h, w = w0 + position.inner * g.mul_w;
    from = data + (position.outer * g.image_pitch + h * g.row_pitch + w * g.column_pitch + channel);
    if (r >= taps.x) h += kFarOutside - h0;
    h_end = (r >= taps.x ? kFarOutside : h0) + walk.row_span, w_end = w0 + walk.column_span;
    outside = from_float<T>(r == taps.x && s == 0 && channel == 0 ? 1 : 0);
  }

  __device__ void load() {
#pragma unroll
    for (int i = 0; i < Stage::kLoads; ++i) {
      auto& held = this->held[i];
      held = {};
      held.at[0] = outside;
      if ((depth_left > i * Stage::kPass) &
          (static_cast<unsigned>(h) < static_cast<unsigned>(g.height)) &
          (static_cast<unsigned>(w) < static_cast<unsigned>(g.width)))
        held = *reinterpret_cast<const Elements<T, Stage::kWidth>*>(from);
      int distance = walk.distance;
      h += walk.rows, w += walk.columns;
      carry(w, w_end, walk.column_span, h, g.mul_h, distance, walk.next_row);
      carry(h, h_end, walk.row_span, distance, walk.next_picture);
      from = moved(from, distance) + walk.pictures;
    }
    depth_left -= Tile::kDepth;
  }
};

}  // namespace striate::cuda
