// How CUDA kernels enter the list of their operation.
#pragma once

#include <striate/kernels/impl.h>

#include <cstdint>
#include <string>
#include <utility>

namespace striate::kernels {

/// Return why a problem with other element types than float32, float16 and bfloat16 among its
/// inputs [first, last) is declined; empty when there is none. All must be of one type.
std::string takes_floats(const Problem& problem, size_t first, size_t last);

/// Add an entry for CUDA devices. `declines` may be empty: it takes every problem of its operation
/// whose inputs are floats. Its efficiency is the expected fraction of the roofline; `gates` says
/// that it applies a problem's gate.
void add_cuda_entry(std::string operation, std::string name,
                    std::function<Prepared(const Problem&)> prepare,
                    std::function<std::string(const Problem&)> declines = {},
                    double efficiency = 0.7, bool gates = false);

/// Prepare a run of dense values.
template <class Run>
Prepared prepared(Run run, size_t workspace = 0) {
  Prepared made;
  made.kernel = make_kernel(std::move(run));
  made.workspace = workspace;
  return made;
}

/// Prepare an elementwise run: the first output may take the memory of each input of its size.
template <class Run>
Prepared elementwise(const Problem& problem, Run run) {
  Prepared made = prepared(std::move(run));
  for (size_t i = 0; i < problem.inputs.size(); ++i)
    if (problem.inputs[i].shape == problem.outputs[0].shape &&
        problem.inputs[i].dtype == problem.outputs[0].dtype)
      made.in_place.push_back({0, static_cast<int>(i), false});
  return made;
}

/// True when the first `inputs` inputs and the first output start at multiples of 16 bytes.
bool are_aligned(const Arguments& arguments, size_t inputs);

}  // namespace striate::kernels
