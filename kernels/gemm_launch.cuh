// How the host chooses and launches the tiles of products on CUDA cores.
#pragma once

#include <striate/kernels/gemm_plan.h>

#include <algorithm>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/gemm_store.cuh>
#include <striate/kernels/launch.cuh>
#include <type_traits>

namespace striate::cuda {

/// Call `run(Tile, std::true_type())` with the type of a plan's tile for elements by fours.
template <int depth, class Run>
void with_vector_tile(kernels::GemmTile tile, Run run) {
  using kernels::GemmTile;
  if (tile == GemmTile::kLarge) return run(Tile<128, 128, 8, 8, 8>(), std::true_type());
  if (tile == GemmTile::kMedium) return run(Tile<128, 64, 8, 4, depth>(), std::true_type());
  run(Tile<64, 32, 8, 4, depth>(), std::true_type());
}

/// Call `run(Tile, vectors)` with the types of a plan's tile. The tiles of float32 go from
/// 128 x 128 down; the 16-bit types, for which tensor cores are the rule, have one of each kind.
template <class T, int vector_depth, class Run>
void with_tile(kernels::GemmTile tile, bool vectors, Run run) {
  if constexpr (std::is_same_v<T, float>) {
    if (vectors) return with_vector_tile<vector_depth>(tile, run);
    if (tile == kernels::GemmTile::kMedium) return run(Tile<128, 64, 8, 4, 8>(), std::false_type());
  } else {
    if (vectors) return run(Tile<128, 64, 8, 4, vector_depth>(), std::true_type());
  }
  run(Tile<64, 32, 8, 4, 8>(), std::false_type());
}

/// What a problem asks of its plans: sums through the workspace, the largest tile, and the depth of
/// a step where elements go by fours.
struct GemmRules {
  bool through_workspace = false, may_be_large = true;
  int vector_depth = 8;
  bool scalars_are_small = false;  // only the smallest tile is compiled for single elements
};

/// The plans of one problem: by fours of elements where sizes and addresses allow it, and singly.
struct GemmPlans {
  bool may_use_vectors = false;
  kernels::GemmPlan vectors, scalars;

  GemmPlans(const kernels::GemmSize& size, DType dtype, bool fours, const GemmRules& rules = {})
      : may_use_vectors(fours),
        vectors(kernels::plan_gemm(size, choice(dtype, true, rules))),
        scalars(kernels::plan_gemm(size, choice(dtype, false, rules))) {}

  size_t workspace() const {
    return std::max(may_use_vectors ? vectors.workspace : 0, scalars.workspace);
  }
  std::string detail() const {
    return may_use_vectors ? vectors.to_string() + ", vectors" : scalars.to_string();
  }

 private:
  static kernels::GemmChoice choice(DType dtype, bool fours, const GemmRules& rules) {
    const bool is_float = dtype == DType::kF32;
    kernels::GemmChoice choice;
    choice.large = fours && is_float && rules.may_be_large;
    choice.medium = fours || (is_float && !rules.scalars_are_small);
    choice.small = !fours || is_float;
    choice.through_workspace = rules.through_workspace;
    choice.last_may_add = !rules.through_workspace;
    choice.depth_step = fours ? rules.vector_depth : 8;
    return choice;
  }
};

/// Tell a destination where a plan's slices go and who adds them; `outputs`: of a slice.
template <class T>
void set_slices(Destination<T>& to, const kernels::GemmPlan& plan, int64_t outputs,
                void* workspace) {
  to.slice_pitch = outputs;
  if (plan.workspace > 0) to.slices = static_cast<float*>(workspace);
  if (plan.last_adds) to.last_adds = static_cast<int>(plan.slices);
}

/// Return the grid of a plan for a tile's type.
template <class Tile>
Grid grid_of(const kernels::GemmPlan& plan) {
  return {plan.blocks, plan.slices, 1, Tile::kThreads, 0};
}

/// True when all of the pointers are multiples of 16 or null.
template <class... Pointers>
bool all_aligned(Pointers... pointers) {
  return ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
}

}  // namespace striate::cuda
