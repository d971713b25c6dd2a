// Reductions and their gradients element by element, in double, over any set of axes.
#include <striate/kernels/elements.h>
#include <striate/kernels/reduce.h>

#include <algorithm>
#include <limits>

namespace striate::kernels {
namespace {

/// Walks the elements of a shape in order and knows the place of each in the reduced value.
class Walk {
 public:
  Walk(const Shape& shape, const std::vector<bool>& reduced) : shape_(shape) {
    int64_t stride = 1;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      stride_[d] = reduced[static_cast<size_t>(d)] ? 0 : stride;
      if (!reduced[static_cast<size_t>(d)]) stride *= shape[d];
    }
  }
  /// Call `visit(element, place in the reduced value)`.
  template <class Visit>
  void each(const Visit& visit) const {
    int64_t index[Shape::kMaxRank] = {}, place = 0;
    for (int64_t i = 0; i < shape_.elements(); ++i) {
      visit(i, place);
      for (int d = shape_.rank() - 1; d >= 0; --d) {
        place += stride_[d];
        if (++index[d] < shape_[d]) break;
        place -= stride_[d] * shape_[d];
        index[d] = 0;
      }
    }
  }

 private:
  Shape shape_;
  int64_t stride_[Shape::kMaxRank] = {};
};

ReduceOptions options_of(const Problem& problem) {
  return problem.options ? problem.get<ReduceOptions>() : ReduceOptions();
}

Walk walk_of(const Problem& problem, size_t input) {
  const Shape& shape = problem.inputs[input].shape;
  return {shape, reduced_axes(options_of(problem), shape.rank())};
}

bool is_better(double value, double best) {
  return value > best || (value != value && best == best);
}

enum class Kind { kSum, kMean, kMax };

void reduce(const Problem& problem, const Arguments& arguments, const Walk& walk, Kind kind) {
  with_element_type(problem.inputs[0].dtype, [&](auto t) {
    using T = decltype(t);
    using W = Wide<T>;
    const T* x = static_cast<const T*>(arguments.inputs[0]);
    T* y = static_cast<T*>(arguments.outputs[0]);
    const int64_t count = problem.outputs[0].shape.elements();
    const W start = kind == Kind::kMax ? -std::numeric_limits<W>::infinity() : W(0);
    std::vector<W> result(static_cast<size_t>(count), start);
    walk.each([&](int64_t i, int64_t place) {
      W& r = result[static_cast<size_t>(place)];
      const W value = static_cast<W>(x[i]);
      if (kind != Kind::kMax)
        r += value;
      else if (value > r || (value != value && r == r))
        r = value;
    });
    const W terms = static_cast<W>(problem.inputs[0].shape.elements()) / static_cast<W>(count);
    for (int64_t i = 0; i < count; ++i)
      y[i] = convert<T>(kind == Kind::kMean ? result[static_cast<size_t>(i)] / terms
                                            : result[static_cast<size_t>(i)]);
  });
}

/// Call `visit(place, best element)` for each place that has elements.
template <class T, class Visit>
void for_winners(const Walk& walk, const T* x, int64_t places, const Visit& visit) {
  std::vector<int64_t> winner(static_cast<size_t>(places), -1);
  walk.each([&](int64_t i, int64_t place) {
    int64_t& w = winner[static_cast<size_t>(place)];
    if (w < 0 || is_better(static_cast<double>(x[i]), static_cast<double>(x[w]))) w = i;
  });
  for (int64_t p = 0; p < places; ++p)
    if (winner[static_cast<size_t>(p)] >= 0) visit(p, winner[static_cast<size_t>(p)]);
}

void argmax(const Problem& problem, const Arguments& arguments) {
  const Shape& shape = problem.inputs[0].shape;
  const auto reduced = reduced_axes(options_of(problem), shape.rank());
  // The place along the axis of an element's flat index.
  const auto axis = std::find(reduced.begin(), reduced.end(), true) - reduced.begin();
  const bool all = options_of(problem).axes.empty();
  const int64_t inner = all ? 1 : shape.product(static_cast<int>(axis) + 1, shape.rank());
  const int64_t size = all ? shape.elements() : shape[static_cast<int>(axis)];
  int64_t* y = static_cast<int64_t*>(arguments.outputs[0]);
  with_element_type(problem.inputs[0].dtype, [&](auto t) {
    for_winners(Walk(shape, reduced), static_cast<const decltype(t)*>(arguments.inputs[0]),
                problem.outputs[0].shape.elements(),
                [&](int64_t place, int64_t winner) { y[place] = winner / inner % size; });
  });
}

void reduce_max_backward(const Problem& problem, const Arguments& arguments) {
  with_element_type(problem.inputs[1].dtype, [&](auto t) {
    using T = decltype(t);
    const T* dy = static_cast<const T*>(arguments.inputs[0]);
    T* dx = static_cast<T*>(arguments.outputs[0]);
    std::fill_n(dx, problem.outputs[0].shape.elements(), convert<T>(0));
    for_winners(walk_of(problem, 1), static_cast<const T*>(arguments.inputs[1]),
                problem.inputs[0].shape.elements(),
                [&](int64_t place, int64_t winner) { dx[winner] = dy[place]; });
  });
}

void sum_to(const Problem& problem, const Arguments& arguments) {
  const Shape& shape = problem.inputs[0].shape;
  const Walk walk(shape, repeated_axes(problem.outputs[0].shape, shape));
  reduce(problem, arguments, walk, Kind::kSum);
}

void broadcast_to(const Problem& problem, const Arguments& arguments) {
  const Shape& shape = problem.outputs[0].shape;
  with_element_type(problem.inputs[0].dtype, [&](auto t) {
    using T = decltype(t);
    const T* x = static_cast<const T*>(arguments.inputs[0]);
    T* y = static_cast<T*>(arguments.outputs[0]);
    Walk(shape, repeated_axes(problem.inputs[0].shape, shape)).each([&](int64_t i, int64_t place) {
      y[i] = x[place];
    });
  });
}

Entry reduction(const char* operation, Kind kind) {
  return reference_entry(operation, [kind](const Problem& problem, const Arguments& arguments) {
    reduce(problem, arguments, walk_of(problem, 0), kind);
  });
}

const Register sum_entry(reduction("reduce_sum", Kind::kSum));
const Register mean_entry(reduction("reduce_mean", Kind::kMean));
const Register max_entry(reduction("reduce_max", Kind::kMax));
const Register argmax_entry(reference_entry("argmax", argmax));
const Register backward_entry(reference_entry("reduce_max_backward", reduce_max_backward));
const Register sum_to_entry(reference_entry("sum_to", sum_to));
const Register broadcast_to_entry(reference_entry("broadcast_to", broadcast_to));

}  // namespace
}  // namespace striate::kernels
