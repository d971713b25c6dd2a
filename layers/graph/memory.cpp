#include <striate/layers/graph/plan.h>

#include <algorithm>

namespace striate {
namespace {

struct Block {
  size_t bytes = 0, offset = 0;
  int first = 0, last = 0;
};

/// Place the largest blocks first, each into the smallest gap that holds it (best fit).
size_t place_blocks(std::vector<Block*> blocks) {
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const Block* a, const Block* b) { return a->bytes > b->bytes; });
  size_t total = 0;
  std::vector<Block*> placed;  // by offset
  for (Block* block : blocks) {
    size_t best = ~size_t{0}, best_gap = ~size_t{0}, end = 0;
    for (const Block* other : placed) {
      if (other->last < block->first || other->first > block->last) continue;
      if (other->offset >= end) {
        const size_t gap = other->offset - end;
        if (gap >= block->bytes && gap < best_gap) best = end, best_gap = gap;
      }
      end = std::max(end, other->offset + other->bytes);
    }
    block->offset = best == ~size_t{0} ? end : best;
    total = std::max(total, block->offset + block->bytes);
    if (total > kMostBytes)
      throw ShapeError("a program has at most 2^60 bytes", std::to_string(total),
                       "Take a smaller batch");
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), block,
                         [](const Block* a, const Block* b) { return a->offset < b->offset; }),
        block);
  }
  return total;
}

}  // namespace

size_t lay_out_memory(std::vector<PlanValue>& values, Place place, size_t alignment) {
  const auto round_up = [&](size_t bytes) {
    return (bytes + alignment - 1) / alignment * alignment;
  };
  Block region;
  region.first = 1 << 30;
  region.last = -1;
  std::vector<PlanValue*> owners, gradients;
  for (size_t i = 0; i < values.size(); ++i) {
    PlanValue& value = values[i];
    if (value.place != place || value.root != static_cast<int>(i) || value.first < 0) continue;
    (value.gradient ? gradients : owners).push_back(&value);
  }
  std::stable_sort(gradients.begin(), gradients.end(),
                   [](const PlanValue* a, const PlanValue* b) { return a->first < b->first; });
  for (PlanValue* value : gradients) {
    value->offset = region.bytes;
    region.bytes += round_up(value->bytes);
    region.first = std::min(region.first, value->first);
    region.last = std::max(region.last, value->last);
  }
  std::vector<Block> blocks(owners.size());
  std::vector<Block*> pointers;
  if (!gradients.empty()) pointers.push_back(&region);
  for (size_t i = 0; i < owners.size(); ++i) {
    blocks[i] = {round_up(owners[i]->bytes), 0, owners[i]->first, owners[i]->last};
    pointers.push_back(&blocks[i]);
  }
  const size_t total = place_blocks(std::move(pointers));
  for (size_t i = 0; i < owners.size(); ++i) owners[i]->offset = blocks[i].offset;
  for (PlanValue* value : gradients) value->offset += region.offset;
  return total;
}

}  // namespace striate
