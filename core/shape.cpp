#include <striate/core/error.h>
#include <striate/core/shape.h>

#include <algorithm>

namespace striate {

Shape::Shape(const int64_t* begin, const int64_t* end) {
  if (end - begin > kMaxRank)
    throw ShapeError("a tensor has at most 8 dimensions", std::to_string(end - begin));
  rank_ = static_cast<int>(end - begin);
  std::copy(begin, end, dims_);
  for (int64_t d : *this)
    if (d < kUnknown) throw ShapeError("sizes must not be negative", to_string());
}

bool Shape::is_known() const { return std::find(begin(), end(), kUnknown) == end(); }

int64_t Shape::elements() const {
  if (!is_known()) throw ShapeError("the number of elements needs a known shape", to_string());
  return product(0, rank_);
}

int64_t Shape::product(int first, int last) const {
  int64_t total = 1;
  bool overflow = false, zero = false;
  for (int i = first; i < last; ++i) {
    zero |= dims_[i] == 0;
    overflow |= __builtin_mul_overflow(total, dims_[i], &total) || total > (int64_t{1} << 62);
    if (overflow) total = 1;
  }
  if (zero) return 0;
  if (overflow) throw ShapeError("a tensor has at most 2^62 elements", to_string());
  return total;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) {
    if (i) text += ", ";
    text += dims_[i] == kUnknown ? (i == 0 ? "N" : "?") : std::to_string(dims_[i]);
  }
  return text + "]";
}

bool operator==(const Shape& a, const Shape& b) {
  return a.rank_ == b.rank_ && std::equal(a.begin(), a.end(), b.begin());
}

bool compatible(const Shape& a, const Shape& b) {
  if (a.rank() != b.rank()) return false;
  for (int i = 0; i < a.rank(); ++i)
    if (a[i] != b[i] && a[i] != kUnknown && b[i] != kUnknown) return false;
  return true;
}

}  // namespace striate
