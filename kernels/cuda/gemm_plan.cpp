#include <striate/kernels/gemm_plan.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <striate/kernels/last_block.cuh>

namespace striate::kernels {
namespace {

struct TileFacts {
  GemmTile tile;
  int64_t rows, columns;
  double per_cycle;  // multiply-adds of a multiprocessor
  const char* name;
};
// An A100's multiprocessor has 64 multipliers on CUDA cores and 1024 of 16 bits on tensor cores. A
// tile keeps about that share of them busy that multiply-adds have among the instructions of its
// main loop, or on tensor cores that which shared memory feeds.
constexpr TileFacts kTiles[] = {{GemmTile::kLarge, 128, 128, 64 * 0.85, "128x128"},
                                {GemmTile::kMedium, 128, 64, 64 * 0.73, "128x64"},
                                {GemmTile::kSmall, 64, 32, 64 * 0.65, "64x32"},
                                {GemmTile::kTensorLarge, 128, 128, 1024 * 0.6, "128x128"},
                                {GemmTile::kTensorSmall, 64, 64, 1024 * 0.4, "64x64"}};

constexpr int64_t kMultiprocessors = 108;  // an A100's
constexpr double kBytesPerCycle = 1000, kLaunchCycles = 4000;
constexpr double kBlockBytesPerCycle = 64, kLatencyCycles = 1500;  // of one block
constexpr double kDepthOfEnds = 24;  // a block's start and end, as steps of depth
// Alone on its multiprocessor a block waits for memory with nobody to take its place, which the
// estimate knows nothing of. So a grid that leaves multiprocessors idle must promise to be so much
// quicker than one that does not, and is never taken where filling them takes this long: launches
// and second passes, which may be most of a small product, are no excuse there.
constexpr double kIdlePenalty = 1.25, kLongCycles = 30000;
constexpr int64_t kMaxSlices = 256, kLeastSliceDepth = 32;
constexpr int64_t kMaxSliceDepth = int64_t{1} << 30;  // kernels count it in 32 bits
constexpr int64_t kMaxWorkspace = int64_t{256} << 20;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool offers(const GemmChoice& choice, GemmTile tile) {
  switch (tile) {
    case GemmTile::kLarge:
      return choice.large;
    case GemmTile::kMedium:
      return choice.medium;
    case GemmTile::kSmall:
      return choice.small;
    default:
      return choice.tensor;
  }
}

/// Return the offered tile that the environment variable STRIATE_TILE names ("128x64"), or null.
/// Tests reach the large tiles on small problems by it.
const TileFacts* wanted_tile(const GemmChoice& choice) {
  const char* name = std::getenv("STRIATE_TILE");
  for (const TileFacts& facts : kTiles)
    if (name && offers(choice, facts.tile) && std::string(name) == facts.name) return &facts;
  return nullptr;
}

/// Return the cycles of a second pass that adds the slices.
double pass_cycles(const GemmSize& size, const GemmPlan& plan) {
  return static_cast<double>(plan.slices + 1) * 4 * static_cast<double>(size.outputs) /
             kBytesPerCycle +
         kLaunchCycles;
}

/// Return the cycles of the last block of a tile that adds its slices; those of other tiles do so
/// at the same time.
double last_block_cycles(const GemmSize& size, const GemmPlan& plan) {
  const double waves = static_cast<double>(divide_up(plan.blocks, kMultiprocessors));
  const double outputs = static_cast<double>(size.outputs) / static_cast<double>(plan.blocks);
  return waves * static_cast<double>(plan.slices) * 4 * outputs / kBlockBytesPerCycle +
         kLatencyCycles;
}

double cycles(const GemmSize& size, const TileFacts& tile, const GemmPlan& plan) {
  const double waves = static_cast<double>(divide_up(plan.blocks * plan.slices, kMultiprocessors));
  const double depth = static_cast<double>(plan.slice_depth) + kDepthOfEnds;
  double sum = waves * depth * static_cast<double>(tile.rows * tile.columns) / tile.per_cycle;
  if (plan.workspace > 0)
    sum +=
        static_cast<double>(plan.slices) * 4 * static_cast<double>(size.outputs) / kBytesPerCycle +
        (plan.last_adds ? last_block_cycles(size, plan) : pass_cycles(size, plan));
  return sum;
}

/// A plan with the cycles that it is estimated to take.
struct Estimated {
  GemmPlan plan;
  double cycles = std::numeric_limits<double>::infinity();

  void take_if_less(const GemmPlan& other, double estimate) {
    if (estimate < cycles) plan = other, cycles = estimate;
  }
};

}  // namespace

std::string GemmPlan::to_string() const {
  std::string text;
  for (const TileFacts& facts : kTiles)
    if (facts.tile == tile) text = facts.name;
  if (slices > 1) text += ", " + std::to_string(slices) + " slices";
  if (slices > 1 && has_second_pass()) text += " in two passes";
  return text;
}

GemmPlan plan_gemm(const GemmSize& size, const GemmChoice& choice) {
  Estimated full, idle;  // the best that fill the multiprocessors, and that leave some idle
  const TileFacts* wanted = wanted_tile(choice);
  for (const TileFacts& facts : kTiles) {
    if (!offers(choice, facts.tile) || (wanted && wanted != &facts)) continue;
    for (int64_t slices = 1; slices <= kMaxSlices; slices += slices < 8 ? 1 : slices / 4) {
      GemmPlan plan;
      plan.tile = facts.tile;
      plan.row_tiles = divide_up(size.rows, facts.rows);
      plan.column_tiles = divide_up(size.columns, facts.columns);
      plan.blocks = plan.row_tiles * plan.column_tiles * size.batch;
      const int64_t share = divide_up(size.depth, slices);
      plan.slice_depth = divide_up(share, choice.depth_step) * choice.depth_step;
      plan.slices =
          std::max<int64_t>(1, divide_up(size.depth, std::max<int64_t>(1, plan.slice_depth)));
      if (plan.slice_depth > kMaxSliceDepth) continue;
      const int64_t bytes = plan.slices * size.outputs * 4;
      if (slices > 1 &&
          (plan.slices == 1 || plan.slice_depth < kLeastSliceDepth || bytes > kMaxWorkspace))
        break;
      if (plan.slices > 1 || choice.through_workspace) plan.workspace = static_cast<size_t>(bytes);
      plan.last_adds = plan.slices > 1 && choice.last_may_add && facts.tile != GemmTile::kLarge &&
                       plan.blocks <= cuda::kMostSharedTiles &&
                       last_block_cycles(size, plan) <= pass_cycles(size, plan);
      const bool fills = plan.blocks * plan.slices >= kMultiprocessors;
      (fills ? full : idle).take_if_less(plan, cycles(size, facts, plan));
    }
  }
  if (full.plan.blocks == 0) return idle.plan;
  return full.cycles < kLongCycles && idle.cycles * kIdlePenalty < full.cycles ? idle.plan
                                                                               : full.plan;
}

}  // namespace striate::kernels
