// Reductions of float32 over neighbouring axes: values seen as [outer, reduced, inner].
//
// The reduced axis is cut into parts whose number depends on sizes alone. Each part leaves its
// result in the workspace and the parts are joined in order, so the bits do not depend on threads.
#include <striate/kernels/broadcast.h>
#include <striate/kernels/clones.h>
#include <striate/kernels/elementwise.h>
#include <striate/kernels/lanes.h>
#include <striate/kernels/reduce.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace striate::kernels {
namespace {

struct Sum {
  using Type = double;
  static constexpr double kStart = 0;
  [[gnu::always_inline]] static double join(double a, double b) { return a + b; }
  [[gnu::always_inline]] static double row(const float* x, int64_t count) {
    return sum_in_lanes<double>(count, [x](int64_t i) { return x[i]; });
  }
};

struct Max {
  using Type = float;
  static constexpr float kStart = -std::numeric_limits<float>::infinity();
  [[gnu::always_inline]] static float join(float a, float b) { return larger(a, b); }
  [[gnu::always_inline]] static float row(const float* x, int64_t count) {
    return max_of(x, count);
  }
};

// 1. Loops ----------------------------------------------------------------------------------------

template <class Op>
STRIATE_CLONES void reduce_row(const float* x, int64_t count, typename Op::Type* result, Op) {
  *result = Op::row(x, count);
}

/// Join `rows` rows of `columns` elements, `stride` apart, into `result`.
template <class Op>
STRIATE_CLONES void reduce_rows(const float* x, int64_t rows, int64_t stride, int64_t columns,
                                typename Op::Type* result, Op) {
  for (int64_t c = 0; c < columns; ++c) result[c] = Op::kStart;
  for (int64_t r = 0; r < rows; ++r, x += stride) {
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c) result[c] = Op::join(result[c], x[c]);
  }
}

constexpr int64_t kWide = 128;  // columns that fill the vectors of every instruction set

/// The same for few columns that lie without gaps: several rows count as one wide row at first.
template <class Op>
void reduce_narrow_rows(const float* x, int64_t rows, int64_t columns, typename Op::Type* result) {
  typename Op::Type wide[kWide];
  const int64_t group = kWide / columns, groups = rows / group;
  reduce_rows(x, groups, group * columns, group * columns, wide, Op());
  reduce_rows(x + groups * group * columns, rows - groups * group, columns, columns, result, Op());
  for (int64_t i = 0; i < group * columns; ++i)
    result[i % columns] = Op::join(result[i % columns], wide[i]);
}

// 2. Sums, means and maxima -----------------------------------------------------------------------

/// How [outer, reduced, inner] is cut: `parts` of `rows` of the reduced axis, blocks of columns.
struct Cut {
  explicit Cut(const ReduceShape& s) {
    const int64_t size = s.reduced * s.inner;
    // Along memory a part costs one number of workspace, across it a whole row.
    parts = s.inner == 1 ? (size + 16383) / 16384 : std::min<int64_t>(16, (size + 32767) / 32768);
    parts = std::max<int64_t>(parts, 1);
    rows = (s.reduced + parts - 1) / parts;
    columns = std::min<int64_t>(s.inner, 1024);
    blocks = s.inner == 0 ? 0 : (s.inner + columns - 1) / columns;
  }
  int64_t parts, rows, columns, blocks;
};

template <class Op>
Prepared prepare_reduction(const ReduceShape& s, double divisor) {
  using Type = typename Op::Type;
  const Cut cut(s);
  Prepared prepared;
  prepared.workspace = static_cast<size_t>(s.outer * cut.parts * s.inner) * sizeof(Type);
  prepared.kernel = make_kernel([=](const Arguments& arguments) {
    const float* x = static_cast<const float*>(arguments.inputs[0]);
    float* y = static_cast<float*>(arguments.outputs[0]);
    Type* parts = static_cast<Type*>(arguments.workspace);
    const int64_t tasks = s.outer * cut.parts * cut.blocks;
    const int64_t grain = kElementwiseGrain / std::max<int64_t>(cut.rows * cut.columns, 1);
    parallel_ranges(tasks, std::max<int64_t>(grain, 1), [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t column = task % cut.blocks * cut.columns, part = task / cut.blocks;
        const int64_t row = std::min(part % cut.parts * cut.rows, s.reduced);
        const int64_t rows = std::min(cut.rows, s.reduced - row);
        const float* first = x + (part / cut.parts * s.reduced + row) * s.inner + column;
        Type* result = parts + part * s.inner + column;
        if (s.inner == 1)
          reduce_row(first, rows, result, Op());
        else if (s.inner <= kWide / 2)
          reduce_narrow_rows<Op>(first, rows, s.inner, result);
        else
          reduce_rows(first, rows, s.inner, std::min(cut.columns, s.inner - column), result, Op());
      }
    });
    parallel_ranges(s.outer, kElementwiseGrain / (s.inner * cut.parts + 1) + 1,
                    [&](int64_t begin, int64_t end) {
                      for (int64_t o = begin; o < end; ++o)
                        for (int64_t c = 0; c < s.inner; ++c) {
                          Type total = Op::kStart;
                          for (int64_t p = 0; p < cut.parts; ++p)
                            total = Op::join(total, parts[(o * cut.parts + p) * s.inner + c]);
                          y[o * s.inner + c] = static_cast<float>(total / divisor);
                        }
                    });
  });
  return prepared;
}

Prepared prepare_copy(int64_t count) {
  Prepared prepared;
  prepared.in_place = {{0, 0, false}};
  prepared.kernel = make_kernel([count](const Arguments& arguments) {
    if (count > 0 && arguments.outputs[0] != arguments.inputs[0])
      std::memcpy(arguments.outputs[0], arguments.inputs[0],
                  static_cast<size_t>(count) * sizeof(float));
  });
  return prepared;
}

using Axes = std::vector<bool> (*)(const Problem&);

std::vector<bool> axes_of_options(const Problem& problem) {
  const auto options = problem.options ? problem.get<ReduceOptions>() : ReduceOptions();
  return reduced_axes(options, problem.inputs[0].shape.rank());
}
std::vector<bool> axes_of_x(const Problem& problem) {  // of reduce_max_backward
  const auto options = problem.options ? problem.get<ReduceOptions>() : ReduceOptions();
  return reduced_axes(options, problem.inputs[1].shape.rank());
}
std::vector<bool> axes_to_sum(const Problem& problem) {
  return repeated_axes(problem.outputs[0].shape, problem.inputs[0].shape);
}

/// Make an entry for neighbouring axes of input `x`; `prepare` gets the sizes.
Entry reduction(const char* operation, Axes axes, size_t x,
                std::function<Prepared(const ReduceShape&)> prepare) {
  auto declines = [=](const Problem& problem) -> std::string {
    const std::string reason = takes_float32(problem, 0, x + 1);
    if (!reason.empty()) return reason;
    if (!reduce_shape(problem.inputs[x].shape, axes(problem)).one_run)
      return "the reduced axes must be neighbours";
    return "";
  };
  return direct_entry(operation, declines, [=](const Problem& problem) {
    return prepare(reduce_shape(problem.inputs[x].shape, axes(problem)));
  });
}

template <class Op>
Prepared prepare_joined(const ReduceShape& s) {
  return s.reduced == 1 ? prepare_copy(s.outer * s.inner) : prepare_reduction<Op>(s, 1);
}

Prepared prepare_mean(const ReduceShape& s) {
  return s.reduced == 1 ? prepare_copy(s.outer * s.inner)
                        : prepare_reduction<Sum>(s, static_cast<double>(s.reduced));
}

// 3. The place of the maximum ---------------------------------------------------------------------

constexpr int64_t kColumns = 256;

/// Call `body(outer index, first column, columns)` for blocks of columns, on all threads.
template <class Body>
void for_columns(const ReduceShape& s, const Body& body) {
  const int64_t blocks = (s.inner + kColumns - 1) / kColumns;
  const int64_t grain = kElementwiseGrain / (s.reduced * std::min(s.inner, kColumns) + 1) + 1;
  parallel_ranges(s.outer * blocks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % blocks * kColumns;
      body(i / blocks, column, std::min(kColumns, s.inner - column));
    }
  });
}

/// Compares 32 elements at a time: a branch for each one is wrongly foreseen once per row, which in
/// short rows costs more than all the rest.
int64_t argmax_of_row(const float* x, int64_t count) {
  const float max = max_of(x, count);
  for (int64_t first = 0; first < count; first += 32) {
    uint32_t hits = 0;
    for (int i = 0; i < std::min<int64_t>(32, count - first); ++i)
      hits |= static_cast<uint32_t>((x[first + i] == max) | (x[first + i] != x[first + i])) << i;
    if (hits != 0) return first + std::countr_zero(hits);
  }
  return 0;
}

void argmax_of_columns(const float* x, int64_t rows, int64_t stride, int64_t columns, int64_t* y) {
  float best[kColumns];
  for (int64_t c = 0; c < columns; ++c) best[c] = x[c], y[c] = 0;
  for (int64_t r = 1; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) {
      const float v = x[r * stride + c];
      if (v > best[c] || (v != v && best[c] == best[c])) best[c] = v, y[c] = r;
    }
}

Prepared prepare_argmax(const ReduceShape& s) {
  Prepared prepared;
  prepared.kernel = make_kernel([s](const Arguments& arguments) {
    const float* x = static_cast<const float*>(arguments.inputs[0]);
    int64_t* y = static_cast<int64_t*>(arguments.outputs[0]);
    for_columns(s, [&](int64_t o, int64_t column, int64_t columns) {
      const float* first = x + o * s.reduced * s.inner + column;
      if (s.inner == 1)
        y[o] = argmax_of_row(first, s.reduced);
      else
        argmax_of_columns(first, s.reduced, s.inner, columns, y + o * s.inner + column);
    });
  });
  return prepared;
}

Prepared prepare_max_backward(const ReduceShape& s) {
  Prepared prepared;
  prepared.kernel = make_kernel([s](const Arguments& arguments) {
    const float* dy = static_cast<const float*>(arguments.inputs[0]);
    const float* x = static_cast<const float*>(arguments.inputs[1]);
    const float* y = static_cast<const float*>(arguments.inputs[2]);
    float* dx = static_cast<float*>(arguments.outputs[0]);
    for_columns(s, [&](int64_t o, int64_t column, int64_t columns) {
      bool found[kColumns] = {};
      const int64_t kept = o * s.inner + column;
      for (int64_t r = 0; r < s.reduced; ++r)
        for (int64_t c = 0; c < columns; ++c) {
          const int64_t at = (o * s.reduced + r) * s.inner + column + c;
          const float v = x[at], max = y[kept + c];
          const bool wins = !found[c] && (v == max || (v != v && max != max));
          dx[at] = wins ? dy[kept + c] : 0;
          found[c] |= wins;
        }
    });
  });
  return prepared;
}

// 4. Broadcasting ---------------------------------------------------------------------------------

Prepared prepare_broadcast(const Problem& problem) {
  const Broadcast plan(problem.outputs[0].shape, {problem.inputs[0].shape});
  Prepared prepared;
  prepared.kernel = make_kernel([plan](const Arguments& arguments) {
    const float* x = static_cast<const float*>(arguments.inputs[0]);
    float* y = static_cast<float*>(arguments.outputs[0]);
    parallel_ranges(plan.elements(), kElementwiseGrain, [&](int64_t begin, int64_t end) {
      plan.runs(begin, end, [&](int64_t at, const int64_t* place, int64_t length) {
        if (plan.step(0) == 1)
          std::copy_n(x + place[0], length, y + at);
        else
          std::fill_n(y + at, length, x[place[0]]);
      });
    });
  });
  return prepared;
}

const Register sum(reduction("reduce_sum", axes_of_options, 0, prepare_joined<Sum>));
const Register mean(reduction("reduce_mean", axes_of_options, 0, prepare_mean));
const Register max(reduction("reduce_max", axes_of_options, 0, prepare_joined<Max>));
const Register sum_to(reduction("sum_to", axes_to_sum, 0, prepare_joined<Sum>));
const Register argmax(reduction("argmax", axes_of_options, 0, prepare_argmax));
const Register max_backward(reduction("reduce_max_backward", axes_of_x, 1, prepare_max_backward));
const Register broadcast_to(direct_entry(
    "broadcast_to", [](const Problem& p) { return takes_float32(p, 0, 1); }, prepare_broadcast));

}  // namespace
}  // namespace striate::kernels
