// A step in shards of the batch: their gradients summed by a tree, their state kept for a failure.
#include <striate/core/parallel.h>
#include <striate/layers/graph/program.h>

#include <algorithm>
#include <bit>

namespace striate {

// A shard that fails comes after others that have stored their statistics.
void Program::keep_state() {
  for (size_t i = 0; i < shard_state_.size(); ++i)
    copy(kept_state_[i]->data(), plan_.variables[shard_state_[i]]->storage()->data(),
         kept_state_[i]->bytes());
}

void Program::restore_state() {
  for (size_t i = 0; i < shard_state_.size(); ++i)
    copy(plan_.variables[shard_state_[i]]->storage()->data(), kept_state_[i]->data(),
         kept_state_[i]->bytes());
}

void Program::run_shard(const std::vector<Tensor>& outputs, int shard, int64_t step) {
  run_steps(plan_.steps, 0, plan_.state_begin);
  if (on_device()) receive();
  if (checks_losses()) check_finite(outputs, step);
  run_steps(plan_.steps, plan_.state_begin, plan_.update_begin);
  if (options_.shards == 1) return;
  if (add_) sum_part(*add_, 0, shard);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i].shape().rank() == 0) sums_[i] += scalar(outputs, i);
}

std::unique_ptr<kernels::Kernel> Program::make_addition() const {
  kernels::Problem problem;
  problem.operation = "add";
  problem.options = std::make_shared<NoOptions>();
  const Shape shape({static_cast<int64_t>(plan_.gradient_bytes / sizeof(float))});
  problem.inputs = {{shape, DType::kF32, {}}, {shape, DType::kF32, {}}};
  problem.outputs = {{shape, DType::kF32, {}}};
  problem.device = options_.device;
  problem.threads = threads();
  return std::move(kernels::choose(problem).prepared.kernel);
}

/// Prepare the sum of the shards' gradients, and have room for it behind the arena's values.
void Program::make_sums() {
  add_ = nullptr;
  parts_ = options_.shards / std::max(1, options_.lanes);
  waiting_ = plan_.arena_bytes;
  if (options_.shards == 1 || plan_.gradient_bytes == 0) return;
  add_ = make_addition();
  if (parts_ > 1) plan_.arena_bytes += plan_.gradient_bytes * levels();
}

/// Return how many sums of parts can wait at once.
size_t Program::levels() const {
  return static_cast<size_t>(std::bit_width(static_cast<unsigned>(parts_)));
}

void Program::add_region(kernels::Kernel& add, size_t from_offset, size_t to_offset) {
  const char* base = arena_->data();
  const void* inputs[] = {base + from_offset, base + to_offset};
  void* outputs[] = {arena_->data() + to_offset};
  Backend& device = backend(options_.device.type);
  add.run({inputs, outputs, nullptr, device.stream(options_.device.index)});
}

// The gradients of the parts, shards that share memory from `base` on, are summed like the bits of
// a counter: a sum of 2^k waits at level k until its neighbour is done. The order depends on the
// number of parts alone.
void Program::sum_part(kernels::Kernel& add, size_t base, int part) {
  const size_t region = base + plan_.gradient_offset, bytes = plan_.gradient_bytes;
  size_t level = 0;
  for (; part >> level & 1; ++level) add_region(add, base + waiting_ + level * bytes, region);
  copy(arena_->data() + base + waiting_ + level * bytes, arena_->data() + region, bytes);
}

void Program::sum_remaining(kernels::Kernel& add, size_t base) {
  const size_t region = base + plan_.gradient_offset, bytes = plan_.gradient_bytes;
  bool first = true;
  for (size_t level = 0; level < levels(); ++level) {
    if (!(parts_ >> level & 1)) continue;
    const size_t from = base + waiting_ + level * bytes;
    if (first)
      copy(arena_->data() + region, arena_->data() + from, bytes);
    else
      add_region(add, from, region);
    first = false;
  }
}

}  // namespace striate
