// How the elements of a value lie in memory: an order of dimensions and blocks inside them.
#pragma once

#include <striate/core/shape.h>

#include <cstddef>
#include <string>

namespace striate {

/// A memory layout in the notation of oneDNN: outer dimensions from slowest to quickest as letters
/// (a is dimension 0; a capital one is blocked), then the blocks. Of an image [N, H, W, C],
/// `abcd` is dense NHWC and `aDbc8d` is N, C/8, H, W, 8 channels. Padding up to full blocks is
/// zero.
class Layout {
 public:
  static constexpr int kMaxBlocks = 3;
  struct Block {
    int dim = 0;
    int size = 1;
  };

  /// The dense row-major layout of any rank.
  Layout() = default;
  /// Parse a tag such as `aDbc8d`. Throws Error for a malformed one.
  static Layout parse(const std::string& tag);

  bool is_dense() const { return rank_ == 0; }
  int block_count() const { return blocks_; }
  const Block& block(int i) const { return block_[i]; }
  /// Return the product of all blocks of dimension `dim`.
  int64_t block_of(int dim) const;
  /// Return the dimension at outer place `i`, slowest first.
  int outer(int i) const { return is_dense() ? i : order_[i]; }

  /// Return the sizes rounded up to whole blocks.
  Shape padded(const Shape& shape) const;
  /// Return the elements that the layout stores, padding included.
  int64_t elements(const Shape& shape) const { return padded(shape).elements(); }
  /// True when some stored elements are padding.
  bool has_padding(const Shape& shape) const { return padded(shape) != shape; }
  /// Return the offset, in elements, of the element at `index` (one entry per dimension).
  int64_t offset(const Shape& shape, const int64_t* index) const;
  /// Return the tag, `abcd` for a dense layout of rank 4.
  std::string to_string(int rank) const;

 private:
  int8_t rank_ = 0;  // 0: dense of any rank
  int8_t blocks_ = 0;
  int8_t order_[Shape::kMaxRank] = {};
  Block block_[kMaxBlocks];
};

/// True when values of `shape` have the same bytes in both layouts; dimensions of size 1 may move.
bool same_bytes(const Layout& a, const Layout& b, const Shape& shape);

}  // namespace striate
