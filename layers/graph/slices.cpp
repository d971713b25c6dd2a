// Steps of small networks: slices of the batch run side by side, each on one thread from the first
// kernel to its gradients, in its own part of the arena; then the gradients are summed by a tree
// and the weights updated. Threads wait for each other twice a step, not at the end of each kernel.
#include <striate/core/parallel.h>
#include <striate/core/run_alone.h>
#include <striate/layers/graph/program.h>

#include <algorithm>
#include <chrono>

namespace striate {

/// Prepare the kernels of all slices but the first, which has those of the plan.
void Program::make_slices() {
  const RunAlone alone;
  const auto shards = static_cast<size_t>(options_.shards);
  slices_.resize(shards);
  for (Slice& slice : slices_) slice.scalars.assign(outputs_.size(), 0);
  for (size_t s = 1; s < shards; ++s)
    for (size_t i = 0; i < plan_.update_begin; ++i)
      slices_[s].kernels.push_back(
          std::move(kernels::choose(plan_.steps[i].problem).prepared.kernel));
  constexpr size_t kPage = 4096;  // no line belongs to two slices
  slice_bytes_ = (plan_.arena_bytes + kPage - 1) / kPage * kPage;
  plan_.arena_bytes = slice_bytes_ * shards;
}

void Program::bind_slices(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
  std::vector<const void*> fed = {arena_->data()};
  for (const auto* tensors : {&inputs, &outputs})
    for (const Tensor& tensor : *tensors) fed.push_back(tensor.data());
  if (fed == fed_ && !bound_steps_.empty()) return;
  for (size_t s = slices_.size(); s-- > 0;) {  // the update reads and writes in the first slice
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
  parallel_for(static_cast<int64_t>(slices_.size()), [&](int64_t index) {
    const RunAlone alone;
    Slice& slice = slices_[static_cast<size_t>(index)];
    if (index == 0) return run_steps(plan_.steps, 0, plan_.update_begin);
    for (size_t i = 0; i < plan_.update_begin; ++i)
      slice.kernels[i]->run({slice.bound[i].inputs.data(), slice.bound[i].outputs.data(),
                             slice.bound[i].workspace, nullptr});
  });
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].shape().rank() > 0) continue;
    double sum = 0;
    for (const Slice& slice : slices_) sum += slice.scalars[i];
    *outputs[i].data_as<float>() = static_cast<float>(sum);
  }
  check_finite(outputs, block.step);
  if (add_) sum_slices();
  run_steps(plan_.steps, plan_.update_begin, plan_.steps.size());
}

/// Sum the slices' gradients into those of the first, in pairs.
void Program::sum_slices() {
  for (size_t apart = 1; apart < slices_.size(); apart *= 2)
    for (size_t s = 0; s + apart < slices_.size(); s += 2 * apart)
      add_region(plan_.gradient_offset + (s + apart) * slice_bytes_,
                 plan_.gradient_offset + s * slice_bytes_);
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
