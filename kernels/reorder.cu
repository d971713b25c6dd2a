// Copies of whole values, and the check that values are finite, on CUDA devices.
//
//   reorder       x, [step_block] -> y         y = x, unless the step block's fault is set
//   check_finite  x..., step_block ->          fault = 1 when an element is infinite or NaN
//
// All values of a device are dense, so a reorder moves bytes. `check_finite` reads many values in
// one launch: a table of pointers is the kernel's parameter, each block finds its piece in it.
#include <striate/kernels/reorder.h>

#include <striate/kernels/copy.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>
#include <striate/kernels/tensor_table.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

Prepared prepare_reorder(const Problem& problem) {
  const int64_t bytes =
      problem.outputs[0].shape.elements() * static_cast<int64_t>(size_of(problem.inputs[0].dtype));
  const bool conditional = problem.has_input(1);
  return prepared([=](const Arguments& a) {
    const auto* block = conditional ? static_cast<const StepBlock*>(a.inputs[1]) : nullptr;
    copy_bytes("reorder", bytes, a.inputs[0], a.outputs[0], block, a.stream);
  });
}

template <class T>
__global__ void check_finite_kernel(const __grid_constant__ TensorTable<1> table,
                                    StepBlock* block) {
  const Piece piece = table.find(blockIdx.x);
  const T* x = static_cast<const T*>(table.data[0][piece.tensor]);
  bool finite = true;
  for_piece<Pack<T>::kSize>(piece, table.vectors, [&](int64_t i, auto size) {
    const Pack<T> pack = load_some<size>(x + i);
    for (int k = 0; k < size; ++k) finite = finite && isfinite(to_float(pack.at[k]));
  });
  // Whoever finds one writes the same number.
  if (!finite) atomicOr(&block->fault, 1u);
}

Prepared prepare_check_finite(const Problem& problem) {
  const size_t values = problem.inputs.size() - 1;
  const std::vector<int64_t> counts = element_counts(problem, 0, values);
  const DType dtype = values > 0 ? problem.inputs[0].dtype : DType::kF32;
  return prepared([=](const Arguments& a) {
    auto* block = static_cast<StepBlock*>(const_cast<void*>(a.inputs[values]));
    const auto data = [&](size_t, size_t tensor) { return const_cast<void*>(a.inputs[tensor]); };
    with_type(dtype, [&](auto zero) {
      using T = decltype(zero);
      for_tables<1>(counts, data, [&](const TensorTable<1>& table) {
        launch("check_finite", check_finite_kernel<T>, table.grid(), a.stream, table, block);
      });
    });
  });
}

const bool added = [] {
  add_cuda_entry("reorder", "direct", prepare_reorder,
                 [](const Problem&) { return std::string(); });
  add_cuda_entry("check_finite", "direct", prepare_check_finite, [](const Problem& problem) {
    return takes_floats(problem, 0, problem.inputs.size() - 1);
  });
  return true;
}();

}  // namespace
}  // namespace striate::kernels
