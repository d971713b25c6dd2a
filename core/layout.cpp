#include <striate/core/error.h>
#include <striate/core/layout.h>

#include <cctype>
#include <vector>

namespace striate {

Layout Layout::parse(const std::string& tag) {
  Layout layout;
  size_t i = 0;
  for (; i < tag.size() && std::isalpha(static_cast<unsigned char>(tag[i])); ++i) {
    const int dim = std::tolower(tag[i]) - 'a';
    if (layout.rank_ == Shape::kMaxRank || dim < 0 || dim >= Shape::kMaxRank)
      throw Error("a layout tag has at most 8 dimensions a to h", "'" + tag + "'");
    layout.order_[layout.rank_++] = static_cast<int8_t>(dim);
  }
  while (i < tag.size()) {
    int size = 0;
    for (; i < tag.size() && std::isdigit(static_cast<unsigned char>(tag[i])); ++i)
      size = size > 1024 ? size : size * 10 + (tag[i] - '0');  // no overflow
    if (i == tag.size() || size < 2 || size > 1024 || layout.blocks_ == kMaxBlocks)
      throw Error("a layout tag ends in at most 3 blocks such as 8d", "'" + tag + "'");
    layout.block_[layout.blocks_++] = {std::tolower(tag[i++]) - 'a', size};
  }
  bool sorted = layout.blocks_ == 0;
  unsigned seen = 0;
  for (int d = 0; d < layout.rank_; ++d) {
    sorted = sorted && layout.order_[d] == d;
    seen |= 1u << layout.order_[d];
  }
  if (seen + 1 != 1u << layout.rank_)
    throw Error("a layout tag names each dimension once", "'" + tag + "'");
  for (int b = 0; b < layout.blocks_; ++b)
    if (layout.block_[b].dim < 0 || layout.block_[b].dim >= layout.rank_)
      throw Error("a layout tag blocks only dimensions it names", "'" + tag + "'");
  return sorted ? Layout() : layout;
}

int64_t Layout::block_of(int dim) const {
  int64_t size = 1;
  for (int b = 0; b < blocks_; ++b)
    if (block_[b].dim == dim) size *= block_[b].size;
  return size;
}

Shape Layout::padded(const Shape& shape) const {
  Shape padded = shape;
  for (int b = 0; b < blocks_; ++b) {
    const int dim = block_[b].dim;
    const int64_t size = block_of(dim);
    padded[dim] = (shape[dim] + size - 1) / size * size;
  }
  return padded;
}

int64_t Layout::offset(const Shape& shape, const int64_t* index) const {
  int64_t rest[Shape::kMaxRank], total = 0, stride = 1;
  for (int d = 0; d < shape.rank(); ++d) rest[d] = index[d];
  for (int b = blocks_ - 1; b >= 0; --b) {
    const int dim = block_[b].dim;
    total += rest[dim] % block_[b].size * stride;
    rest[dim] /= block_[b].size;
    stride *= block_[b].size;
  }
  for (int i = shape.rank() - 1; i >= 0; --i) {
    const int dim = outer(i);
    const int64_t block = block_of(dim);
    total += rest[dim] * stride;
    stride *= (shape[dim] + block - 1) / block;
  }
  return total;
}

std::string Layout::to_string(int rank) const {
  std::string tag;
  for (int i = 0; i < rank; ++i) {
    const int dim = outer(i);
    tag += static_cast<char>((block_of(dim) > 1 ? 'A' : 'a') + dim);
  }
  for (int b = 0; b < blocks_; ++b)
    tag += std::to_string(block_[b].size) + static_cast<char>('a' + block_[b].dim);
  return tag;
}

bool same_bytes(const Layout& a, const Layout& b, const Shape& shape) {
  if (a.is_dense() && b.is_dense()) return true;
  // Compare the sequences of (dimension, size) from slowest to quickest, leaving out sizes of 1.
  auto sequence = [&](const Layout& layout) {
    std::vector<std::pair<int, int64_t>> places;
    auto add = [&](int dim, int64_t size) {
      if (size == 1) return;
      if (!places.empty() && places.back().first == dim)
        places.back().second *= size;
      else
        places.emplace_back(dim, size);
    };
    const Shape padded = layout.padded(shape);
    for (int i = 0; i < shape.rank(); ++i)
      add(layout.outer(i), padded[layout.outer(i)] / layout.block_of(layout.outer(i)));
    for (int i = 0; i < layout.block_count(); ++i) add(layout.block(i).dim, layout.block(i).size);
    return places;
  };
  return sequence(a) == sequence(b);
}

}  // namespace striate
