// The element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace striate {

/// float64 exists for the reference kernels and the gradient checks that run on them.
enum class DType : uint8_t { kF32, kF16, kBF16, kU8, kI32, kI64, kBool, kF64 };

/// Return the bytes of one element.
size_t size_of(DType dtype);

/// Return the name that NumPy users know: "float32", "uint8", ...
const char* name_of(DType dtype);

/// Return the type of that name. Throws DTypeError for an unknown one.
DType dtype_from_name(const std::string& name);

/// True for float32, float16, bfloat16 and float64.
bool is_floating(DType dtype);

/// The DType of a C++ element type.
template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::kF32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::kF64;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::kU8;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::kI32;
}
template <>
constexpr DType dtype_of<int64_t>() {
  return DType::kI64;
}
template <>
constexpr DType dtype_of<bool>() {
  return DType::kBool;
}

/// Convert one number between float32 and the 16-bit formats, rounding to nearest even.
float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);
float bfloat16_to_float(uint16_t bits);
uint16_t float_to_bfloat16(float value);

}  // namespace striate
