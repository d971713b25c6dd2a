// The functions that chains are made of, by their place in one list: of one value, gradients, of
// two.
#pragma once

#include <striate/kernels/binary_functions.h>
#include <striate/kernels/unary_functions.h>

#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace striate::kernels {

inline constexpr int kUnaries = std::tuple_size_v<decltype(kUnaryFunctions)>;
inline constexpr int kGradients = std::tuple_size_v<decltype(kUnaryBackwardFunctions)>;
inline constexpr int kBinaries = std::tuple_size_v<decltype(kBinaryFunctions)> - 1;
static_assert(std::get<kBinaries>(kBinaryFunctions).name == std::string_view("power"),
              "chains hold all functions of two values but the last, power");

/// Call `visit(place, name)` for each function.
template <class Visit>
void for_chain_functions(const Visit& visit) {
  int place = 0;
  std::apply([&](const auto&... f) { (visit(place++, f.name), ...); }, kUnaryFunctions);
  std::apply([&](const auto&... f) { (visit(place++, f.name), ...); }, kUnaryBackwardFunctions);
  std::apply([&](const auto&... f) { (visit(place++, f.name), ...); }, kBinaryFunctions);
}

/// Return the place of a function; -1 for one that chains do not hold.
inline int chain_function(const std::string& name) {
  int found = -1;
  for_chain_functions([&](int place, const char* known) {
    if (name == known && place < kUnaries + kGradients + kBinaries) found = place;
  });
  return found;
}

/// The function at a place, of (v, other, alpha).
template <size_t I>
struct ChainFunction {
  template <const auto& table, size_t J>
  using At = decltype(std::tuple_element_t<J, std::decay_t<decltype(table)>>::function);

  template <class T>
  constexpr T operator()(T v, T other, T alpha) const {
    if constexpr (I < kUnaries)
      return At<kUnaryFunctions, I>()(v, alpha);
    else if constexpr (I < kUnaries + kGradients)
      return At<kUnaryBackwardFunctions, I - kUnaries>()(v, other, alpha);
    else
      return At<kBinaryFunctions, I - kUnaries - kGradients>()(v, other);
  }
};

/// Call `body(ChainFunction<place>())`.
template <class Body>
constexpr void with_chain_function(int place, const Body& body) {
  [&]<size_t... I>(std::index_sequence<I...>) {
    (void)((place == static_cast<int>(I) ? (body(ChainFunction<I>()), true) : false) || ...);
  }
  (std::make_index_sequence<kUnaries + kGradients + kBinaries>());
}

}  // namespace striate::kernels
