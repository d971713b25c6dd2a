// Products of matrices by tiles on tensor cores: the main loop of convolution and matmul. Elements
// have 16 bits, or 32 of which the multipliers read 19 (TF32).
//
//   sum[m,n] = sum over d of left[m,d] * right[d,n], in float32
//
// A block computes a tile of sums in steps of 64 bytes along the depth. Steps travel to shared
// memory by asynchronous copies of 16 bytes, some steps ahead of the one that is multiplied, with
// one barrier for each. An operand lies in shared memory as in global memory, with the depth inside
// (rows of 64 bytes) or outside; reading its matrices transposes where needed. The 16-byte chunks
// of neighbouring rows are exchanged by an exclusive or, so that neither copies nor reads of eight
// rows at a chunk meet in a bank: chunk ^ (row / 2 % 4) in rows of 64 bytes, chunk ^ (row % 8) in
// longer ones. Reading transposes elements of 16 bits only: those of 32 with the depth outside are
// read one by one, from rows that lie 8 banks on from each other.
//
// Method: multi-stage pipelines and permuted shared memory, as CUTLASS' documentation describes
// them ("Efficient GEMM in CUDA"; Kerr, GTC 2020, "Developing CUDA kernels to push tensor cores to
// the absolute limit on NVIDIA A100").
#pragma once

#include <cstdint>
#include <striate/kernels/gemm_store.cuh>
#include <striate/kernels/ptx.cuh>

namespace striate::cuda {

/// A tile for elements of so many bytes.
template <int rows, int columns, int warp_rows, int warp_columns, int stages, int bytes>
struct TensorTile {
  static constexpr int kRows = rows, kColumns = columns, kStages = stages, kElement = bytes;
  static constexpr int kDepth = 64 / bytes, kChunk = 16 / bytes;  // kChunk: elements of a copy
  static constexpr int kPadding = bytes == 4 ? 32 : 0;  // of rows with the depth outside, in bytes
  static constexpr int kWarpRows = warp_rows, kWarpColumns = warp_columns;
  static constexpr int kWarpsAcross = columns / warp_columns;
  static constexpr int kThreads = rows / warp_rows * kWarpsAcross * 32;
  static constexpr int kLeftBytes = (rows * bytes + kPadding) * kDepth;
  static constexpr int kRightBytes = (columns * bytes + kPadding) * kDepth;
  static constexpr int kStageBytes = kLeftBytes + kRightBytes;
  static constexpr int kPassRows = 64, kPassPitch = columns + 8;  // of the sums, on their way out
  static constexpr int kPassBytes = kPassRows * kPassPitch * 4;
  static constexpr int kTileBytes =
      kStageBytes * stages > kPassBytes ? kStageBytes* stages : kPassBytes;
  static constexpr size_t kSharedBytes = kTileBytes + rows * sizeof(int64_t);

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int row() {
    return static_cast<int>(threadIdx.x) / 32 / kWarpsAcross * kWarpRows;
  }
  __device__ static int column() {
    return static_cast<int>(threadIdx.x) / 32 % kWarpsAcross * kWarpColumns;
  }
};

template <class T>
using LargeTensorTile = TensorTile<128, 128, 64, 32, 3, sizeof(T)>;
template <class T>
using SmallTensorTile = TensorTile<64, 64, 32, 32, 4, sizeof(T)>;

/// The places of an operand [rows, depth of a step] in shared memory: 64 bytes a row.
template <class Tile, int rows>
struct DepthInside {
  static constexpr int kPass = Tile::kThreads / 4;  // rows that all threads copy at once
  static constexpr int kLoads = rows / kPass;

  __device__ static int row(int load) { return static_cast<int>(threadIdx.x) / 4 + load * kPass; }
  __device__ static int depth(int = 0) { return static_cast<int>(threadIdx.x) % 4 * Tile::kChunk; }
  __device__ static uint32_t place(int row, int chunk) {
    return static_cast<uint32_t>(row * 64 + ((chunk ^ (row / 2 % 4)) * 16));
  }
  __device__ static uint32_t to(int load) {
    return place(row(0), depth() / Tile::kChunk) + static_cast<uint32_t>(load * kPass * 64);
  }
  /// Where lane reads its part of 16 rows from `first` on, as the left or the right operand.
  __device__ static uint32_t left(int first, int lane) {
    return place(first + lane % 16, lane / 16);
  }
  __device__ static uint32_t right(int first, int lane) {
    return place(first + lane % 8 + lane / 16 * 8, lane / 8 % 2);
  }
  /// The same for the fragment `i` further on by 16 rows and `k` by a product's depth, two chunks.
  __device__ static uint32_t move(uint32_t at, int i, int k) {
    return (at ^ static_cast<uint32_t>(k * 32)) + static_cast<uint32_t>(i * 16 * 64);
  }
  /// Read a fragment: four matrices of eight rows and a chunk.
  __device__ static void read_left(uint32_t (&to)[4], uint32_t at) { read_matrices(to, at); }
  __device__ static void read_right(uint32_t (&to)[4], uint32_t at) { read_matrices(to, at); }
};

/// The places of an operand [depth of a step, columns] of 16-bit elements in shared memory.
template <class Tile, int columns, int element = Tile::kElement>
struct DepthOutside {
  static constexpr int kChunks = columns / 8, kPitch = columns * 2;
  static constexpr int kPass = Tile::kThreads / kChunks;  // depths that all threads copy at once
  static constexpr int kLoads = Tile::kDepth / kPass;

  __device__ static int column() { return static_cast<int>(threadIdx.x) % kChunks * 8; }
  __device__ static int depth(int load) {
    return static_cast<int>(threadIdx.x) / kChunks + load * kPass;
  }
  __device__ static uint32_t place(int depth, int chunk) {
    return static_cast<uint32_t>(depth * kPitch + ((chunk ^ (depth % 8)) * 16));
  }
  __device__ static uint32_t to(int load) {
    return place(depth(0), column() / 8) + static_cast<uint32_t>(load * kPass * kPitch);
  }
  __device__ static uint32_t left(int first, int lane) {
    return place(lane % 8 + lane / 16 * 8, first / 8 + lane / 8 % 2);
  }
  __device__ static uint32_t right(int first, int lane) {
    return place(lane % 8 + lane / 8 % 2 * 8, first / 8 + lane / 16);
  }
  /// Fragments are two chunks apart: the exclusive or with the row's number stays.
  __device__ static uint32_t move(uint32_t at, int i, int k) {
    return (at ^ static_cast<uint32_t>(i * 32)) + static_cast<uint32_t>(k * 16 * kPitch);
  }
  __device__ static void read_left(uint32_t (&to)[4], uint32_t at) {
    read_matrices_transposed(to, at);
  }
  __device__ static void read_right(uint32_t (&to)[4], uint32_t at) {
    read_matrices_transposed(to, at);
  }
};

/// The same of 32-bit elements. A lane's elements of a fragment are 4 depths and 8 columns apart.
template <class Tile, int columns>
struct DepthOutside<Tile, columns, 4> {
  static constexpr int kChunks = columns / 4, kPitch = columns * 4 + Tile::kPadding;
  static constexpr int kPass = Tile::kThreads / kChunks;
  static constexpr int kLoads = Tile::kDepth / kPass;

  __device__ static int column() { return static_cast<int>(threadIdx.x) % kChunks * 4; }
  __device__ static int depth(int load) {
    return static_cast<int>(threadIdx.x) / kChunks + load * kPass;
  }
  __device__ static uint32_t to(int load) {
    return static_cast<uint32_t>(depth(load) * kPitch + column() * 4);
  }
  __device__ static uint32_t left(int first, int lane) {
    return static_cast<uint32_t>(lane % 4 * kPitch + (first + lane / 4) * 4);
  }
  __device__ static uint32_t right(int first, int lane) { return left(first, lane); }
  __device__ static uint32_t move(uint32_t at, int i, int k) {
    return at + static_cast<uint32_t>(i * 16 * 4 + k * 8 * kPitch);
  }
  __device__ static void read_left(uint32_t (&to)[4], uint32_t at) {
    to[0] = read_word(at), to[1] = read_word(at + 32);
    to[2] = read_word(at + 4 * kPitch), to[3] = read_word(at + 4 * kPitch + 32);
  }
  __device__ static void read_right(uint32_t (&to)[4], uint32_t at) {
    to[0] = read_word(at), to[1] = read_word(at + 4 * kPitch);
    to[2] = read_word(at + 32), to[3] = read_word(at + 4 * kPitch + 32);
  }
};

/// An operand whose rows lie along the depth as they are: [rows, depth] with a pitch.
template <class T, class Tile, int rows>
struct TensorRows : DepthInside<Tile, rows> {
  using Shared = DepthInside<Tile, rows>;
  const T* from;
  int64_t pitch;
  int rows_left, depth_left;

  __device__ TensorRows(const T* data, int64_t row_pitch, int64_t left, int depth)
      : from(data + Shared::row(0) * row_pitch + Shared::depth()),
        pitch(row_pitch),
        rows_left(static_cast<int>(left < rows ? left : rows)),
        depth_left(depth - Shared::depth()) {}

  __device__ void load(uint32_t shared) {
#pragma unroll
    for (int i = 0; i < Shared::kLoads; ++i)
      copy_16_async(shared + Shared::to(i), from + i * Shared::kPass * pitch,
                    depth_left > 0 && Shared::row(i) < rows_left);
    from += Tile::kDepth;
    depth_left -= Tile::kDepth;
  }
};

/// An operand whose rows lie across the depth as they are: [depth, columns] with a pitch.
template <class T, class Tile, int columns>
struct TensorColumns : DepthOutside<Tile, columns> {
  using Shared = DepthOutside<Tile, columns>;
  const T* from;
  int64_t pitch;
  int depth_left;
  bool valid;

  __device__ TensorColumns(const T* data, int64_t depth_pitch, int64_t left, int depth)
      : from(data + Shared::depth(0) * depth_pitch + Shared::column()),
        pitch(depth_pitch),
        depth_left(depth),
        valid(Shared::column() < left) {}

  __device__ void load(uint32_t shared) {
#pragma unroll
    for (int i = 0; i < Shared::kLoads; ++i)
      copy_16_async(shared + Shared::to(i), from + i * Shared::kPass * pitch,
                    valid && Shared::depth(i) < depth_left);
    from += Tile::kDepth * pitch;
    depth_left -= Tile::kDepth;
  }
};

/// A thread's sums: of each 16 x 8 product, rows lane / 4 and 8 more, columns lane % 4 * 2 and 1
/// more.
template <class Tile>
struct TensorSums {
  float at[Tile::kWarpRows / 16][Tile::kWarpColumns / 8][4];
};

/// Return this thread's sums over `steps` steps. All threads of the block must call it; the shared
/// memory is free again after a barrier.
template <class T, class Tile, class Left, class Right>
__device__ TensorSums<Tile> multiply_tensors(Left& left, Right& right, int steps, char* memory) {
  constexpr int kLefts = Tile::kWarpRows / 16, kRights = Tile::kWarpColumns / 16;
  TensorSums<Tile> sums = {};
  const uint32_t shared = shared_address(memory);
  const uint32_t left_lane = Left::Shared::left(Tile::row(), Tile::lane());
  const uint32_t right_lane = Right::Shared::right(Tile::column(), Tile::lane());
#pragma unroll
  for (int stage = 0; stage < Tile::kStages - 1; ++stage) {
    if (stage < steps) {
      left.load(shared + stage * Tile::kStageBytes);
      right.load(shared + stage * Tile::kStageBytes + Tile::kLeftBytes);
    }
    close_copies();
  }
  uint32_t read = 0, write = (Tile::kStages - 1) * Tile::kStageBytes;
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
    wait_for_copies<Tile::kStages - 2>();
    __syncthreads();
    if (step + Tile::kStages - 1 < steps) {
      left.load(shared + write);
      right.load(shared + write + Tile::kLeftBytes);
    }
    close_copies();  // in any case: the wait counts groups
#pragma unroll
    for (int k = 0; k < 2; ++k) {  // of two chunks each
      uint32_t a[kLefts][4], b[kRights][4];
#pragma unroll
      for (int i = 0; i < kLefts; ++i)
        Left::Shared::read_left(a[i], shared + read + Left::Shared::move(left_lane, i, k));
#pragma unroll
      for (int j = 0; j < kRights; ++j)
        Right::Shared::read_right(
            b[j], shared + read + Tile::kLeftBytes + Right::Shared::move(right_lane, j, k));
#pragma unroll
      for (int i = 0; i < kLefts; ++i)
#pragma unroll
        for (int j = 0; j < 2 * kRights; ++j)
          multiply_matrices<T>(sums.at[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
    read = read + Tile::kStageBytes == Tile::kStages * Tile::kStageBytes ? 0
                                                                         : read + Tile::kStageBytes;
    write = write + Tile::kStageBytes == Tile::kStages * Tile::kStageBytes
                ? 0
                : write + Tile::kStageBytes;
  }
  wait_for_copies<0>();
  __syncthreads();
  return sums;
}

/// Where sums go, with any activation or gate: the loop that stores is short.
template <class T>
struct TensorDestination : Destination<T> {
  AnyActivation any_activation;
  AnyGate any_gate;

  /// Return the same for kernels that never have a gate or a residual, end in nothing but a gate,
  /// or store nothing but sums: the compiler leaves the other code out.
  __device__ TensorDestination without_gate() const {
    TensorDestination made = *this;
    made.gated = nullptr;
    return made;
  }
  __device__ TensorDestination without_residual() const {
    TensorDestination made = *this;
    made.residual = nullptr;
    return made;
  }
  __device__ TensorDestination of_gates() const {
    TensorDestination made = of_sums();
    made.gated = this->gated, made.any_gate = any_gate;
    return made;
  }
  __device__ TensorDestination of_sums() const {
    TensorDestination made;
    made.y = this->y, made.slices = this->slices, made.slice_pitch = this->slice_pitch;
    return made;
  }
};

/// Call `store` with `width` sums side by side, their column and their place in the output: all of
/// a pass's rows, which lie in shared memory.
template <class Tile, int width, class Store>
__device__ void store_pass(const float* shared, const int64_t* offsets, int columns, Store store) {
  constexpr int kGroups = Tile::kColumns / width;
#pragma unroll 1
  for (int i = threadIdx.x; i < Tile::kPassRows * kGroups; i += Tile::kThreads) {
    const int64_t offset = offsets[i / kGroups];
    const int column = i % kGroups * width;
    if (offset < 0 || column >= columns) continue;
    const float* from = shared + i / kGroups * Tile::kPassPitch + column;
    store(*reinterpret_cast<const Elements<float, width>*>(from), column, offset + column);
  }
}

/// Store a block's sums, 64 rows at a time through shared memory, so that global memory sees
/// 16 bytes from each thread, beside those of its neighbours. Parameters as of `store`; columns are
/// multiples of 8.
template <class T, class Tile>
__device__ void store_tensors(const TensorSums<Tile>& sums, const TensorDestination<T>& to,
                              const T* bias, int slice, const int64_t* offsets, int columns,
                              char* memory) {
  float* shared = reinterpret_cast<float*>(memory);
  float* partial = to.slices ? to.slices + slice * to.slice_pitch : nullptr;
  constexpr int kWidth = 16 / sizeof(T);
#pragma unroll 1
  for (int first = 0; first < Tile::kRows; first += Tile::kPassRows) {
    const int row = Tile::row() - first;
    if (row >= 0 && row < Tile::kPassRows) {
#pragma unroll
      for (int i = 0; i < Tile::kWarpRows / 16; ++i)
#pragma unroll
        for (int j = 0; j < Tile::kWarpColumns / 8; ++j) {
          float* at = shared + (row + i * 16 + Tile::lane() / 4) * Tile::kPassPitch +
                      Tile::column() + j * 8 + Tile::lane() % 4 * 2;
          const float* v = sums.at[i][j];
          *reinterpret_cast<float2*>(at) = make_float2(v[0], v[1]);
          *reinterpret_cast<float2*>(at + 8 * Tile::kPassPitch) = make_float2(v[2], v[3]);
        }
    }
    __syncthreads();
    if (partial) {
      const auto keep = [&](const Elements<float, 4>& v, int, int64_t at) {
        *reinterpret_cast<Elements<float, 4>*>(partial + at) = v;
      };
      store_pass<Tile, 4>(shared, offsets + first, columns, keep);
    } else {
      const auto finish = [&](const Elements<float, kWidth>& v, int column, int64_t at) {
        const auto add = fetch<T, kWidth>(bias + column, bias);
        const auto residual = fetch<T, kWidth>(to.residual + at, to.residual);
        const auto gated = fetch<T, kWidth>(to.gated + at, to.gated);
        Elements<T, kWidth> y;
#pragma unroll
        for (int e = 0; e < kWidth; ++e) {
          const float sum = v.at[e] + to_float(add.at[e]) + to_float(residual.at[e]);
          y.at[e] = from_float<T>(to.gated ? to.any_gate(sum, to_float(gated.at[e]))
                                           : to.any_activation(sum));
        }
        *reinterpret_cast<Elements<T, kWidth>*>(to.y + at) = y;
      };
      store_pass<Tile, kWidth>(shared, offsets + first, columns, finish);
    }
    __syncthreads();
  }
}

}  // namespace striate::cuda
