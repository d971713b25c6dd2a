// What a program checks around its kernels: labels within their classes, finite inputs and losses.
#include <striate/layers/graph/program.h>

#include <cmath>
#include <cstring>
#include <vector>

namespace striate {
namespace {

bool all_finite(const float* data, int64_t count) {
  constexpr uint32_t kExponent = 0x7F800000;  // all ones: NaN or infinity
  uint32_t found = 0;
#pragma omp simd reduction(| : found)
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, data + i, sizeof bits);
    found |= (bits & kExponent) == kExponent;
  }
  return found == 0;
}

/// Name a row of a batch; by its number in the data set where that is known.
std::string name_of_row(int64_t row, std::span<const int64_t> samples) {
  const auto i = static_cast<size_t>(row);
  return i < samples.size() ? "sample " + std::to_string(samples[i])
                            : "sample " + std::to_string(row) + " of the batch";
}

}  // namespace

void Program::check_finite(const std::vector<Tensor>& outputs, int64_t step) {
  bool finite = true;
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i].dtype() == DType::kF32 && outputs[i].shape().rank() == 0)
      finite = finite && std::isfinite(scalar(outputs, i));
  const Fault fault = finite && !options_.check_numerics ? Fault{}
                      : slices_.empty()                  ? find_nonfinite()
                                                         : find_nonfinite_slice();
  if (finite && fault.place.empty()) return;
  restore_state();
  report_fault(step, fault);
}

void Program::report_fault(int64_t step, Fault fault) {
  const std::string place = fault.place.empty() ? "the loss" : fault.place;
  NumericsError error("values must be finite at step " + std::to_string(step),
                      "NaN or infinity first from " + place,
                      "Look at the inputs, or lower the learning rate");
  error.set_layer(fault.layer);
  throw error;
}

Program::Fault Program::find_nonfinite() {
  std::vector<float> host;
  for (size_t s = 0; s < plan_.state_begin; ++s) {
    const PlanStep& step = plan_.steps[s];
    run_steps(plan_.steps, s, s + 1);
    for (size_t i = 0; i < step.outputs.size(); ++i) {
      const PlanValue& value = plan_.values[static_cast<size_t>(step.outputs[i])];
      if (value.type.dtype != DType::kF32) continue;
      const int64_t count = value.layout.elements(value.type.shape);
      const auto* data = static_cast<const float*>(bound_steps_[s].outputs[i]);
      if (on_device()) {
        host.resize(static_cast<size_t>(count));
        backend(options_.device.type)
            .copy_to_host(host.data(), data, host.size() * sizeof(float), options_.device.index);
        data = host.data();
      }
      if (!step.problem.is_read(i) || all_finite(data, count)) continue;
      return {step.layer.empty() ? step.path : step.layer, "the operation " + step.operation};
    }
  }
  return {};
}

/// A layer such as relu can swallow a NaN, so that the loss is finite and the gradients are not.
void Program::check_inputs(const std::vector<Tensor>& inputs, int64_t step,
                           std::span<const int64_t> samples) const {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& input = inputs[i];
    if (input.dtype() != DType::kF32 || input.device().type != DeviceType::kCpu) continue;
    if (all_finite(input.data_as<float>(), input.elements())) continue;
    const int64_t rows = input.shape().rank() > 0 ? input.shape()[0] : 1;
    const int64_t row = input.elements() / rows;
    int64_t sample = 0;
    while (all_finite(input.data_as<float>() + sample * row, row)) ++sample;
    NumericsError error("inputs must be finite at step " + std::to_string(step),
                        "NaN or infinity in " + name_of_row(sample, samples));
    error.set_layer(inputs_[i].node->layer());
    throw error;
  }
}

void Program::check_labels(const std::vector<Tensor>& inputs,
                           std::span<const int64_t> samples) const {
  for (const LabelCheck& check : labels_) {
    const Tensor& labels = inputs[check.input];
    const int64_t count = labels.elements();
    const int64_t rows = labels.shape().rank() > 0 ? labels.shape()[0] : 1;
    auto scan = [&](const auto* data) {
      for (int64_t i = 0; i < count; ++i) {
        if (data[i] >= 0 && static_cast<int64_t>(data[i]) < check.classes) continue;
        LabelError error("labels must be from 0 to " + std::to_string(check.classes - 1),
                         "label " + std::to_string(static_cast<int64_t>(data[i])) + " of " +
                             name_of_row(i / (count / rows), samples));
        error.set_layer(check.layer);
        throw error;
      }
    };
    if (labels.device().type != DeviceType::kCpu) continue;
    if (labels.dtype() == DType::kI64) scan(static_cast<const int64_t*>(labels.data()));
    if (labels.dtype() == DType::kI32) scan(static_cast<const int32_t*>(labels.data()));
    if (labels.dtype() == DType::kU8) scan(static_cast<const uint8_t*>(labels.data()));
  }
}

}  // namespace striate
