// How the host chooses and launches the tiles of products on tensor cores.
#pragma once

#include <memory>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/gemm_launch.cuh>
#include <striate/kernels/tensor_tile.cuh>
#include <string>

namespace striate::cuda {

/// Return why tensor cores cannot take a problem's types or its device; empty: they can.
std::string declines_tensors(const kernels::Problem& problem);

/// Prepare `name`, another entry of the same operation that takes every problem: views that do not
/// start at multiples of 16 bytes go there.
kernels::Prepared prepare_other(const kernels::Problem& problem, const char* name);

inline kernels::GemmPlan plan_tensors(const kernels::GemmSize& size, bool through_workspace) {
  kernels::GemmChoice choice;
  choice.large = choice.medium = choice.small = false;
  choice.tensor = true;
  choice.through_workspace = through_workspace;
  choice.depth_step = 32;
  return kernels::plan_gemm(size, choice);
}

/// Return the grid of a plan for a tensor tile's type.
template <class Tile>
Grid tensor_grid(const kernels::GemmPlan& plan) {
  return {plan.blocks, plan.slices, 1, Tile::kThreads, Tile::kSharedBytes};
}

/// Make a run that takes aligned values and gives all others to `other`.
template <class Run>
kernels::Prepared prepared_with_other(const kernels::Problem& problem, const char* other, Run run,
                                      const kernels::GemmPlan& plan) {
  auto singly = std::make_shared<kernels::Prepared>(prepare_other(problem, other));
  const size_t workspace = std::max(plan.workspace, singly->workspace);
  kernels::Prepared made = kernels::prepared(
      [=, inputs = problem.inputs.size(),
       outputs = problem.outputs.size()](const kernels::Arguments& a) {
        bool aligned = true;
        for (size_t i = 0; i < inputs; ++i) aligned = aligned && all_aligned(a.inputs[i]);
        for (size_t i = 0; i < outputs; ++i) aligned = aligned && all_aligned(a.outputs[i]);
        aligned ? run(a) : singly->kernel->run(a);
      },
      workspace);
  made.detail = plan.to_string();
  return made;
}

}  // namespace striate::cuda
