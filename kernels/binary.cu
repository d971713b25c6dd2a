// The functions of two values with broadcasting, and the choice between two, on CUDA devices.
//
//   y[i] = f(a[place of i], b[place of i])
//
// One thread computes 16 bytes of y where all values allow it (equal shapes, one number, a vector
// over rows of whole packs), else one element. The formulas are those of the CPU
// (binary_functions.h).
#include <striate/kernels/binary.h>
#include <striate/kernels/binary_functions.h>

#include <striate/kernels/any_element.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>
#include <striate/kernels/strides.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

template <const auto& table, size_t I>
using FunctionAt = decltype(std::tuple_element_t<I, std::decay_t<decltype(table)>>::function);

/// Load a pack, or repeat one element.
template <class T>
__device__ Pack<T> load(const T* x, int64_t step) {
  if (step != 0) return *reinterpret_cast<const Pack<T>*>(x);
  Pack<T> pack;
  for (T& v : pack.at) v = *x;
  return pack;
}

template <class Y>
__device__ Y result_of(float v) {
  return from_float<Y>(v);
}
template <class Y>
__device__ Y result_of(bool v) {
  return v;
}

template <class T, class Y, class F>
__device__ void apply(const T* a, const T* b, Y* y, const Strides<2>& walk, bool vectors) {
  const F f;
  constexpr int kSize = Pack<T>::kSize;
  const int64_t begin = thread_number() * (vectors ? kSize : 1);
  if (begin >= walk.count) return;
  int64_t place[2];
  if (vectors && begin + kSize <= walk.count) {
    walk.find(begin, place);
    const Pack<T> left = load(a + place[0], walk.stride[0][0]);
    const Pack<T> right = load(b + place[1], walk.stride[1][0]);
    Group<Y, kSize> result;
    for (int i = 0; i < kSize; ++i)
      result.at[i] = result_of<Y>(f(to_float(left.at[i]), to_float(right.at[i])));
    *reinterpret_cast<Group<Y, kSize>*>(y + begin) = result;
    return;
  }
  // One element, or those after the last whole pack.
  const int64_t end = vectors ? walk.count : begin + 1;
  for (int64_t i = begin; i < end; ++i) {
    walk.find(i, place);
    y[i] = result_of<Y>(f(to_float(a[place[0]]), to_float(b[place[1]])));
  }
}

template <class T, size_t I>
__global__ void binary_kernel(const T* a, const T* b, T* y, const __grid_constant__ Strides<2> walk,
                              bool vectors) {
  apply<T, T, FunctionAt<kBinaryFunctions, I>>(a, b, y, walk, vectors);
}

template <class T, size_t I>
__global__ void comparison_kernel(const T* a, const T* b, bool* y,
                                  const __grid_constant__ Strides<2> walk, bool vectors) {
  apply<T, bool, FunctionAt<kComparisons, I>>(a, b, y, walk, vectors);
}

/// Run `start(T, walk, vectors, grid)` for the elements' type.
template <class Start>
Prepared prepare_binary(const Problem& problem, const Start& start) {
  const Strides<2> walk =
      broadcast<2>(problem.outputs[0].shape, {&problem.inputs[0].shape, &problem.inputs[1].shape});
  return elementwise(problem, [problem, walk, start](const Arguments& a) {
    with_type(problem.inputs[0].dtype, [&](auto zero) {
      constexpr int kSize = Pack<decltype(zero)>::kSize;
      const bool vectors = walk.in_groups_of(kSize) && are_aligned(a, 2);
      start(zero, a, walk, vectors, flat_grid(walk.count, vectors ? kSize : 1));
    });
  });
}

template <size_t I>
void add_binary() {
  constexpr const char* name = std::get<I>(kBinaryFunctions).name;
  add_cuda_entry(name, "direct", [](const Problem& problem) {
    return prepare_binary(problem, [](auto zero, const Arguments& a, const Strides<2>& walk,
                                      bool vectors, const Grid& grid) {
      using T = decltype(zero);
      launch(name, binary_kernel<T, I>, grid, a.stream, static_cast<const T*>(a.inputs[0]),
             static_cast<const T*>(a.inputs[1]), static_cast<T*>(a.outputs[0]), walk, vectors);
    });
  });
}

template <size_t I>
void add_comparison() {
  constexpr const char* name = std::get<I>(kComparisons).name;
  add_cuda_entry(name, "direct", [](const Problem& problem) {
    return prepare_binary(problem, [](auto zero, const Arguments& a, const Strides<2>& walk,
                                      bool vectors, const Grid& grid) {
      using T = decltype(zero);
      launch(name, comparison_kernel<T, I>, grid, a.stream, static_cast<const T*>(a.inputs[0]),
             static_cast<const T*>(a.inputs[1]), static_cast<bool*>(a.outputs[0]), walk, vectors);
    });
  });
}

// The choice between two values: any type, by the size of its elements.

template <class Unit>
__global__ void where_kernel(const void* condition, DType condition_type, const Unit* a,
                             const Unit* b, Unit* y, const __grid_constant__ Strides<3> walk) {
  const int64_t i = thread_number();
  if (i >= walk.count) return;
  int64_t place[3];
  walk.find(i, place);
  y[i] = is_not_zero(condition, condition_type, place[0]) ? a[place[1]] : b[place[2]];
}

Prepared prepare_where(const Problem& problem) {
  const Strides<3> walk =
      broadcast<3>(problem.outputs[0].shape,
                   {&problem.inputs[0].shape, &problem.inputs[1].shape, &problem.inputs[2].shape});
  return elementwise(problem, [problem, walk](const Arguments& a) {
    with_element(static_cast<int64_t>(size_of(problem.outputs[0].dtype)), [&](auto zero) {
      using Unit = decltype(zero);
      launch("where", where_kernel<Unit>, flat_grid(walk.count), a.stream, a.inputs[0],
             problem.inputs[0].dtype, static_cast<const Unit*>(a.inputs[1]),
             static_cast<const Unit*>(a.inputs[2]), static_cast<Unit*>(a.outputs[0]), walk);
    });
  });
}

const bool added = [] {
  [&]<size_t... I>(std::index_sequence<I...>) { (add_binary<I>(), ...); }
  (std::make_index_sequence<std::tuple_size_v<decltype(kBinaryFunctions)>>());
  [&]<size_t... I>(std::index_sequence<I...>) { (add_comparison<I>(), ...); }
  (std::make_index_sequence<std::tuple_size_v<decltype(kComparisons)>>());
  add_cuda_entry("where", "direct", prepare_where, [](const Problem&) { return std::string(); });
  return true;
}();

}  // namespace
}  // namespace striate::kernels
