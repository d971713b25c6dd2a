// The functions of one value and their gradients on CUDA devices.
//
//   y[i] = f(x[i], alpha)      dx[i] = f(dy[i], y[i], alpha)
//
// One thread computes 16 bytes of consecutive elements, so that loads and stores are whole vectors;
// the last ones, and all of a view that is not aligned, go one by one. The formulas are those of
// the CPU (unary_functions.h).
#include <striate/kernels/unary.h>
#include <striate/kernels/unary_functions.h>

#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

/// The function at place `I` of a table; kernels cannot take a lambda's type itself.
template <const auto& table, size_t I>
using FunctionAt = decltype(std::tuple_element_t<I, std::decay_t<decltype(table)>>::function);

template <class T, size_t I>
__global__ void unary_kernel(const T* x, T* y, int64_t count, bool vectors, float alpha) {
  const FunctionAt<kUnaryFunctions, I> f;
  constexpr int kSize = Pack<T>::kSize;
  const int64_t begin = thread_number() * kSize;
  if (begin >= count) return;
  if (vectors && begin + kSize <= count) {
    Pack<T> pack = *reinterpret_cast<const Pack<T>*>(x + begin);
#pragma unroll  // else the pack would lie in local memory
    for (T& v : pack.at) v = from_float<T>(f(to_float(v), alpha));
    *reinterpret_cast<Pack<T>*>(y + begin) = pack;
    return;
  }
  for (int64_t i = begin; i < count && i < begin + kSize; ++i)
    y[i] = from_float<T>(f(to_float(x[i]), alpha));
}

template <class T, size_t I>
__global__ void unary_backward_kernel(const T* dy, const T* y, T* dx, int64_t count, bool vectors,
                                      float alpha) {
  const FunctionAt<kUnaryBackwardFunctions, I> f;
  constexpr int kSize = Pack<T>::kSize;
  const int64_t begin = thread_number() * kSize;
  if (begin >= count) return;
  if (vectors && begin + kSize <= count) {
    Pack<T> pack = *reinterpret_cast<const Pack<T>*>(dy + begin);
    const Pack<T> output = *reinterpret_cast<const Pack<T>*>(y + begin);
#pragma unroll
    for (int i = 0; i < kSize; ++i)
      pack.at[i] = from_float<T>(f(to_float(pack.at[i]), to_float(output.at[i]), alpha));
    *reinterpret_cast<Pack<T>*>(dx + begin) = pack;
    return;
  }
  for (int64_t i = begin; i < count && i < begin + kSize; ++i)
    dx[i] = from_float<T>(f(to_float(dy[i]), to_float(y[i]), alpha));
}

float alpha_of(const Problem& problem) {
  return static_cast<float>(problem.options ? problem.get<UnaryOptions>().alpha : 1);
}

template <size_t I>
void add_unary() {
  constexpr const char* name = std::get<I>(kUnaryFunctions).name;
  add_cuda_entry(name, "direct", [](const Problem& problem) {
    const float alpha = alpha_of(problem);
    const int64_t count = problem.outputs[0].shape.elements();
    return elementwise(problem, [=](const Arguments& a) {
      with_type(problem.inputs[0].dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(name, unary_kernel<T, I>, flat_grid(count, Pack<T>::kSize), a.stream,
               static_cast<const T*>(a.inputs[0]), static_cast<T*>(a.outputs[0]), count,
               are_aligned(a, 1), alpha);
      });
    });
  });
}

template <size_t I>
void add_unary_backward() {
  constexpr const char* name = std::get<I>(kUnaryBackwardFunctions).name;
  add_cuda_entry(name, "direct", [](const Problem& problem) {
    const float alpha = alpha_of(problem);
    const int64_t count = problem.outputs[0].shape.elements();
    return elementwise(problem, [=](const Arguments& a) {
      with_type(problem.inputs[0].dtype, [&](auto zero) {
        using T = decltype(zero);
        launch(name, unary_backward_kernel<T, I>, flat_grid(count, Pack<T>::kSize), a.stream,
               static_cast<const T*>(a.inputs[0]), static_cast<const T*>(a.inputs[1]),
               static_cast<T*>(a.outputs[0]), count, are_aligned(a, 2), alpha);
      });
    });
  });
}

const bool added = [] {
  [&]<size_t... I>(std::index_sequence<I...>) { (add_unary<I>(), ...); }
  (std::make_index_sequence<std::tuple_size_v<decltype(kUnaryFunctions)>>());
  [&]<size_t... I>(std::index_sequence<I...>) { (add_unary_backward<I>(), ...); }
  (std::make_index_sequence<std::tuple_size_v<decltype(kUnaryBackwardFunctions)>>());
  return true;
}();

}  // namespace
}  // namespace striate::kernels
