// Which element types the references of products compute in.
#pragma once

#include <striate/kernels/impl.h>

#include <string>
#include <utility>

namespace striate::kernels {

/// Have a reference decline all but float32 and float64; 16 bits are for devices.
inline Entry for_wide_floats(Entry entry) {
  entry.declines = [](const Problem& problem) -> std::string {
    for (size_t i = 0; i < problem.inputs.size(); ++i) {
      const DType dtype = problem.inputs[i].dtype;
      if (problem.has_input(i) && dtype != DType::kF32 && dtype != DType::kF64)
        return std::string("takes float32 and float64, got ") + name_of(dtype);
    }
    return "";
  };
  return entry;
}

}  // namespace striate::kernels
