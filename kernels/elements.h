// Elements of any DType as C++ types, for kernels that are one template over all of them.
#pragma once

#include <striate/core/dtype.h>

#include <cstdint>
#include <limits>
#include <type_traits>

namespace striate::kernels {

struct Float16 {
  uint16_t bits;
  operator float() const { return half_to_float(bits); }
};
struct BFloat16 {
  uint16_t bits;
  operator float() const { return bfloat16_to_float(bits); }
};

/// The type in which reference kernels compute with T: long double holds every int64 exactly.
template <class T>
using Wide = std::conditional_t<std::is_integral_v<T>, long double, double>;

/// Convert one number. Floating to integer truncates, saturates, and makes 0 of NaN; to bool is !=
/// 0.
template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<To, Float16>) {
    return {float_to_half(static_cast<float>(value))};
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return {float_to_bfloat16(static_cast<float>(value))};
  } else if constexpr (std::is_same_v<From, Float16> || std::is_same_v<From, BFloat16>) {
    return convert<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // The upper limit of int64 is not a float; its successor 2^63 is.
    constexpr From low = static_cast<From>(std::numeric_limits<To>::min());
    constexpr From high = static_cast<From>(std::numeric_limits<To>::max());
    if (value != value) return 0;
    if (value <= low) return std::numeric_limits<To>::min();
    if (value >= high) return std::numeric_limits<To>::max();
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

/// Call `body(T{})` with the C++ type of `dtype`.
template <class Body>
void with_element_type(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kF32:
      return body(float{});
    case DType::kF16:
      return body(Float16{});
    case DType::kBF16:
      return body(BFloat16{});
    case DType::kU8:
      return body(uint8_t{});
    case DType::kI32:
      return body(int32_t{});
    case DType::kI64:
      return body(int64_t{});
    case DType::kBool:
      return body(bool{});
    case DType::kF64:
      return body(double{});
  }
}

/// Return element `i` as double; slow, for reference kernels.
inline double element_at(const void* values, DType dtype, int64_t i) {
  double value = 0;
  with_element_type(dtype, [&](auto t) {
    value = static_cast<double>(static_cast<const decltype(t)*>(values)[i]);
  });
  return value;
}

/// Return element `i` of labels; -1, which no label is, for NaN.
inline int64_t label_at(const void* labels, DType dtype, int64_t i) {
  switch (dtype) {
    case DType::kU8:
      return static_cast<const uint8_t*>(labels)[i];
    case DType::kI32:
      return static_cast<const int32_t*>(labels)[i];
    case DType::kI64:
      return static_cast<const int64_t*>(labels)[i];
    default:
      break;
  }
  const double value = element_at(labels, dtype, i);
  return value == value ? convert<int64_t>(value) : -1;
}

}  // namespace striate::kernels
