// Chains of functions of elements on CUDA devices: one pass over memory for all of them.
//
//   y[i] = f_n(... f_2(f_1(x[i]), other_2[i]) ...)
//
// The steps are the kernel's parameters and read by all threads alike; a step costs a few
// instructions, and memory sets the pace. One thread computes four consecutive elements, in float32
// whatever the values' types are.
#include <striate/kernels/chain.h>
#include <striate/kernels/chain_functions.h>

#include <cstdlib>
#include <striate/kernels/any_element.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

constexpr int kFour = 4;

struct ChainInput {
  const void* data;
  DType dtype;
  bool single;  // one element for all
};

struct Chain {
  struct Step {
    int function, other;
    float alpha;
  };
  Step steps[kMostChainSteps];
  ChainInput inputs[kMostChainInputs];
  void* y;
  int64_t count;
  int length;
  bool vectors;
};

template <class T>
__device__ void load_four(const void* data, int64_t i, float (&v)[kFour]) {
  const auto four = *reinterpret_cast<const Group<T, kFour>*>(static_cast<const T*>(data) + i);
#pragma unroll
  for (int e = 0; e < kFour; ++e) v[e] = to_float(four.at[e]);
}

__device__ float load_one(const ChainInput& input, int64_t i) {
  if (input.dtype == DType::kF32) return static_cast<const float*>(input.data)[i];
  if (input.dtype == DType::kF16) return to_float(static_cast<const __half*>(input.data)[i]);
  return to_float(static_cast<const __nv_bfloat16*>(input.data)[i]);
}

/// Load the elements from i on, those that are there.
__device__ void load(const ChainInput& input, int64_t i, int64_t count, bool vectors,
                     float (&v)[kFour]) {
  if (vectors && !input.single && i + kFour <= count) {
    if (input.dtype == DType::kF32) return load_four<float>(input.data, i, v);
    if (input.dtype == DType::kF16) return load_four<__half>(input.data, i, v);
    return load_four<__nv_bfloat16>(input.data, i, v);
  }
#pragma unroll
  for (int e = 0; e < kFour; ++e)
    if (i + e < count) v[e] = load_one(input, input.single ? 0 : i + e);
}

template <class T>
__global__ void chain_kernel(const __grid_constant__ Chain p) {
  const int64_t i = thread_number() * kFour;
  if (i >= p.count) return;
  float v[kFour] = {}, other[kFour] = {};
  load(p.inputs[0], i, p.count, p.vectors, v);
  __builtin_assume(p.length > 0);
#pragma unroll 1
  for (int s = 0; s < p.length; ++s) {
    const Chain::Step& step = p.steps[s];
    if (step.other != 0) load(p.inputs[abs(step.other)], i, p.count, p.vectors, other);
    if (step.other < 0)
#pragma unroll
      for (int e = 0; e < kFour; ++e) {
        const float before = v[e];
        v[e] = other[e], other[e] = before;
      }
    with_chain_function(step.function, [&](auto f) {
#pragma unroll
      for (int e = 0; e < kFour; ++e) v[e] = f(v[e], other[e], step.alpha);
    });
  }
  T* y = static_cast<T*>(p.y) + i;
  if (p.vectors && i + kFour <= p.count) {
    Group<T, kFour> four;
#pragma unroll
    for (int e = 0; e < kFour; ++e) four.at[e] = from_float<T>(v[e]);
    *reinterpret_cast<Group<T, kFour>*>(y) = four;
    return;
  }
#pragma unroll
  for (int e = 0; e < kFour; ++e)
    if (i + e < p.count) y[e] = from_float<T>(v[e]);
}

Prepared prepare(const Problem& problem) {
  Chain chain = {};
  for (const ChainStep& step : chain_steps(problem.get<ChainOptions>().steps))
    chain.steps[chain.length++] = {chain_function(step.function), step.other, step.alpha};
  chain.count = problem.outputs[0].shape.elements();
  const size_t inputs = problem.inputs.size();
  for (size_t i = 0; i < inputs; ++i)
    chain.inputs[i] = {nullptr, problem.inputs[i].dtype,
                       problem.inputs[i].shape.elements() == 1 && chain.count != 1};
  return elementwise(problem, [=, dtype = problem.outputs[0].dtype](const Arguments& a) {
    Chain p = chain;
    p.y = a.outputs[0];
    p.vectors = reinterpret_cast<uintptr_t>(p.y) % 16 == 0;
    for (size_t i = 0; i < inputs; ++i) {
      p.inputs[i].data = a.inputs[i];
      p.vectors =
          p.vectors && (p.inputs[i].single || reinterpret_cast<uintptr_t>(a.inputs[i]) % 16 == 0);
    }
    with_type(dtype, [&](auto zero) {
      launch("chain", chain_kernel<decltype(zero)>, flat_grid(p.count, kFour), a.stream, p);
    });
  });
}

std::string declines(const Problem& problem) {
  if (problem.inputs.size() > kMostChainInputs) return "takes at most 4 values";
  if (chain_steps(problem.get<ChainOptions>().steps).size() > kMostChainSteps)
    return "takes at most 8 steps";
  for (size_t i = 0; i < problem.inputs.size(); ++i) {
    const std::string reason = takes_floats(problem, i, i + 1);
    if (!reason.empty()) return reason;
  }
  return "";
}

const bool added = [] {
  add_cuda_entry("chain", "direct", prepare, declines);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
