// Reordering by a nest of loops, each of one stride in the input and one in the output.
//
// Every dimension is cut at the block boundaries of both layouts, which must divide each other; so
// an index moves by a constant stride in both as one loop counts. The loops run in the order of the
// output's memory, three of them in the innermost kernel, the outermost on all threads.
// Where a dimension is not a whole number of blocks, indices beyond its end give zero as far as the
// output stores them, and are passed over where it does not.
#include <striate/core/parallel.h>
#include <striate/kernels/reorder.h>

#include <algorithm>
#include <cstring>

namespace striate::kernels {
namespace {

constexpr int kNoDim = Shape::kMaxRank;  // of a loop whose index needs no check

struct Loop {
  int dim;
  int64_t count;     // how often it turns
  int64_t step;      // what a turn adds to the index of `dim`
  int64_t from, to;  // what a turn adds to the offsets
};

struct Nest {
  std::vector<Loop> loops;       // of the output's memory, slowest first
  Shape shape, stored;           // `stored`: with the output's padding
  bool ragged[kNoDim + 1] = {};  // indices beyond the end occur
};

/// Return the sizes at which dimension `dim` is cut by a layout, smallest first.
std::vector<int64_t> cuts(const Layout& layout, int dim) {
  std::vector<int64_t> sizes;
  int64_t size = 1;
  for (int b = layout.block_count() - 1; b >= 0; --b)
    if (layout.block(b).dim == dim) sizes.push_back(size *= layout.block(b).size);
  return sizes;
}

/// Return the loops; none when the blocks of the two layouts do not divide each other.
std::vector<Loop> loops_of(const Shape& shape, const Layout& from, const Layout& to) {
  std::vector<Loop> loops;
  for (int dim = 0; dim < shape.rank(); ++dim) {
    std::vector<int64_t> bounds{1};
    for (const Layout* layout : {&from, &to})
      for (int64_t size : cuts(*layout, dim)) bounds.push_back(size);
    std::sort(bounds.begin(), bounds.end());
    bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
    // The whole dimension counts as the output stores it, its padding included.
    const int64_t last = bounds.back(), padded = to.padded(shape)[dim];
    bounds.push_back((padded + last - 1) / last * last);
    for (size_t i = 0; i + 1 < bounds.size(); ++i) {
      if (bounds[i + 1] % bounds[i] != 0) return {};
      if (bounds[i + 1] == bounds[i]) continue;
      // A stride is the offset of the first index past the cut, in an image large enough to have
      // it.
      Shape large = shape;
      large[dim] = std::max(bounds.back(), 2 * bounds[i]);
      int64_t index[Shape::kMaxRank] = {};
      index[dim] = bounds[i];
      loops.push_back({dim, bounds[i + 1] / bounds[i], bounds[i], from.offset(large, index),
                       to.offset(large, index)});
    }
  }
  std::sort(loops.begin(), loops.end(), [](const Loop& a, const Loop& b) { return a.to > b.to; });
  return loops;
}

/// Join neighbours that are one loop in both layouts.
std::vector<Loop> joined(std::vector<Loop> loops, const bool* ragged) {
  for (size_t i = loops.size(); i-- > 1;) {
    Loop &outer = loops[i - 1], &inner = loops[i];
    if (ragged[outer.dim] || ragged[inner.dim]) continue;
    if (outer.from != inner.from * inner.count || outer.to != inner.to * inner.count) continue;
    outer = {kNoDim, outer.count * inner.count, inner.step, inner.from, inner.to};
    loops.erase(loops.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return loops;
}

template <class T>
void copy_run(const T* x, T* y, const Loop& loop) {
  if (loop.from == 1 && loop.to == 1 && loop.count == 8)
    std::memcpy(y, x, 8 * sizeof(T));
  else if (loop.from == 1 && loop.to == 1 && loop.count == 16)
    std::memcpy(y, x, 16 * sizeof(T));
  else if (loop.from == 1 && loop.to == 1)
    std::memcpy(y, x, static_cast<size_t>(loop.count) * sizeof(T));
  else
    for (int64_t i = 0; i < loop.count; ++i) y[i * loop.to] = x[i * loop.from];
}

/// The innermost loop when only its first `valid` turns have an input and `stored` an output.
template <class T>
void copy_ragged(const T* x, T* y, const Loop& loop, int64_t valid, int64_t stored) {
  for (int64_t i = 0; i < valid; ++i) y[i * loop.to] = x[i * loop.from];
  for (int64_t i = valid; i < stored; ++i) y[i * loop.to] = T(0);
}

template <class T>
void run(const Nest& nest, const Arguments& arguments) {
  const auto* x = static_cast<const T*>(arguments.inputs[0]);
  auto* y = static_cast<T*>(arguments.outputs[0]);
  const size_t depth = nest.loops.size();
  const Loop &c = nest.loops[depth - 1], &b = nest.loops[depth - 2], &a = nest.loops[depth - 3];
  bool any_ragged = false;
  for (bool ragged : nest.ragged) any_ragged |= ragged;
  int64_t turns = 1, inner = a.count * b.count * c.count;
  for (size_t l = 0; l + 3 < depth; ++l) turns *= nest.loops[l].count;
  // The loop `a` is shared out too, for images of one picture have few turns outside of it.
  parallel_ranges(
      turns * a.count, std::max<int64_t>(1, 16384 * a.count / inner),
      [&](int64_t begin, int64_t end) {
        for (int64_t turn = begin; turn < end; ++turn) {
          int64_t index[kNoDim + 1] = {}, from = turn % a.count * a.from,
                                 to = turn % a.count * a.to;
          index[a.dim] += turn % a.count * a.step;
          int64_t rest = turn / a.count;
          for (size_t l = depth - 3; l-- > 0; rest /= nest.loops[l].count) {
            const Loop& loop = nest.loops[l];
            const int64_t i = rest % loop.count;
            index[loop.dim] += i * loop.step, from += i * loop.from, to += i * loop.to;
          }
          // Turns of a loop before its dimension ends, given where the other loops stand.
          auto turns_before = [&](const Shape& end, const Loop& loop) {
            if (loop.dim == kNoDim) return loop.count;
            const int64_t left = end[loop.dim] - index[loop.dim];
            return std::clamp<int64_t>((left + loop.step - 1) / loop.step, 0, loop.count);
          };
          auto inside = [&](const Shape& end, int but) {
            for (int dim = 0; dim < end.rank(); ++dim)
              if (dim != but && index[dim] >= end[dim]) return false;
            return true;
          };
          for (int64_t i = 0; i < b.count; ++i, index[b.dim] += b.step) {
            const T* xs = x + from + i * b.from;
            T* ys = y + to + i * b.to;
            if (!any_ragged)
              copy_run(xs, ys, c);
            else if (inside(nest.stored, c.dim))
              copy_ragged(xs, ys, c, inside(nest.shape, c.dim) ? turns_before(nest.shape, c) : 0,
                          turns_before(nest.stored, c));
          }
        }
      });
}

std::string declines(const Problem& problem) {
  const ValueDesc& x = problem.inputs[0];
  if (x.shape.rank() == 0 || x.shape.elements() == 0) return "there is nothing to move";
  return loops_of(x.shape, x.layout, problem.get<ReorderOptions>().to).empty()
             ? "the blocks of the two layouts do not divide each other"
             : "";
}

Prepared prepare(const Problem& problem) {
  const ValueDesc& x = problem.inputs[0];
  const Layout to = problem.get<ReorderOptions>().to;
  Nest nest;
  nest.shape = x.shape;
  nest.stored = to.padded(x.shape);
  nest.loops = loops_of(x.shape, x.layout, to);
  for (const Loop& loop : nest.loops)
    nest.ragged[loop.dim] |= loop.step * loop.count > x.shape[loop.dim];
  nest.loops = joined(nest.loops, nest.ragged);
  while (nest.loops.size() < 3) nest.loops.insert(nest.loops.begin(), {kNoDim, 1, 0, 0, 0});

  Prepared prepared;
  prepared.inputs = {x.layout};
  prepared.outputs = {to};
  auto with = [&](auto element) {
    return make_kernel([nest](const Arguments& a) { run<decltype(element)>(nest, a); });
  };
  const size_t size = size_of(x.dtype);
  prepared.kernel = size == 1   ? with(uint8_t{})
                    : size == 2 ? with(uint16_t{})
                    : size == 4 ? with(uint32_t{})
                                : with(uint64_t{});
  return prepared;
}

const Register reorder({"reorder", "strided", DeviceType::kCpu, declines, prepare,
                        [](const Problem&) { return 0.5; }});

}  // namespace
}  // namespace striate::kernels
