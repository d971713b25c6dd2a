// Sums and maxima over axes on CUDA devices.
//
// A dense value whose reduced axes are neighbours is [outer, reduced, inner]. With inner = 1 a warp
// or a block walks along a row; otherwise neighbouring threads take neighbouring columns and a
// block's rows are joined in shared memory. Where that makes too few blocks the reduced axis is cut
// into chunks, whose results a second pass joins. Each thread adds in the order of the elements and
// the trees are fixed, so the same problem has the same bits on every device.
#include <algorithm>
#include <striate/kernels/block_sum.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/launch.cuh>
#include <striate/kernels/reduction.cuh>

namespace striate::cuda {
namespace {

constexpr int kThreads = 256, kWarp = 32;
constexpr int64_t kEnoughBlocks = 528;  // four for each of an H100's processors
constexpr int64_t kLongRow = 1024;      // elements that a warp alone should not add

struct Sum {
  static __device__ float start() { return 0; }
  __device__ float operator()(float a, float b) const { return a + b; }
};
/// NaN is larger than all numbers.
struct Max {
  static __device__ float start() { return -INFINITY; }
  __device__ float operator()(float a, float b) const { return exceeds(b, a) ? b : a; }
};

/// The piece of the reduced axis that one block or warp takes.
struct Chunks {
  int64_t reduced, count;

  __device__ int64_t begin(int64_t chunk) const { return chunk * length(); }
  __device__ int64_t end(int64_t chunk) const { return min(reduced, begin(chunk) + length()); }
  __device__ int64_t length() const { return (reduced + count - 1) / count; }
};

/// How many turns of a loop are written out: what joins parts to 16 bits has few of them.
template <class T, class Y>
constexpr int kTurns = sizeof(T) > sizeof(Y) ? 1 : 4;

/// y[row] for rows of `outer` x chunks, by a warp each (`kPerRow` 32) or a block each (256).
template <class T, class Y, class Combine, int kPerRow>
__global__ void rows_kernel(const T* x, Y* y, int64_t outer, Chunks chunks, float factor) {
  __shared__ float space[kThreads / kWarp];
  const Combine combine;
  const int64_t row = thread_number() / kPerRow;
  if (row >= outer * chunks.count) return;  // whole warps, or no thread of the block
  const int64_t chunk = row % chunks.count;
  const T* from = x + row / chunks.count * chunks.reduced;
  float value = Combine::start();
  const int64_t end = chunks.end(chunk);
#pragma unroll kTurns < T, Y>
  for (int64_t i = chunks.begin(chunk) + threadIdx.x % kPerRow; i < end; i += kPerRow)
    value = combine(value, to_float(from[i]));
  if constexpr (kPerRow == kWarp)
    value = over_warp(value, combine);
  else
    value = over_block(value, Combine::start(), space, combine);
  if (threadIdx.x % kPerRow == 0) y[row] = from_float<Y>(value * factor);
}

/// y[outer, chunk, inner]: `lanes` (a power of 2) columns of a block, 256 / lanes rows at a time.
template <class T, class Y, class Combine>
__global__ void columns_kernel(const T* x, Y* y, int64_t inner, int lanes, Chunks chunks,
                               float factor) {
  __shared__ float space[kThreads];
  const Combine combine;
  const int64_t tiles = (inner + lanes - 1) / lanes;
  const int64_t part = blockIdx.x / tiles;  // of outer x chunks
  const int64_t chunk = part % chunks.count;
  const int lane = static_cast<int>(threadIdx.x) & (lanes - 1);
  const int64_t column = (blockIdx.x - part * tiles) * lanes + lane;
  const int rows = kThreads / lanes;
  float value = Combine::start();
  if (column < inner) {
    const T* from = x + part / chunks.count * chunks.reduced * inner + column;
    const int64_t end = chunks.end(chunk);
#pragma unroll kTurns < T, Y>
    for (int64_t r = chunks.begin(chunk) + threadIdx.x / lanes; r < end; r += rows)
      value = combine(value, to_float(from[r * inner]));
  }
  space[threadIdx.x] = value;
  for (int half = kThreads / 2; half >= lanes; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      space[threadIdx.x] = combine(space[threadIdx.x], space[threadIdx.x + half]);
  }
  // Thread `lane` of the first row wrote the value that it reads now.
  if (threadIdx.x < lanes && column < inner)
    y[part * inner + column] = from_float<Y>(space[threadIdx.x] * factor);
}

/// Reduced axes that are apart: a warp for each result.
template <class T, class Combine>
__global__ void apart_kernel(const T* x, T* y, const __grid_constant__ Strides<1> kept,
                             const __grid_constant__ Strides<1> reduced, float factor) {
  const Combine combine;
  const int64_t result = thread_number() / kWarp;
  if (result >= kept.count) return;
  int64_t base[1], place[1];
  kept.find(result, base);
  float value = Combine::start();
  for (int64_t i = threadIdx.x % kWarp; i < reduced.count; i += kWarp) {
    reduced.find(i, place);
    value = combine(value, to_float(x[base[0] + place[0]]));
  }
  value = over_warp(value, combine);
  if (threadIdx.x % kWarp == 0) y[result] = from_float<T>(value * factor);
}

int lanes_of(int64_t inner) {
  int lanes = 2;
  while (lanes < kWarp && lanes < inner) lanes *= 2;
  return lanes;
}

/// One pass over [outer, reduced, inner] in `chunks` of the reduced axis.
struct Pass {
  const char* name;
  kernels::ReduceShape sizes;
  int64_t chunks;
  float factor;
  void* stream;

  int64_t parts() const { return sizes.outer * chunks; }
};

template <class Combine, class T, class Y>
void reduce_columns(const Pass& pass, const T* x, Y* y) {
  const int lanes = lanes_of(pass.sizes.inner);
  const int64_t tiles = (pass.sizes.inner + lanes - 1) / lanes;
  launch(pass.name, columns_kernel<T, Y, Combine>, {pass.parts() * tiles, 1, 1, kThreads, 0},
         pass.stream, x, y, pass.sizes.inner, lanes, Chunks{pass.sizes.reduced, pass.chunks},
         pass.factor);
}

template <class Combine, int kPerRow, class T, class Y>
void reduce_rows(const Pass& pass, const T* x, Y* y) {
  launch(pass.name, rows_kernel<T, Y, Combine, kPerRow>, flat_grid(pass.parts() * kPerRow),
         pass.stream, x, y, pass.sizes.outer, Chunks{pass.sizes.reduced, pass.chunks}, pass.factor);
}

}  // namespace

Reduction::Reduction(Kind kind, const Shape& shape, const std::vector<bool>& reduced, float factor)
    : kind_(kind), factor_(factor), sizes_(kernels::reduce_shape(shape, reduced)) {
  if (!sizes_.one_run) {
    int64_t stride = 1;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      (reduced[static_cast<size_t>(d)] ? reduced_ : kept_).add(shape[d], {stride});
      stride *= shape[d];
    }
    return;
  }
  // Chunks until there are enough blocks, but none so short that its start costs more than it.
  const bool rows = sizes_.inner == 1;
  if (rows && sizes_.reduced <= kLongRow) return;
  const int64_t lanes = rows ? kThreads : lanes_of(sizes_.inner);
  const int64_t blocks =
      std::max<int64_t>(1, sizes_.outer * (rows ? 1 : (sizes_.inner + lanes - 1) / lanes));
  const int64_t turn = rows ? kThreads : kThreads / lanes;  // elements of an axis a block takes
  chunks_ = std::clamp<int64_t>(kEnoughBlocks / blocks, 1,
                                std::max<int64_t>(1, sizes_.reduced / (16 * turn)));
}

size_t Reduction::workspace() const {
  return chunks_ == 1 ? 0
                      : static_cast<size_t>(sizes_.outer * chunks_ * sizes_.inner) * sizeof(float);
}

void Reduction::run(const char* name, DType dtype, const kernels::Arguments& a) const {
  const auto run_with = [&]<class Combine>(Combine) {
    with_type(dtype, [&](auto zero) {
      using T = decltype(zero);
      const T* x = static_cast<const T*>(a.inputs[0]);
      T* y = static_cast<T*>(a.outputs[0]);
      if (!sizes_.one_run) {
        launch(name, apart_kernel<T, Combine>, flat_grid(kept_.count * kWarp), a.stream, x, y,
               kept_, reduced_, factor_);
        return;
      }
      const bool columns = sizes_.inner != 1;
      if (chunks_ == 1) {
        const Pass pass{name, sizes_, 1, factor_, a.stream};
        if (columns)
          reduce_columns<Combine>(pass, x, y);
        else if (sizes_.reduced > kLongRow)
          reduce_rows<Combine, kThreads>(pass, x, y);
        else
          reduce_rows<Combine, kWarp>(pass, x, y);
        return;
      }
      auto* parts = static_cast<float*>(a.workspace);
      const auto* sums = static_cast<const float*>(parts);
      const Pass first{name, sizes_, chunks_, 1, a.stream};
      Pass second{name, sizes_, 1, factor_, a.stream};
      second.sizes.reduced = chunks_;
      if (columns) {
        reduce_columns<Combine>(first, x, parts);
        reduce_columns<Combine>(second, sums, y);
      } else {  // few chunks make a short row
        reduce_rows<Combine, kThreads>(first, x, parts);
        reduce_rows<Combine, kWarp>(second, sums, y);
      }
    });
  };
  kind_ == Kind::kSum ? run_with(Sum()) : run_with(Max());
}

}  // namespace striate::cuda
