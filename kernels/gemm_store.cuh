// Where the sums of a tile go: to the output with bias, residual and activation, or as they are to
// a slice of the workspace. The last block of a tile, or a second pass, adds the slices in their
// order.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <striate/kernels/activation.cuh>
#include <striate/kernels/gemm_tile.cuh>
#include <striate/kernels/last_block.cuh>

namespace striate::cuda {

/// Sigmoid and tanh are long, and a tile's end is unrolled: they are left to the second pass.
inline bool is_straight(Activation activation) {
  return activation != Activation::kSigmoid && activation != Activation::kTanh;
}

/// Where and how sums are stored. All values of one kind lie in the order of the output.
template <class T>
struct Destination {
  T* y = nullptr;
  const T* bias = nullptr;      // of each column; null: none
  const T* residual = nullptr;  // null: none
  const T* gated = nullptr;     // the activation's output that a gate reads; null: no gate
  float* slices = nullptr;      // the workspace; null: sums are final
  int64_t slice_pitch = 0;      // its elements for each slice
  int last_adds = 0;            // slices that the last block of a tile adds; 0: a second pass does
  T* tail = nullptr;            // receives what a slice holds from `tail_begin` on; null: nothing
  int64_t tail_begin = 0;
  StraightActivation activation;
  StraightGate gate;

  /// Return the same for kernels that never have a gate: the compiler leaves its code out.
  __device__ Destination without_gate() const {
    Destination made = *this;
    made.gated = nullptr;
    return made;
  }
  /// Return the same for kernels that never add a residual.
  __device__ Destination without_residual() const {
    Destination made = *this;
    made.residual = nullptr;
    return made;
  }
  /// Return the same for kernels that end in nothing but a gate.
  __device__ Destination of_gates() const {
    Destination made = of_sums();
    made.gated = gated, made.gate = gate;
    return made;
  }
  /// Return the same for kernels that store nothing but sums.
  __device__ Destination of_sums() const {
    Destination made;
    made.y = y, made.slices = slices, made.slice_pitch = slice_pitch, made.last_adds = last_adds;
    made.tail = tail, made.tail_begin = tail_begin;
    return made;
  }
};

/// Write down where each row of a tile starts in the output, `offset_of(row)`: a thread for a row.
template <class Tile, class Find>
__device__ void place_rows(int64_t* offsets, Find offset_of) {
  static_assert(Tile::kThreads >= Tile::kRows);
  const int row = threadIdx.x;
  if (Tile::kThreads == Tile::kRows || row < Tile::kRows) offsets[row] = offset_of(row);
}

/// Store a thread's sums. `offsets[row]` is where the tile's row starts in the output, -1 for none;
/// `column`: of the tile's first column, and `columns` remain from there; bias + column fits.
/// Columns go by fours (`vectors`) or, through `shared`, 32 neighbours of a warp at a time.
template <bool vectors, class Tile, class T>
__device__ void store(const Sums<Tile>& sums, const Destination<T>& to, const T* bias, int slice,
                      const int64_t* offsets, int columns, float* shared) {
  constexpr int kGroups = Tile::kThreadColumns / 4;
  float* partial = to.slices ? to.slices + slice * to.slice_pitch : nullptr;
  if constexpr (vectors) {
    float add[kGroups][4];
#pragma unroll
    for (int j = 0; j < kGroups; ++j) {
      const int column = Tile::column() + j * 32;
      const auto b = fetch<T, 4>(bias + column, bias && !partial && column < columns);
#pragma unroll
      for (int e = 0; e < 4; ++e) add[j][e] = to_float(b.at[e]);
    }
#pragma unroll
    for (int i = 0; i < Tile::kThreadRows; ++i) {
      const int64_t offset = offsets[Tile::row() + i / 4 * 16 + i % 4];
      if (offset < 0) continue;
#pragma unroll
      for (int j = 0; j < kGroups; ++j) {
        const int column = Tile::column() + j * 32;
        if (column >= columns) continue;
        const float* v = &sums.at[i][j * 4];
        const int64_t at = offset + column;
        if (partial) {
          *reinterpret_cast<float4*>(partial + at) = make_float4(v[0], v[1], v[2], v[3]);
          continue;
        }
        const auto residual = fetch<T, 4>(to.residual + at, to.residual);
        const auto gated = fetch<T, 4>(to.gated + at, to.gated);
        Elements<T, 4> y;
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const float sum = v[e] + add[j][e] + to_float(residual.at[e]);
          y.at[e] =
              from_float<T>(to.gated ? to.gate(sum, to_float(gated.at[e])) : to.activation(sum));
        }
        *reinterpret_cast<Elements<T, 4>*>(to.y + at) = y;
      }
    }
  } else {
    static_assert(Tile::kThreadColumns == 4);
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float* stage = shared + threadIdx.x / 32 * (4 * 32);
    const int column = Tile::column() - lane % 8 * 4 + lane;
    const bool inside = column < columns;
    const float add = bias && !partial && inside ? to_float(bias[column]) : 0;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < Tile::kThreadRows; ++i) {
      const float* v = sums.at[i];
      if (i > 0) __syncwarp();  // readers of the rows before are done
      *reinterpret_cast<float4*>(stage + lane * 4) = make_float4(v[0], v[1], v[2], v[3]);
      __syncwarp();
#pragma unroll 1
      for (int group = 0; group < 4; ++group) {
        const int row = Tile::row() - lane / 8 * 4 + group * 4 + i / 4 * 16 + i % 4;
        const int64_t at = offsets[row] + column;
        if (offsets[row] < 0 || !inside) continue;
        const float sum = stage[group * 32 + lane];
        if (partial) {
          partial[at] = sum;
          continue;
        }
        const float whole = sum + add + (to.residual ? to_float(to.residual[at]) : 0);
        to.y[at] =
            from_float<T>(to.gated ? to.gate(whole, to_float(to.gated[at])) : to.activation(whole));
      }
    }
  }
}

/// Where this is the last block of its tile, add the tile's slices in their order; give four sums
/// side by side, or one, to `finish(row, column, sums)`; return whether it is. `tile` counts those
/// of one slice; the others as of `store`, which was called before.
template <bool vectors, class Tile, class T, class Finish>
__device__ bool add_slices(const Destination<T>& to, int tile, const int64_t* offsets, int columns,
                           Finish finish) {
  if constexpr (Tile::kWholeSteps) return false;  // the largest tile has no registers to spare
  if (to.last_adds == 0 || !comes_last(tile, to.last_adds)) return false;
  constexpr int kWidth = vectors ? 4 : 1, kAcross = Tile::kColumns / kWidth;
#pragma unroll 1
  for (int i = threadIdx.x; i < Tile::kRows * kAcross; i += Tile::kThreads) {
    const int row = i / kAcross, column = i % kAcross * kWidth;
    if (offsets[row] < 0 || column >= columns) continue;
    const float* from = to.slices + offsets[row] + column;
    Elements<float, kWidth> sums = {};
#pragma unroll 4
    for (int slice = 0; slice < to.last_adds; ++slice, from += to.slice_pitch) {
      const auto part = *reinterpret_cast<const Elements<float, kWidth>*>(from);
#pragma unroll
      for (int e = 0; e < kWidth; ++e) sums.at[e] += part.at[e];
    }
    finish(row, column, sums);
  }
  return true;
}

/// Add the slices, bias and residual, and activate.
template <bool vectors, class Tile, bool has_tail = false, class T>
__device__ void finish_tile(const Destination<T>& to, const T* bias, int tile,
                            const int64_t* offsets, int columns) {
  constexpr int kWidth = vectors ? 4 : 1;
  add_slices<vectors, Tile>(
      to, tile, offsets, columns, [&](int row, int column, const Elements<float, kWidth>& sums) {
        const int64_t at = offsets[row] + column;
        Elements<T, kWidth> y;
        T* place = to.y + at;
        if (has_tail && to.tail && at >= to.tail_begin) {
          place = to.tail + (at - to.tail_begin);
#pragma unroll
          for (int e = 0; e < kWidth; ++e) y.at[e] = from_float<T>(sums.at[e]);
        } else {
          const auto add = fetch<T, kWidth>(bias + column, bias);
          const auto residual = fetch<T, kWidth>(to.residual + at, to.residual);
          const auto gated = fetch<T, kWidth>(to.gated + at, to.gated);
#pragma unroll
          for (int e = 0; e < kWidth; ++e) {
            const float sum = sums.at[e] + to_float(add.at[e]) + to_float(residual.at[e]);
            y.at[e] =
                from_float<T>(to.gated ? to.gate(sum, to_float(gated.at[e])) : to.activation(sum));
          }
        }
        *reinterpret_cast<Elements<T, kWidth>*>(place) = y;
      });
}

/// What the second pass does after adding bias and residual: an activation or a gate.
struct SecondPass {
  int64_t slices = 1, columns = 1;  // columns: of a row of the output
  Activation activation = Activation::kNone;
  double negative_slope = 0;
  kernels::Gate gate = {};
};

/// Slices of filters' gradients [slices, filters, pitch]: `columns` of filters, then one of the
/// bias, then padding.
template <class T>
struct WeightSlices {
  const float* from = nullptr;
  int64_t slices = 1, filters = 0, columns = 0, pitch = 0;
  T *dw = nullptr, *db = nullptr;
};

/// Add the slices in their order: dw [filters, columns], db [filters].
template <class T>
void sum_weight_slices(const char* name, const WeightSlices<T>& all, void* stream);

/// Add the slices, bias and residual, and activate.
template <class T>
void sum_slices(const char* name, const Destination<T>& to, const SecondPass& pass, void* stream);

}  // namespace striate::cuda
