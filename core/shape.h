// The shape of a tensor: up to eight sizes, none of them on the heap.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace striate {

/// A size that is not known before the batch is: the N of an input, a free picture height.
inline constexpr int64_t kUnknown = -1;

class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(dims.begin(), dims.end()) {}
  explicit Shape(const std::vector<int64_t>& dims)
      : Shape(dims.data(), dims.data() + dims.size()) {}
  /// Throws ShapeError for more than eight sizes, or one below -1.
  Shape(const int64_t* begin, const int64_t* end);

  int rank() const { return rank_; }
  /// Return size `i`; negative `i` counts from the end.
  int64_t operator[](int i) const { return dims_[i < 0 ? i + rank_ : i]; }
  int64_t& operator[](int i) { return dims_[i < 0 ? i + rank_ : i]; }
  const int64_t* begin() const { return dims_; }
  const int64_t* end() const { return dims_ + rank_; }

  /// True when no size is kUnknown.
  bool is_known() const;
  /// Return the number of elements. Throws ShapeError when it is unknown or above 2^62.
  int64_t elements() const;
  /// Return the product of the sizes [first, last).
  int64_t product(int first, int last) const;
  std::vector<int64_t> to_vector() const { return {begin(), end()}; }
  /// Print as `[N, 28, 28, 1]`: an unknown first size is N, another is ?.
  std::string to_string() const;

  friend bool operator==(const Shape& a, const Shape& b);
  friend bool operator!=(const Shape& a, const Shape& b) { return !(a == b); }

 private:
  int64_t dims_[kMaxRank] = {};
  int rank_ = 0;
};

/// True when a and b can be the same shape: equal wherever both are known.
bool compatible(const Shape& a, const Shape& b);

}  // namespace striate
