// The operations that move elements, on CUDA devices: each is one copy of a box, or a few.
#include <cuda_runtime_api.h>
#include <striate/kernels/cuda/status.h>
#include <striate/kernels/shape_ops.h>

#include <algorithm>
#include <striate/kernels/copy.cuh>
#include <striate/kernels/entry.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

std::string accepts_all(const Problem&) { return ""; }

/// One copy, from an offset in x to one in y, in elements.
struct Copy {
  Strides<2> box;
  int64_t from = 0, to = 0;
};

void run_copy(const char* name, const Copy& copy, int64_t element_bytes, const void* x, void* y,
              void* stream) {
  copy_box(name, copy.box, element_bytes, static_cast<const char*>(x) + copy.from * element_bytes,
           static_cast<char*>(y) + copy.to * element_bytes, stream);
}

int64_t bytes_of_element(const Problem& problem) {
  return static_cast<int64_t>(size_of(problem.outputs[0].dtype));
}

Prepared prepare_concat(const Problem& problem) {
  const Shape& shape = problem.outputs[0].shape;
  const int given = problem.get<ConcatOptions>().axis;
  const int axis = given < 0 ? given + shape.rank() : given;
  const int64_t row = shape.product(axis, shape.rank());
  std::vector<Copy> copies;
  int64_t at = 0;
  for (const ValueDesc& x : problem.inputs) {
    const int64_t run = x.shape.product(axis, shape.rank());
    Copy copy;
    copy.box.add(run, {1, 1});
    copy.box.add(shape.product(0, axis), {run, row});
    copy.to = at;
    at += run;
    copies.push_back(copy);
  }
  const int64_t bytes = bytes_of_element(problem);
  return prepared([=](const Arguments& a) {
    for (size_t k = 0; k < copies.size(); ++k)
      run_copy("concat", copies[k], bytes, a.inputs[k], a.outputs[0], a.stream);
  });
}

/// Return the copy of the box of SliceOptions out of (or into) the whole it lies in.
Copy box_in(const Problem& problem, const Shape& box, const Shape& whole, bool out) {
  const auto& begin = problem.get<SliceOptions>().begin;
  Copy copy;
  int64_t box_stride = 1, whole_stride = 1, first = 0;
  for (int d = whole.rank() - 1; d >= 0; --d) {
    first += begin[static_cast<size_t>(d)] * whole_stride;
    copy.box.add(box[d], {out ? whole_stride : box_stride, out ? box_stride : whole_stride});
    box_stride *= box[d];
    whole_stride *= whole[d];
  }
  (out ? copy.from : copy.to) = first;
  return copy;
}

Prepared prepare_slice(const Problem& problem) {
  const Copy copy = box_in(problem, problem.outputs[0].shape, problem.inputs[0].shape, true);
  const int64_t bytes = bytes_of_element(problem);
  return prepared([=](const Arguments& a) {
    run_copy("slice", copy, bytes, a.inputs[0], a.outputs[0], a.stream);
  });
}

Prepared prepare_slice_backward(const Problem& problem) {
  const Shape& dx = problem.outputs[0].shape;
  const Copy copy = box_in(problem, problem.inputs[0].shape, dx, false);
  const int64_t bytes = bytes_of_element(problem), all = dx.elements() * bytes;
  return prepared([=](const Arguments& a) {
    if (all > 0)
      check(cudaMemsetAsync(a.outputs[0], 0, static_cast<size_t>(all),
                            static_cast<cudaStream_t>(a.stream)),
            "slice_backward could not clear its output");
    run_copy("slice_backward", copy, bytes, a.inputs[0], a.outputs[0], a.stream);
  });
}

Prepared prepare_reshape(const Problem& problem) {
  const int64_t bytes = problem.outputs[0].shape.elements() * bytes_of_element(problem);
  Prepared made = prepared([=](const Arguments& a) {
    if (a.outputs[0] != a.inputs[0])
      copy_bytes("reshape", bytes, a.inputs[0], a.outputs[0], nullptr, a.stream);
  });
  made.in_place = {{0, 0, false, true}};
  return made;
}

Prepared prepare_transpose(const Problem& problem) {
  const Shape &x = problem.inputs[0].shape, &y = problem.outputs[0].shape;
  const std::vector<int> order = transpose_order(problem);
  Copy copy;
  int64_t to = 1;
  for (int d = y.rank() - 1; d >= 0; --d) {
    const int from = order[static_cast<size_t>(d)];
    copy.box.add(y[d], {x.product(from + 1, x.rank()), to});
    to *= y[d];
  }
  const int64_t bytes = bytes_of_element(problem);
  return prepared([=](const Arguments& a) {
    run_copy("transpose", copy, bytes, a.inputs[0], a.outputs[0], a.stream);
  });
}

const bool added = [] {
  add_cuda_entry("concat", "direct", prepare_concat, accepts_all);
  add_cuda_entry("slice", "direct", prepare_slice, accepts_all);
  add_cuda_entry("slice_backward", "direct", prepare_slice_backward, accepts_all);
  add_cuda_entry("reshape", "direct", prepare_reshape, accepts_all);
  add_cuda_entry("transpose", "direct", prepare_transpose, accepts_all);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
