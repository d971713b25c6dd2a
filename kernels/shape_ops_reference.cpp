// The operations that move elements, one element at a time by its index.
#include <striate/kernels/shape_ops.h>

#include <algorithm>
#include <cstring>

namespace striate::kernels {
namespace {

int64_t dense_offset(const Shape& shape, const int64_t* index) {
  int64_t offset = 0;
  for (int d = 0; d < shape.rank(); ++d) offset = offset * shape[d] + index[d];
  return offset;
}

/// Call `visit(flat element, index)` for all elements in order.
template <class Visit>
void for_elements(const Shape& shape, const Visit& visit) {
  int64_t index[Shape::kMaxRank] = {};
  for (int64_t i = 0; i < shape.elements(); ++i) {
    visit(i, index);
    for (int d = shape.rank() - 1; d >= 0 && ++index[d] == shape[d]; --d) index[d] = 0;
  }
}

/// Copies single elements of any type.
class Mover {
 public:
  Mover(const Problem& problem, const Arguments& arguments)
      : size_(size_of(problem.outputs[0].dtype)), arguments_(arguments) {}
  void operator()(int64_t to, size_t input, int64_t from) const {
    std::memcpy(
        static_cast<char*>(arguments_.outputs[0]) + to * static_cast<int64_t>(size_),
        static_cast<const char*>(arguments_.inputs[input]) + from * static_cast<int64_t>(size_),
        size_);
  }

 private:
  size_t size_;
  const Arguments& arguments_;
};

void concat(const Problem& problem, const Arguments& arguments) {
  const Shape& shape = problem.outputs[0].shape;
  const int given = problem.get<ConcatOptions>().axis;
  const int axis = given < 0 ? given + shape.rank() : given;
  const Mover move(problem, arguments);
  int64_t begin = 0;
  for (size_t k = 0; k < problem.inputs.size(); ++k) {
    for_elements(problem.inputs[k].shape, [&](int64_t i, const int64_t* index) {
      int64_t to[Shape::kMaxRank];
      std::copy_n(index, Shape::kMaxRank, to);
      to[axis] += begin;
      move(dense_offset(shape, to), k, i);
    });
    begin += problem.inputs[k].shape[axis];
  }
}

/// Call `visit(element of the box, element of the whole)`.
template <class Visit>
void for_box(const Problem& problem, const Shape& box, const Shape& whole, const Visit& visit) {
  const auto& options = problem.get<SliceOptions>();
  for_elements(box, [&](int64_t i, const int64_t* index) {
    int64_t at[Shape::kMaxRank];
    for (int d = 0; d < box.rank(); ++d) at[d] = index[d] + options.begin[static_cast<size_t>(d)];
    visit(i, dense_offset(whole, at));
  });
}

void slice(const Problem& problem, const Arguments& arguments) {
  const Mover move(problem, arguments);
  for_box(problem, problem.outputs[0].shape, problem.inputs[0].shape,
          [&](int64_t in_box, int64_t in_whole) { move(in_box, 0, in_whole); });
}

void slice_backward(const Problem& problem, const Arguments& arguments) {
  const ValueDesc& dx = problem.outputs[0];
  const Mover move(problem, arguments);
  if (dx.shape.elements() > 0)
    std::memset(arguments.outputs[0], 0,
                static_cast<size_t>(dx.shape.elements()) * size_of(dx.dtype));
  for_box(problem, problem.inputs[0].shape, dx.shape,
          [&](int64_t in_box, int64_t in_whole) { move(in_whole, 0, in_box); });
}

void reshape(const Problem& problem, const Arguments& arguments) {
  const Mover move(problem, arguments);
  for (int64_t i = 0; i < problem.outputs[0].shape.elements(); ++i) move(i, 0, i);
}

void transpose(const Problem& problem, const Arguments& arguments) {
  const Shape& x = problem.inputs[0].shape;
  const std::vector<int> order = transpose_order(problem);
  const Mover move(problem, arguments);
  for_elements(problem.outputs[0].shape, [&](int64_t i, const int64_t* index) {
    int64_t from[Shape::kMaxRank] = {};
    for (int d = 0; d < x.rank(); ++d) from[order[static_cast<size_t>(d)]] = index[d];
    move(i, 0, dense_offset(x, from));
  });
}

const Register concat_entry(reference_entry("concat", concat));
const Register slice_entry(reference_entry("slice", slice));
const Register slice_backward_entry(reference_entry("slice_backward", slice_backward));
const Register reshape_entry(reference_entry("reshape", reshape));
const Register transpose_entry(reference_entry("transpose", transpose));

}  // namespace
}  // namespace striate::kernels
