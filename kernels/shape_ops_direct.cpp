// The operations that move elements, as copies of the longest runs that stay together.
#include <striate/kernels/elementwise.h>
#include <striate/kernels/shape_ops.h>

#include <algorithm>
#include <cstring>

namespace striate::kernels {
namespace {

std::string accepts_all(const Problem&) { return ""; }

constexpr int64_t kGrainBytes = 4 * kElementwiseGrain;

/// Copy bytes; memcpy must not be called with null pointers, which empty values may have.
void copy(void* to, const void* from, int64_t bytes) {
  if (bytes > 0 && to != from) std::memcpy(to, from, static_cast<size_t>(bytes));
}

/// Call `body(i)` for `count` copies of `bytes` each, on all threads if that is worth it.
template <class Body>
void for_copies(int64_t count, int64_t bytes, const Body& body) {
  parallel_ranges(count, kGrainBytes / std::max<int64_t>(bytes, 1) + 1,
                  [&](int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i) body(i);
                  });
}

/// Return the sizes of a value in memory, slowest first: dimensions counted in blocks, then blocks.
Shape stored_sizes(const Shape& shape, const Layout& layout) {
  const Shape padded = layout.padded(shape);
  std::vector<int64_t> sizes;
  for (int i = 0; i < shape.rank(); ++i)
    sizes.push_back(padded[layout.outer(i)] / layout.block_of(layout.outer(i)));
  for (int b = 0; b < layout.block_count(); ++b) sizes.push_back(layout.block(b).size);
  return Shape(sizes);
}

/// Return the layout for concat: a blocked one that an input has, if every border between inputs
/// falls between two blocks.
Layout concat_layout(const Problem& problem, int axis) {
  Layout layout;
  for (const ValueDesc& x : problem.inputs)
    if (layout.is_dense()) layout = x.layout;
  for (const ValueDesc& x : problem.inputs)
    if (x.shape[axis] % layout.block_of(axis) != 0) return {};
  return layout;
}

Prepared prepare_concat(const Problem& problem) {
  const ValueDesc& y = problem.outputs[0];
  const int given = problem.get<ConcatOptions>().axis;
  const int axis = given < 0 ? given + y.shape.rank() : given;
  const Layout layout = concat_layout(problem, axis);
  int place = 0;  // of the axis in memory
  while (layout.outer(place) != axis) ++place;
  auto run_bytes = [&](const Shape& shape) {
    const Shape stored = stored_sizes(shape, layout);
    return stored.product(place, stored.rank()) * static_cast<int64_t>(size_of(y.dtype));
  };
  const int64_t outer = stored_sizes(y.shape, layout).product(0, place);
  const int64_t row = run_bytes(y.shape);
  std::vector<int64_t> runs;  // of each input, in bytes
  for (const ValueDesc& x : problem.inputs) runs.push_back(run_bytes(x.shape));
  Prepared prepared;
  prepared.inputs.assign(problem.inputs.size(), layout);
  prepared.outputs.assign(1, layout);
  prepared.kernel = make_kernel([=](const Arguments& arguments) {
    char* to = static_cast<char*>(arguments.outputs[0]);
    for_copies(outer, row, [&](int64_t i) {
      for (int64_t k = 0, at = i * row; k < static_cast<int64_t>(runs.size()); ++k) {
        const int64_t run = runs[static_cast<size_t>(k)];
        copy(to + at, static_cast<const char*>(arguments.inputs[k]) + i * run, run);
        at += run;
      }
    });
  });
  return prepared;
}

/// A box inside a whole, as runs: the last dimension that is cut and all behind it are one run.
struct Box {
  Box(const Shape& box, const Shape& whole, const std::vector<int64_t>& begin, int64_t size)
      : shape(box) {
    int64_t stride = size;
    for (int d = whole.rank() - 1; d >= 0; --d) {
      strides[d] = stride;
      first += begin[static_cast<size_t>(d)] * stride;
      stride *= whole[d];
    }
    run_dim = whole.rank();
    while (run_dim > 0 && box[run_dim - 1] == whole[run_dim - 1]) --run_dim;
    run_dim = std::max(run_dim - 1, 0);
    run = box.product(run_dim, box.rank()) * size;
    count = box.product(0, run_dim);
  }
  /// Return the byte in the whole at which run `i` begins.
  int64_t at(int64_t i) const {
    int64_t place = first;
    for (int d = run_dim - 1; d >= 0; --d) {
      place += i % shape[d] * strides[d];
      i /= shape[d];
    }
    return place;
  }
  Shape shape;
  int run_dim = 0;  // dimensions [run_dim, rank) are one run
  int64_t first = 0, run = 0, count = 0;
  int64_t strides[Shape::kMaxRank] = {};
};

/// Return `layout` if the box holds whole blocks of it (the last one may be the padded one).
Layout box_layout(const Layout& layout, const Shape& box, const Shape& whole,
                  const std::vector<int64_t>& begin) {
  for (int d = 0; d < box.rank(); ++d) {
    const int64_t block = layout.block_of(d), at = begin[static_cast<size_t>(d)];
    if (at % block != 0 || (box[d] % block != 0 && at + box[d] != whole[d])) return {};
  }
  return layout;
}

Box stored_box(const Layout& layout, const Shape& box, const Shape& whole,
               const std::vector<int64_t>& begin, DType dtype) {
  std::vector<int64_t> first;
  for (int i = 0; i < box.rank(); ++i) {
    const int d = layout.outer(i);
    first.push_back(begin[static_cast<size_t>(d)] / layout.block_of(d));
  }
  first.resize(first.size() + static_cast<size_t>(layout.block_count()));
  return {stored_sizes(box, layout), stored_sizes(whole, layout), first,
          static_cast<int64_t>(size_of(dtype))};
}

Prepared prepare_slice(const Problem& problem) {
  const ValueDesc &x = problem.inputs[0], &y = problem.outputs[0];
  const auto& begin = problem.get<SliceOptions>().begin;
  const Layout layout = box_layout(x.layout, y.shape, x.shape, begin);
  const Box box = stored_box(layout, y.shape, x.shape, begin, y.dtype);
  Prepared prepared;
  prepared.inputs.assign(1, layout);
  prepared.outputs.assign(1, layout);
  prepared.kernel = make_kernel([box](const Arguments& arguments) {
    for_copies(box.count, box.run, [&](int64_t i) {
      copy(static_cast<char*>(arguments.outputs[0]) + i * box.run,
           static_cast<const char*>(arguments.inputs[0]) + box.at(i), box.run);
    });
  });
  return prepared;
}

Prepared prepare_slice_backward(const Problem& problem) {
  const ValueDesc &dy = problem.inputs[0], &dx = problem.outputs[0];
  const auto& begin = problem.get<SliceOptions>().begin;
  const Layout layout = box_layout(dy.layout, dy.shape, dx.shape, begin);
  const Box box = stored_box(layout, dy.shape, dx.shape, begin, dx.dtype);
  const int64_t bytes = layout.elements(dx.shape) * static_cast<int64_t>(size_of(dx.dtype));
  Prepared prepared;
  prepared.inputs = {layout, problem.inputs[1].layout};  // of x only the shape counts
  prepared.outputs.assign(1, layout);
  prepared.kernel = make_kernel([box, bytes](const Arguments& arguments) {
    char* to = static_cast<char*>(arguments.outputs[0]);
    parallel_ranges(bytes, kGrainBytes, [&](int64_t begin, int64_t end) {
      std::memset(to + begin, 0, static_cast<size_t>(end - begin));
    });
    for_copies(box.count, box.run, [&](int64_t i) {
      copy(to + box.at(i), static_cast<const char*>(arguments.inputs[0]) + i * box.run, box.run);
    });
  });
  return prepared;
}

Prepared prepare_reshape(const Problem& problem) {
  const ValueDesc& y = problem.outputs[0];
  const int64_t bytes = y.shape.elements() * static_cast<int64_t>(size_of(y.dtype));
  Prepared prepared;
  prepared.in_place = {{0, 0, false, true}};
  prepared.kernel = make_kernel([bytes](const Arguments& arguments) {
    char* to = static_cast<char*>(arguments.outputs[0]);
    const char* from = static_cast<const char*>(arguments.inputs[0]);
    if (to == from) return;
    parallel_ranges(bytes, kGrainBytes, [&](int64_t begin, int64_t end) {
      copy(to + begin, from + begin, end - begin);
    });
  });
  return prepared;
}

// Transpose ---------------------------------------------------------------------------------------

/// The loops of a transpose, without dimensions of size 1 and with those merged that stay together.
struct Transpose {
  explicit Transpose(const Problem& problem) {
    const Shape& x = problem.inputs[0].shape;
    int64_t stride_of[Shape::kMaxRank], stride = 1;
    for (int d = x.rank() - 1; d >= 0; --d) stride_of[d] = stride, stride *= x[d];
    for (int d : transpose_order(problem)) {
      if (x[d] == 1) continue;
      if (rank > 0 && from[rank - 1] == stride_of[d] * x[d]) {
        size[rank - 1] *= x[d];
        from[rank - 1] = stride_of[d];
      } else {
        size[rank] = x[d], from[rank] = stride_of[d];
        ++rank;
      }
    }
    if (rank == 0) size[rank] = 1, from[rank] = 1, ++rank;
    stride = 1;
    for (int d = rank - 1; d >= 0; --d) to[d] = stride, stride *= size[d];
    for (int d = 0; d < rank; ++d)
      if (from[d] == 1) column = d;
  }
  int rank = 0;
  int column = 0;  // the dimension along which x is contiguous; y is along rank - 1
  int64_t size[Shape::kMaxRank], from[Shape::kMaxRank], to[Shape::kMaxRank];
};

constexpr int64_t kTile = 16;  // elements of 4 bytes in a cache line
constexpr int64_t kBlockRows = 128, kBlockColumns = 256;

/// y[c * y_stride + r] = x[r * x_stride + c]: rows of x become columns of y.
template <class T>
void transpose_tile(const T* x, int64_t x_stride, T* y, int64_t y_stride, int64_t rows,
                    int64_t columns) {
  if (rows == kTile && columns == kTile) {
    for (int64_t c = 0; c < kTile; ++c)
      for (int64_t r = 0; r < kTile; ++r) y[c * y_stride + r] = x[r * x_stride + c];
    return;
  }
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t r = 0; r < rows; ++r) y[c * y_stride + r] = x[r * x_stride + c];
}

/// The same for a block that fits the second cache, tile by tile.
template <class T>
void transpose_block(const T* x, int64_t x_stride, T* y, int64_t y_stride, int64_t rows,
                     int64_t columns) {
  for (int64_t c = 0; c < columns; c += kTile)
    for (int64_t r = 0; r < rows; r += kTile)
      transpose_tile(x + r * x_stride + c, x_stride, y + c * y_stride + r, y_stride,
                     std::min(kTile, rows - r), std::min(kTile, columns - c));
}

template <class T>
Prepared prepare_transpose_of(const Transpose& t) {
  const int row = t.rank - 1;  // along which y is contiguous
  // All other dimensions than the two of the tiles are outer loops.
  int64_t outer = 1;
  for (int d = 0; d < t.rank; ++d)
    if (d != row && d != t.column) outer *= t.size[d];
  const bool runs = row == t.column;  // the innermost dimension stays: copies of runs
  const int64_t rows = runs ? 1 : t.size[row], columns = t.size[t.column];
  const int64_t down = (rows + kBlockRows - 1) / kBlockRows;
  const int64_t across = runs ? 1 : (columns + kBlockColumns - 1) / kBlockColumns;
  const int64_t work =
      std::min(rows, kBlockRows) * (runs ? columns : std::min(columns, kBlockColumns));
  Prepared prepared;
  prepared.kernel = make_kernel([=](const Arguments& arguments) {
    parallel_ranges(
        outer * down * across, kElementwiseGrain / (work + 1) + 1, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const T* x = static_cast<const T*>(arguments.inputs[0]);
            T* y = static_cast<T*>(arguments.outputs[0]);
            int64_t rest = i / (down * across);
            for (int d = t.rank - 1; d >= 0; --d) {
              if (d == row || d == t.column) continue;
              x += rest % t.size[d] * t.from[d];
              y += rest % t.size[d] * t.to[d];
              rest /= t.size[d];
            }
            if (runs) {
              std::copy_n(x, columns, y);
              continue;
            }
            const int64_t r = i / across % down * kBlockRows, c = i % across * kBlockColumns;
            transpose_block(x + r * t.from[row] + c, t.from[row], y + c * t.to[t.column] + r,
                            t.to[t.column], std::min(kBlockRows, rows - r),
                            std::min(kBlockColumns, columns - c));
          }
        });
  });
  return prepared;
}

Prepared prepare_transpose(const Problem& problem) {
  const Transpose t(problem);
  switch (size_of(problem.outputs[0].dtype)) {
    case 1:
      return prepare_transpose_of<uint8_t>(t);
    case 2:
      return prepare_transpose_of<uint16_t>(t);
    case 4:
      return prepare_transpose_of<uint32_t>(t);
    default:
      return prepare_transpose_of<uint64_t>(t);
  }
}

const Register concat(direct_entry("concat", accepts_all, prepare_concat));
const Register slice(direct_entry("slice", accepts_all, prepare_slice));
const Register slice_backward(direct_entry("slice_backward", accepts_all, prepare_slice_backward));
const Register reshape(direct_entry("reshape", accepts_all, prepare_reshape));
const Register transpose(direct_entry("transpose", accepts_all, prepare_transpose));

}  // namespace
}  // namespace striate::kernels
