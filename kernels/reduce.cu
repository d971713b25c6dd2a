// Reductions, their gradients and the repetition that they undo, on CUDA devices.
//
// Sums, means and maxima are reductions of reduction.cu, repetition is a copy whose strides are 0.
// Where the place of the largest element counts, a warp looks for it along each reduced row: the
// first NaN, else the first of the largest.
#include <striate/kernels/reduce.h>

#include <striate/kernels/block_sum.cuh>
#include <striate/kernels/copy.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>
#include <striate/kernels/reduction.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

constexpr int kWarp = 32;

/// The walks over what stays and over what is reduced; both count elements of x.
struct Axes {
  Strides<1> kept, reduced;
  Axes(const Shape& shape, const std::vector<bool>& is_reduced) {
    int64_t stride = 1;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      (is_reduced[static_cast<size_t>(d)] ? reduced : kept).add(shape[d], {stride});
      stride *= shape[d];
    }
  }
};

/// A number and its place along the reduced axes.
struct Candidate {
  float value;
  int64_t place;
};

/// Return the place of the winner of row `base`; every lane of the warp gets it.
template <class T>
__device__ int64_t winner_of(const T* x, int64_t base, const Strides<1>& reduced) {
  const int64_t first = threadIdx.x % kWarp;
  Candidate best{-INFINITY, reduced.count};
  int64_t place[1];
  for (int64_t i = first; i < reduced.count; i += kWarp) {
    reduced.find(i, place);
    const float value = to_float(x[base + place[0]]);
    if (i == first || exceeds(value, best.value)) best = {value, i};
  }
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const Candidate other{__shfl_xor_sync(kAllLanes, best.value, distance),
                          __shfl_xor_sync(kAllLanes, best.place, distance)};
    const bool comes_first = other.place < best.place && !exceeds(best.value, other.value);
    if (exceeds(other.value, best.value) || comes_first) best = other;
  }
  return best.place;
}

template <class T>
__global__ void argmax_kernel(const T* x, int64_t* y, const __grid_constant__ Strides<1> kept,
                              const __grid_constant__ Strides<1> reduced) {
  const int64_t row = thread_number() / kWarp;
  if (row >= kept.count) return;
  int64_t base[1];
  kept.find(row, base);
  __builtin_assume(reduced.rank == 1);  // one axis, or all
  const int64_t place = winner_of(x, base[0], reduced);
  if (threadIdx.x % kWarp == 0) y[row] = place;
}

template <class T>
__global__ void max_backward_kernel(const T* dy, const T* x, T* dx,
                                    const __grid_constant__ Strides<1> kept,
                                    const __grid_constant__ Strides<1> reduced) {
  const int64_t row = thread_number() / kWarp;
  if (row >= kept.count) return;
  int64_t base[1], place[1];
  kept.find(row, base);
  const int64_t winner = winner_of(x, base[0], reduced);
  for (int64_t i = threadIdx.x % kWarp; i < reduced.count; i += kWarp) {
    reduced.find(i, place);
    dx[base[0] + place[0]] = i == winner ? dy[row] : from_float<T>(0);
  }
}

ReduceOptions options_of(const Problem& problem) {
  return problem.options ? problem.get<ReduceOptions>() : ReduceOptions();
}

std::vector<bool> axes_of(const Problem& problem, size_t input) {
  return reduced_axes(options_of(problem), problem.inputs[input].shape.rank());
}

Prepared prepare_reduction(const Problem& problem, Reduction::Kind kind,
                           const std::vector<bool>& axes, bool mean) {
  const Shape& x = problem.inputs[0].shape;
  const int64_t results = problem.outputs[0].shape.elements();
  // Nothing has mean NaN: 0 times infinity.
  const float terms = results > 0 ? static_cast<float>(x.elements() / results) : 1.0f;
  const Reduction reduction(kind, x, axes, mean ? 1 / terms : 1);
  const DType dtype = problem.inputs[0].dtype;
  const std::string name = problem.operation;
  return prepared([=](const Arguments& a) { reduction.run(name.c_str(), dtype, a); },
                  reduction.workspace());
}

Prepared prepare_argmax(const Problem& problem) {
  const Axes axes(problem.inputs[0].shape, axes_of(problem, 0));
  const DType dtype = problem.inputs[0].dtype;
  return prepared([=](const Arguments& a) {
    with_type(dtype, [&](auto zero) {
      using T = decltype(zero);
      if (axes.reduced.count == 0) return;  // no element has a place
      launch("argmax", argmax_kernel<T>, flat_grid(axes.kept.count * kWarp), a.stream,
             static_cast<const T*>(a.inputs[0]), static_cast<int64_t*>(a.outputs[0]), axes.kept,
             axes.reduced);
    });
  });
}

Prepared prepare_max_backward(const Problem& problem) {
  const Axes axes(problem.inputs[1].shape, axes_of(problem, 1));
  const DType dtype = problem.inputs[0].dtype;
  return prepared([=](const Arguments& a) {
    with_type(dtype, [&](auto zero) {
      using T = decltype(zero);
      launch("reduce_max_backward", max_backward_kernel<T>, flat_grid(axes.kept.count * kWarp),
             a.stream, static_cast<const T*>(a.inputs[0]), static_cast<const T*>(a.inputs[1]),
             static_cast<T*>(a.outputs[0]), axes.kept, axes.reduced);
    });
  });
}

Prepared prepare_broadcast(const Problem& problem) {
  const Shape& y = problem.outputs[0].shape;
  const Strides<2> box = broadcast<2>(y, {&problem.inputs[0].shape, &y});
  const auto bytes = static_cast<int64_t>(size_of(problem.inputs[0].dtype));
  return prepared([=](const Arguments& a) {
    copy_box("broadcast_to", box, bytes, a.inputs[0], a.outputs[0], a.stream);
  });
}

std::string takes_float_values(const Problem& problem) { return takes_floats(problem, 0, 1); }

const bool added = [] {
  const auto over_axes = [](const char* name, Reduction::Kind kind, bool mean) {
    add_cuda_entry(
        name, "direct",
        [=](const Problem& p) { return prepare_reduction(p, kind, axes_of(p, 0), mean); },
        takes_float_values);
  };
  over_axes("reduce_sum", Reduction::Kind::kSum, false);
  over_axes("reduce_mean", Reduction::Kind::kSum, true);
  over_axes("reduce_max", Reduction::Kind::kMax, false);
  add_cuda_entry(
      "sum_to", "direct",
      [](const Problem& p) {
        return prepare_reduction(p, Reduction::Kind::kSum,
                                 repeated_axes(p.outputs[0].shape, p.inputs[0].shape), false);
      },
      takes_float_values);
  add_cuda_entry("argmax", "direct", prepare_argmax, takes_float_values);
  add_cuda_entry("reduce_max_backward", "direct", prepare_max_backward,
                 [](const Problem& p) { return takes_floats(p, 0, 2); });
  add_cuda_entry("broadcast_to", "direct", prepare_broadcast,
                 [](const Problem&) { return std::string(); });
  return true;
}();

}  // namespace
}  // namespace striate::kernels
