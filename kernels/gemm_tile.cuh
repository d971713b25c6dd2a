// Products of matrices by tiles on CUDA cores: the main loop that convolution and matmul share.
//
//   sum[m,n] = sum over d of left[m,d] * right[d,n]
//
// A block computes a tile of kRows x kColumns sums in steps of kDepth. While the threads multiply
// one step from shared memory, the next one's elements are on their way to registers, and go to
// the other half of shared memory afterwards: one barrier for each step. Shared memory holds both
// operands with the depth outermost, so that a thread reads its kThreadRows + kThreadColumns
// numbers by 16 bytes and uses each of them kThreadColumns or kThreadRows times.
//
// A warp covers 4 x 8 threads. A thread's rows are groups of four 16 apart, its columns groups of
// four 32 apart: reads by a warp touch each bank once. Rows are padded by four floats, so that the
// transposed stores of row operands do so too.
//
// Method: the classic blocked product (e.g. Nath, Tomov, Dongarra 2010, "An improved MAGMA GEMM for
// Fermi GPUs"), here with operands that are gathered on the way (implicit GEMM).
#pragma once

#include <cstdint>
#include <striate/kernels/elements.cuh>

namespace striate::cuda {

template <int rows, int columns, int thread_rows, int thread_columns, int depth>
struct Tile {
  static constexpr int kRows = rows, kColumns = columns, kDepth = depth;
  static constexpr int kThreadRows = thread_rows, kThreadColumns = thread_columns;
  static constexpr int kWarpRows = 4 * thread_rows, kWarpColumns = 8 * thread_columns;
  static constexpr int kWarpsAcross = columns / kWarpColumns;
  /// The largest tile has no registers to spare. Operands whose rows lie along the depth then have
  /// whole steps, in every tap: no step looks at its end, and all threads are under the same tap.
  static constexpr bool kWholeSteps = columns == 128;
  static constexpr int kThreads = rows / kWarpRows * kWarpsAcross * 32;
  static constexpr int kLeftFloats = depth * (rows + 4), kRightFloats = depth * (columns + 4);
  static constexpr int kSharedFloats = 2 * (kLeftFloats + kRightFloats);

  /// The first row and column of this thread inside the tile.
  __device__ static int row() {
    return static_cast<int>(threadIdx.x) / 32 / kWarpsAcross * kWarpRows +
           static_cast<int>(threadIdx.x) % 32 / 8 * 4;
  }
  __device__ static int column() {
    return static_cast<int>(threadIdx.x) / 32 % kWarpsAcross * kWarpColumns +
           static_cast<int>(threadIdx.x) % 8 * 4;
  }
};

/// The elements of one load: one, or some side by side. No instruction takes more than 16 bytes.
template <class T, int width>
struct alignas(width * sizeof(T) < 16 ? width * sizeof(T) : 16) Elements {
  T at[width];
};

template <class T, int width>
__device__ Elements<T, width> fetch(const T* data, bool valid) {
  Elements<T, width> v = {};
  if (valid) v = *reinterpret_cast<const Elements<T, width>*>(data);
  return v;
}

/// What a thread carries of an operand whose rows lie along the depth, and where it goes.
template <class T, class Tile, int rows, bool vectors>
struct RowStage {
  static constexpr int kWidth = vectors ? 4 : 1;
  static constexpr int kAcross = Tile::kDepth / kWidth;   // loads that cover a row
  static constexpr int kPass = Tile::kThreads / kAcross;  // rows that all threads cover at once
  static constexpr int kLoads = (rows + kPass - 1) / kPass;
  Elements<T, kWidth> held[kLoads];

  __device__ static int row(int load) {
    return static_cast<int>(threadIdx.x) / kAcross + load * kPass;
  }
  __device__ static int depth() { return static_cast<int>(threadIdx.x) % kAcross * kWidth; }
  __device__ static bool is_inside(int load) { return rows % kPass == 0 || row(load) < rows; }

  __device__ void store(float* shared) const {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      if (!is_inside(i)) continue;
#pragma unroll
      for (int j = 0; j < kWidth; ++j)
        shared[(depth() + j) * (rows + 4) + row(i)] = to_float(held[i].at[j]);
    }
  }
};

/// The same for an operand whose rows lie across the depth: no transposition.
template <class T, class Tile, int columns, bool vectors>
struct ColumnStage {
  static constexpr int kWidth = vectors ? 4 : 1;
  static constexpr int kAcross = columns / kWidth;
  static constexpr int kPass = Tile::kThreads / kAcross;  // depths that all threads cover at once
  static constexpr int kLoads = (Tile::kDepth + kPass - 1) / kPass;
  static constexpr int kStep = kLoads > 1 ? kPass : Tile::kDepth;  // from one load to the next
  Elements<T, kWidth> held[kLoads];

  __device__ static int column() { return static_cast<int>(threadIdx.x) % kAcross * kWidth; }
  __device__ static int depth(int load) {
    return static_cast<int>(threadIdx.x) / kAcross + load * kPass;
  }
  __device__ static bool is_inside(int load) {
    return Tile::kDepth % kPass == 0 || depth(load) < Tile::kDepth;
  }

  __device__ void store(float* shared) const {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      if (!is_inside(i)) continue;
      float* to = shared + depth(i) * (columns + 4) + column();
      if constexpr (vectors)
        *reinterpret_cast<float4*>(to) =
            make_float4(to_float(held[i].at[0]), to_float(held[i].at[1]), to_float(held[i].at[2]),
                        to_float(held[i].at[3]));
      else
        *to = to_float(held[i].at[0]);
    }
  }
};

/// An operand whose rows lie along the depth as they are: [rows, depth] with a pitch.
template <class T, class Tile, int rows, bool vectors>
struct PlainRows : RowStage<T, Tile, rows, vectors> {
  using Stage = RowStage<T, Tile, rows, vectors>;
  const T* from;
  int64_t pitch;
  int rows_left, depth_left;

  /// `data`: the tile's first row at the first depth; what is left counts from there.
  __device__ PlainRows(const T* data, int64_t row_pitch, int64_t left, int depth)
      : from(data + Stage::row(0) * row_pitch + Stage::depth()),
        pitch(row_pitch),
        rows_left(static_cast<int>(left < rows ? left : rows)),
        depth_left(depth - Stage::depth()) {}

  __device__ void load() {
#pragma unroll
    for (int i = 0; i < Stage::kLoads; ++i)
      this->held[i] = fetch<T, Stage::kWidth>(
          from + i * Stage::kPass * pitch,
          (Tile::kWholeSteps || depth_left > 0) & (Stage::row(i) < rows_left));
    from += Tile::kDepth;
    depth_left -= Tile::kDepth;
  }
};

/// An operand whose rows lie across the depth as they are: [depth, columns] with a pitch.
template <class T, class Tile, int columns, bool vectors>
struct PlainColumns : ColumnStage<T, Tile, columns, vectors> {
  using Stage = ColumnStage<T, Tile, columns, vectors>;
  const T* from;
  int64_t pitch;
  int depth_left;
  bool valid;

  /// `data`: the tile's first column at the first depth; what is left counts from there.
  __device__ PlainColumns(const T* data, int64_t depth_pitch, int64_t left, int depth)
      : from(data + Stage::depth(0) * depth_pitch + Stage::column()),
        pitch(depth_pitch),
        depth_left(depth),
        valid(Stage::column() < left) {}

  __device__ void load() {
#pragma unroll
    for (int i = 0; i < Stage::kLoads; ++i)
      this->held[i] =
          fetch<T, Stage::kWidth>(from + i * Stage::kPass * pitch,
                                  valid & Stage::is_inside(i) & (Stage::depth(i) < depth_left));
    from += Tile::kDepth * pitch;
    depth_left -= Tile::kDepth;
  }
};

/// The same, where one column behind the last may hold ones.
template <class T, class Tile, int columns, bool vectors>
struct PlainColumnsAndOnes : PlainColumns<T, Tile, columns, vectors> {
  using Plain = PlainColumns<T, Tile, columns, vectors>;
  using Stage = typename Plain::Stage;
  bool ones;

  /// `ones_column`: inside the tile; negative: none.
  __device__ PlainColumnsAndOnes(const T* data, int64_t depth_pitch, int64_t left, int depth,
                                 int64_t ones_column)
      : Plain(data, depth_pitch, left, depth), ones(Stage::column() == ones_column) {}

  __device__ void load() {
    const int depth = this->depth_left;
    Plain::load();
#pragma unroll
    for (int i = 0; i < Stage::kLoads; ++i)
      if (ones && Stage::depth(i) < depth) this->held[i].at[0] = from_float<T>(1);
  }
};

/// A thread's sums.
template <class Tile>
struct Sums {
  float at[Tile::kThreadRows][Tile::kThreadColumns];
};

/// Return this thread's sums over `steps` steps. All threads of the block must call it; `shared`
/// holds Tile::kSharedFloats and is free again after a barrier. The right operand loads first: it
/// may read where the left one stands.
template <class Tile, class Left, class Right>
__device__ Sums<Tile> multiply(Left& left, Right& right, int steps, float* shared) {
  Sums<Tile> sums = {};
  if (steps <= 0) {
    __syncthreads();  // what the caller wrote to shared memory is visible in any case
    return sums;
  }
  constexpr int kHalf = Tile::kLeftFloats + Tile::kRightFloats;
  const float* a = shared + Tile::row();
  const float* b = shared + Tile::kLeftFloats + Tile::column();
  right.load();
  left.load();
  left.store(shared);
  right.store(shared + Tile::kLeftFloats);
  __syncthreads();
  for (int half = 0;; half ^= kHalf) {
    const bool more = --steps > 0;
    if (more) {
      right.load();
      left.load();
    }
#pragma unroll
    for (int d = 0; d < Tile::kDepth; ++d) {
      float4 x[Tile::kThreadRows / 4], y[Tile::kThreadColumns / 4];
#pragma unroll
      for (int i = 0; i < Tile::kThreadRows / 4; ++i)
        x[i] = *reinterpret_cast<const float4*>(a + half + d * (Tile::kRows + 4) + i * 16);
#pragma unroll
      for (int j = 0; j < Tile::kThreadColumns / 4; ++j)
        y[j] = *reinterpret_cast<const float4*>(b + half + d * (Tile::kColumns + 4) + j * 32);
#pragma unroll
      for (int i = 0; i < Tile::kThreadRows; ++i)
#pragma unroll
        for (int j = 0; j < Tile::kThreadColumns; ++j)
          sums.at[i][j] += (&x[i / 4].x)[i % 4] * (&y[j / 4].x)[j % 4];
    }
    if (!more) return sums;
    left.store(shared + (half ^ kHalf));
    right.store(shared + (half ^ kHalf) + Tile::kLeftFloats);
    __syncthreads();
  }
}

}  // namespace striate::cuda
