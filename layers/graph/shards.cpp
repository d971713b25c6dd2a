// A step in shards of the batch: their gradients summed by a tree, their state kept for a failure.
#include <striate/layers/graph/program.h>

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
  if (add_) sum_shard(shard);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i].shape().rank() == 0) sums_[i] += scalar(outputs, i);
}

void Program::add_region(size_t from_offset, size_t to_offset) {
  const char* base = arena_->data();
  const void* inputs[] = {base + from_offset, base + to_offset};
  void* outputs[] = {arena_->data() + to_offset};
  Backend& device = backend(options_.device.type);
  add_->run({inputs, outputs, nullptr, device.stream(options_.device.index)});
}

// The gradients of the shards are summed like the bits of a counter: a sum of 2^k shards waits at
// level k until its neighbour is done. The order depends on the number of shards alone.
void Program::sum_shard(int shard) {
  const size_t region = plan_.gradient_offset, bytes = plan_.gradient_bytes;
  const size_t levels =
      plan_.arena_bytes -
      bytes * static_cast<size_t>(std::bit_width(static_cast<unsigned>(options_.shards)));
  size_t level = 0;
  for (; shard >> level & 1; ++level) add_region(levels + level * bytes, region);
  copy(arena_->data() + levels + level * bytes, arena_->data() + region, bytes);
}

void Program::sum_remaining() {
  const size_t region = plan_.gradient_offset, bytes = plan_.gradient_bytes;
  const size_t width = static_cast<size_t>(std::bit_width(static_cast<unsigned>(options_.shards)));
  const size_t levels = plan_.arena_bytes - bytes * width;
  bool first = true;
  for (size_t level = 0; level < width; ++level) {
    if (!(options_.shards >> level & 1)) continue;
    if (first)
      copy(arena_->data() + region, arena_->data() + levels + level * bytes, bytes);
    else
      add_region(levels + level * bytes, region);
    first = false;
  }
}

}  // namespace striate
