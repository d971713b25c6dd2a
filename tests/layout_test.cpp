// Layouts against a brute-force walk over all indices.
#include <gtest/gtest.h>
#include <striate/core/error.h>
#include <striate/core/layout.h>

#include <set>
#include <vector>

namespace striate {
namespace {

/// Call `visit` with each index of `shape`, the last dimension quickest.
template <class Visit>
void each_index(const Shape& shape, const Visit& visit) {
  std::vector<int64_t> index(shape.rank());
  for (int64_t i = 0; i < shape.elements(); ++i) {
    int64_t rest = i;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      index[d] = rest % shape[d];
      rest /= shape[d];
    }
    visit(index.data());
  }
}

/// Return the places of all elements; two layouts have the same bytes when these are equal.
std::vector<int64_t> offsets(const Layout& layout, const Shape& shape) {
  std::vector<int64_t> all;
  each_index(shape, [&](const int64_t* index) { all.push_back(layout.offset(shape, index)); });
  return all;
}

const char* const kTags[] = {"abcd",   "acbd",     "adbc",   "aDbc8d",   "aDbc16d",
                             "Abcd4a", "ABcd8b2a", "bacd",   "aBcd2b4b", "ABcd2b8a4b",
                             "dcba",   "AbcD8d8a", "aBcd8b", "acbD4d",   "dabc"};

TEST(Layout, ParsesAndPrintsTags) {
  for (const char* tag : kTags) EXPECT_EQ(Layout::parse(tag).to_string(4), tag);
  EXPECT_TRUE(Layout::parse("abcd").is_dense());
  EXPECT_TRUE(Layout::parse("a").is_dense());
  EXPECT_EQ(Layout().to_string(3), "abc");
  EXPECT_EQ(Layout::parse("aBcd2b4b").block_of(1), 8);
  EXPECT_EQ(Layout::parse("aBcd2b4b").block_of(0), 1);
}

TEST(Layout, RefusesMalformedTags) {
  for (const char* tag : {"aa", "acd", "abcd8", "abcd8e", "abcd0a", "abcd1a", "abcd2000a", "8a",
                          "abcd2a2a2a2a", "ab cd", "abcdefghi", "z", "abcd8%"})
    EXPECT_THROW(Layout::parse(tag), Error) << tag;
  EXPECT_THROW(Layout::parse("ab99999999999999999999b"), Error);
}

TEST(Layout, OffsetsOfKnownElements) {
  const int64_t index[] = {1, 2, 3, 9};
  const Shape shape = {2, 4, 5, 16};
  EXPECT_EQ(Layout().offset(shape, index), ((1 * 4 + 2) * 5 + 3) * 16 + 9);
  EXPECT_EQ(Layout::parse("aDbc8d").offset(shape, index), (((1 * 2 + 1) * 4 + 2) * 5 + 3) * 8 + 1);
  EXPECT_EQ(Layout::parse("adbc").offset(shape, index), ((1 * 16 + 9) * 4 + 2) * 5 + 3);
}

TEST(Layout, PutsEachElementAtItsOwnPlace) {
  for (const char* tag : kTags)
    for (const Shape& shape : {Shape{2, 3, 5, 9}, {1, 1, 1, 1}, {4, 8, 2, 16}, {3, 17, 1, 7}}) {
      const Layout layout = Layout::parse(tag);
      const Shape padded = layout.padded(shape);
      for (int d = 0; d < 4; ++d) {
        EXPECT_EQ(padded[d] % layout.block_of(d), 0) << tag;
        EXPECT_GE(padded[d], shape[d]);
        EXPECT_LT(padded[d] - shape[d], layout.block_of(d));
      }
      EXPECT_EQ(layout.elements(shape), padded.elements());
      EXPECT_EQ(layout.has_padding(shape), padded.elements() != shape.elements());
      const std::vector<int64_t> places = offsets(layout, shape);
      const std::set<int64_t> distinct(places.begin(), places.end());
      EXPECT_EQ(distinct.size(), places.size()) << tag << shape.to_string();
      EXPECT_GE(*distinct.begin(), 0);
      EXPECT_LT(*distinct.rbegin(), layout.elements(shape)) << tag << shape.to_string();
    }
}

TEST(Layout, SameBytesAgreesWithAllOffsets) {
  int same = 0;
  for (const Shape& shape : {Shape{2, 3, 4, 16},
                             {1, 3, 5, 8},
                             {2, 1, 1, 8},
                             {1, 1, 1, 5},
                             {8, 8, 1, 1},
                             {1, 16, 1, 1},
                             {2, 8, 1, 1}})
    for (const char* first : kTags)
      for (const char* second : kTags) {
        const Layout a = Layout::parse(first), b = Layout::parse(second);
        const bool equal =
            a.elements(shape) == b.elements(shape) && offsets(a, shape) == offsets(b, shape);
        // Padding may make layouts equal only as far as the elements go; then "different" is right.
        if (same_bytes(a, b, shape)) {
          EXPECT_TRUE(equal) << first << " " << second << " " << shape.to_string();
        } else if (!a.has_padding(shape) && !b.has_padding(shape)) {
          EXPECT_FALSE(equal) << first << " " << second << " " << shape.to_string();
        }
        same += same_bytes(a, b, shape);
      }
  EXPECT_GT(same, 7 * 15);
}

}  // namespace
}  // namespace striate
