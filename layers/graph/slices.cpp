// Steps in slices of the batch: each thread runs its slices one after another, each from the first
// kernel to the gradients, in its own part of the arena, so that what a kernel writes is in the
// cache when the next one reads it. The gradients are summed by a tree for each thread and one over
// the threads, and the weights are updated: threads wait for each other twice a step, not at the
// end of each kernel.
#include <striate/core/parallel.h>
#include <striate/core/run_alone.h>
#include <striate/layers/graph/program.h>

#include <algorithm>
#include <chrono>
#include <exception>

namespace striate {

/// Prepare the kernels of all lanes but the first, which has those of the plan.
void Program::make_slices() {
  const RunAlone alone;
  slices_.resize(static_cast<size_t>(options_.shards));
  for (Slice& slice : slices_) slice.scalars.assign(outputs_.size(), 0);
  lanes_.resize(static_cast<size_t>(options_.lanes));
  for (Lane& lane : lanes_) {
    if (add_) lane.add = make_addition();
    for (size_t i = 0; &lane != &lanes_[0] && i < plan_.update_begin; ++i)
      lane.kernels.push_back(std::move(kernels::choose(plan_.steps[i].problem).prepared.kernel));
  }
  constexpr size_t kPage = 4096;  // no line belongs to two lanes
  lane_bytes_ = (plan_.arena_bytes + kPage - 1) / kPage * kPage;
  plan_.arena_bytes = lane_bytes_ * lanes_.size();
}

void Program::bind_slices(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
  std::vector<const void*> fed = {arena_->data()};
  for (const auto* tensors : {&inputs, &outputs})
    for (const Tensor& tensor : *tensors) fed.push_back(tensor.data());
  if (fed == fed_ && !bound_steps_.empty()) return;
  for (size_t s = slices_.size(); s-- > 0;) {  // the update reads and writes in the first lane
    slice_ = s;
    bound_steps_.clear();
    feed(inputs, outputs, static_cast<int>(s));
    slices_[s].bound = bound_steps_;
  }
  fed_ = std::move(fed);
}

void Program::run_slices(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs,
                         const StepBlock& block) {
  bind_slices(inputs, outputs);
  for (size_t s = 0; s < slices_.size(); ++s) {
    slices_[s].block = block;
    slices_[s].block.first_sample +=
        static_cast<int64_t>(s) * (input_types_[0].shape[0] / options_.shards);
  }
  std::vector<std::exception_ptr> failures(lanes_.size());  // none may leave its thread
  parallel_for(static_cast<int64_t>(lanes_.size()), [&](int64_t index) {
    const auto lane = static_cast<size_t>(index);
    try {
      run_lane(lane);
    } catch (...) {
      failures[lane] = std::current_exception();
    }
  });
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].shape().rank() > 0) continue;
    double sum = 0;
    for (const Slice& slice : slices_) sum += slice.scalars[i];
    *outputs[i].data_as<float>() = static_cast<float>(sum);
  }
  check_finite(outputs, block.step);
  if (add_) sum_lanes();
  run_steps(plan_.steps, plan_.update_begin, plan_.steps.size());
}

/// Run a lane's slices and sum their gradients into one region.
void Program::run_lane(size_t lane) {
  const RunAlone alone;
  for (int part = 0; part < parts_; ++part) {
    run_slice(lane, static_cast<size_t>(part));
    if (parts_ > 1 && add_) sum_part(*lanes_[lane].add, lane * lane_bytes_, part);
  }
  if (parts_ > 1 && add_) sum_remaining(*lanes_[lane].add, lane * lane_bytes_);
}

void Program::run_slice(size_t lane, size_t part) {
  if (lane == 0 && part == 0) return run_steps(plan_.steps, 0, plan_.update_begin);
  const std::vector<Bound>& bound = slices_[lane * static_cast<size_t>(parts_) + part].bound;
  size_t i = 0;
  try {
    for (; i < plan_.update_begin; ++i) {
      kernels::Kernel& kernel = lane == 0 ? *plan_.steps[i].kernel : *lanes_[lane].kernels[i];
      kernel.run({bound[i].inputs.data(), bound[i].outputs.data(), bound[i].workspace, nullptr});
    }
  } catch (Error& error) {
    error.set_layer(plan_.steps[i].layer);
    throw;
  }
}

/// Sum the lanes' gradients into those of the first, in pairs.
void Program::sum_lanes() {
  for (size_t apart = 1; apart < lanes_.size(); apart *= 2)
    for (size_t lane = 0; lane + apart < lanes_.size(); lane += 2 * apart)
      add_region(*add_, plan_.gradient_offset + (lane + apart) * lane_bytes_,
                 plan_.gradient_offset + lane * lane_bytes_);
}

Program::Fault Program::find_nonfinite_slice() {
  Fault fault;
  for (size_t s = 0; s < slices_.size() && fault.place.empty(); ++s) {
    std::swap(bound_steps_, slices_[s].bound);
    fault = find_nonfinite();
    std::swap(bound_steps_, slices_[s].bound);
  }
  return fault;
}

}  // namespace striate
