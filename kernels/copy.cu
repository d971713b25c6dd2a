// Copies of boxes and of bytes on CUDA devices, at the memory's speed where addresses allow.
//
// Elements that stay together are moved as units of up to 16 bytes, one a thread. Where neighbours
// in y are apart in x, tiles of 32 x 32 go through shared memory, so that both sides are read and
// written in rows (Ruetsch and Micikevicius 2009, "Optimizing Matrix Transpose in CUDA").
#include <striate/kernels/any_element.cuh>
#include <striate/kernels/copy.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/launch.cuh>

namespace striate::cuda {
namespace {

template <class Unit>
__global__ void box_kernel(const Unit* x, Unit* y, const __grid_constant__ Strides<2> box) {
  const int64_t i = thread_number();
  if (i >= box.count) return;
  int64_t place[2];
  box.find(i, place);
  y[place[1]] = x[place[0]];
}

constexpr int kTile = 32, kTileRows = 8;

/// Rows run along y, columns along x; `rest` are all other dimensions.
struct Tiles {
  int64_t rows, columns;       // of one matrix
  int64_t x_stride, y_stride;  // from row to row of x, from column to column of y
  int64_t across, down;        // tiles of one matrix
  Strides<2> rest;
};

template <class Unit>
__global__ void tile_kernel(const Unit* x, Unit* y, const __grid_constant__ Tiles tiles) {
  // The odd width puts a column's elements into different banks.
  __shared__ Unit tile[kTile][kTile + 1];
  const int64_t matrix = blockIdx.x / (tiles.across * tiles.down);
  const int64_t in_matrix = blockIdx.x - matrix * tiles.across * tiles.down;
  const int64_t first_row = in_matrix / tiles.across * kTile;
  const int64_t first_column = in_matrix % tiles.across * kTile;
  int64_t place[2];
  tiles.rest.find(matrix, place);
  const int lane = static_cast<int>(threadIdx.x) % kTile;
  const int line = static_cast<int>(threadIdx.x) / kTile;
#pragma unroll
  for (int turn = 0; turn < kTile; turn += kTileRows) {
    const int r = turn + line;
    if (first_row + r < tiles.rows && first_column + lane < tiles.columns)
      tile[r][lane] = x[place[0] + (first_row + r) * tiles.x_stride + first_column + lane];
  }
  __syncthreads();
#pragma unroll
  for (int turn = 0; turn < kTile; turn += kTileRows) {
    const int c = turn + line;
    if (first_column + c < tiles.columns && first_row + lane < tiles.rows)
      y[place[1] + (first_column + c) * tiles.y_stride + first_row + lane] = tile[lane][c];
  }
}

/// Unit `units` stands for the `tail` bytes behind the last whole unit.
template <class Unit>
__global__ void bytes_kernel(const Unit* x, Unit* y, int64_t units, int tail,
                             const StepBlock* block) {
  if (block != nullptr && block->fault != 0) return;
  const int64_t i = thread_number();
  if (i < units) {
    y[i] = x[i];
  } else if (sizeof(Unit) > 1 && i == units) {
    const auto* from = reinterpret_cast<const uint8_t*>(x + units);
    auto* to = reinterpret_cast<uint8_t*>(y + units);
#pragma unroll 1
    for (int k = 0; k < tail; ++k) to[k] = from[k];
  }
}

bool starts_at(const void* data, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(bytes) == 0;
}

/// Return the bytes of the widest unit in which both values can be read and written.
int64_t unit_bytes(const Strides<2>& box, int64_t element_bytes, const void* x, const void* y) {
  for (int64_t bytes = 16; bytes > element_bytes; bytes /= 2) {
    const int64_t elements = bytes / element_bytes;
    if (box.stride[0][0] == 1 && box.stride[1][0] == 1 && box.size[0] % elements == 0 &&
        box.in_groups_of(elements) && starts_at(x, bytes) && starts_at(y, bytes))
      return bytes;
  }
  return element_bytes;
}

/// Return the same box counted in units of `elements` elements.
Strides<2> in_units(Strides<2> box, int64_t elements) {
  box.count /= elements;
  box.size[0] /= elements;
  for (auto& stride : box.stride)
    for (int d = 1; d < box.rank; ++d) stride[d] /= elements;
  return box;
}

/// Return the dimension along which x is contiguous if that is worth tiles; 0 otherwise.
int column_of(const Strides<2>& box) {
  if (box.stride[1][0] != 1 || box.stride[0][0] <= 1 || box.size[0] < 8) return 0;
  for (int d = 1; d < box.rank; ++d)
    if (box.stride[0][d] == 1 && box.size[d] >= 8) return d;
  return 0;
}

Tiles tiles_of(const Strides<2>& box, int column) {
  Tiles tiles{box.size[0], box.size[column], box.stride[0][0], box.stride[1][column], 0, 0, {}};
  tiles.across = (tiles.columns + kTile - 1) / kTile;
  tiles.down = (tiles.rows + kTile - 1) / kTile;
  for (int d = 1; d < box.rank; ++d)
    if (d != column) tiles.rest.add(box.size[d], {box.stride[0][d], box.stride[1][d]});
  return tiles;
}

}  // namespace

void copy_bytes(const char* name, int64_t bytes, const void* x, void* y, const StepBlock* block,
                void* stream) {
  if (bytes == 0) return;
  int64_t size = 16;
  while (!starts_at(x, size) || !starts_at(y, size)) size /= 2;
  with_unit(size, [&](auto zero) {
    using Unit = decltype(zero);
    constexpr int64_t kBytes = sizeof(Unit);
    launch(name, bytes_kernel<Unit>, flat_grid(bytes / kBytes + (bytes % kBytes != 0)), stream,
           static_cast<const Unit*>(x), static_cast<Unit*>(y), bytes / kBytes,
           static_cast<int>(bytes % kBytes), block);
  });
}

void copy_box(const char* name, const Strides<2>& box, int64_t element_bytes, const void* x,
              void* y, void* stream) {
  if (box.count == 0) return;
  if (box.rank == 1 && box.stride[0][0] == 1 && box.stride[1][0] == 1)
    return copy_bytes(name, box.count * element_bytes, x, y, nullptr, stream);
  if (const int column = column_of(box)) {
    const Tiles tiles = tiles_of(box, column);
    return with_element(element_bytes, [&](auto zero) {
      using Unit = decltype(zero);
      launch(name, tile_kernel<Unit>,
             {tiles.rest.count * tiles.across * tiles.down, 1, 1, kTile * kTileRows, 0}, stream,
             static_cast<const Unit*>(x), static_cast<Unit*>(y), tiles);
    });
  }
  const int64_t bytes = unit_bytes(box, element_bytes, x, y);
  const Strides<2> units = in_units(box, bytes / element_bytes);
  with_unit(bytes, [&](auto zero) {
    using Unit = decltype(zero);
    launch(name, box_kernel<Unit>, flat_grid(units.count), stream, static_cast<const Unit*>(x),
           static_cast<Unit*>(y), units);
  });
}

}  // namespace striate::cuda
