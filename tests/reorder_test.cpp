#include <gtest/gtest.h>
#include <striate/kernels/reorder.h>
#include <striate/tests/kernel_table.h>

#include <cstring>
#include <numeric>

namespace striate::testing {
namespace {

using kernels::Entry;
using kernels::Prepared;
using kernels::Problem;

/// Lay `shape` out in `from`, run the entry, and look up each element where `to` says it lies.
void check(const Entry& entry, const Shape& shape, const std::string& from, const std::string& to,
           DType dtype) {
  Problem problem;
  problem.operation = "reorder";
  problem.options = std::make_shared<const ReorderOptions>(ReorderOptions{Layout::parse(to)});
  problem.inputs = {{shape, dtype, Layout::parse(from)}};
  problem.outputs = {{shape, dtype, {}}};
  problem.threads = 2;
  const std::string how = entry.name + " " + shape.to_string() + " " + from + " to " + to;
  if (!entry.declines(problem).empty()) return;
  Prepared prepared;
  try {
    prepared = entry.prepare(problem);
  } catch (const KernelError&) {
    return;
  }
  ASSERT_TRUE(same_bytes(prepared.inputs[0], Layout::parse(from), shape)) << how;
  ASSERT_TRUE(same_bytes(prepared.outputs[0], Layout::parse(to), shape)) << how;

  const size_t size = size_of(dtype);
  const Layout x_layout = Layout::parse(from), y_layout = Layout::parse(to);
  std::vector<uint8_t> x(static_cast<size_t>(x_layout.elements(shape)) * size, 0);
  std::vector<uint8_t> expected(static_cast<size_t>(y_layout.elements(shape)) * size, 0);
  int64_t index[Shape::kMaxRank] = {};
  for (int64_t i = 0; i < shape.elements(); ++i) {
    for (size_t byte = 0; byte < size; ++byte) {
      const auto value = static_cast<uint8_t>((i >> (8 * byte % 24)) * 31 + 7);
      x[static_cast<size_t>(x_layout.offset(shape, index)) * size + byte] = value;
      expected[static_cast<size_t>(y_layout.offset(shape, index)) * size + byte] = value;
    }
    for (int d = shape.rank() - 1; d >= 0 && ++index[d] == shape[d]; --d) index[d] = 0;
  }
  constexpr size_t kGuard = 64;
  std::vector<uint8_t> y(expected.size() + kGuard, 0xFF), workspace(prepared.workspace + 64);
  const void* inputs[] = {x.data()};
  void* outputs[] = {y.data()};
  void* scratch = workspace.data();
  size_t room = workspace.size();
  prepared.kernel->run(
      {inputs, outputs, std::align(64, prepared.workspace, scratch, room), nullptr});
  EXPECT_EQ(std::memcmp(y.data(), expected.data(), expected.size()), 0) << how;
  for (size_t i = expected.size(); i < y.size(); ++i) ASSERT_EQ(y[i], 0xFF) << how;
}

const char* const kImages[] = {"abcd", "aDbc4d", "aDbc8d", "aDbc16d", "adbc", "aDbc32d"};
const char* const kFilters[] = {"abcd",       "Abcd8a",     "Abcd16a", "ADbc8d8a",   "ADbc8a8d",
                                "ADbc16d16a", "ADbc16a16d", "bcdA16a", "ADbc4a16d4a"};

TEST(Reorder, AnyLayoutToAnyLayout) {
  for (const Entry* entry : kernels::entries("reorder", DeviceType::kCpu)) {
    for (Shape shape :
         {Shape{1, 1, 1, 1}, Shape{2, 3, 5, 16}, Shape{2, 5, 3, 10}, Shape{1, 7, 7, 3},
          Shape{3, 2, 2, 33}, Shape{2, 4, 4, 48}, Shape{1, 17, 19, 24}})
      for (const char* from : kImages)
        for (const char* to : kImages) check(*entry, shape, from, to, DType::kF32);
    for (Shape shape : {Shape{16, 3, 3, 16}, Shape{10, 3, 2, 3}, Shape{33, 1, 1, 20},
                        Shape{1, 5, 5, 1}, Shape{64, 3, 3, 32}})
      for (const char* from : kFilters)
        for (const char* to : kFilters) check(*entry, shape, from, to, DType::kF32);
  }
}

TEST(Reorder, AnyElementTypeAndRank) {
  for (const Entry* entry : kernels::entries("reorder", DeviceType::kCpu)) {
    for (DType dtype : {DType::kU8, DType::kBF16, DType::kI32, DType::kF64, DType::kI64})
      for (const char* to : {"abcd", "aDbc8d", "adbc"})
        for (const char* from : {"abcd", "aDbc16d"}) check(*entry, {2, 3, 5, 19}, from, to, dtype);
    check(*entry, {6, 5}, "ab", "ba", DType::kF32);
    check(*entry, {6, 37}, "ab", "aB16b", DType::kF32);
    check(*entry, {37, 6}, "BA16a4b", "ab", DType::kF32);
    check(*entry, {11}, "a", "A4a", DType::kF32);
    check(*entry, {2, 3, 4, 5, 6}, "abcde", "edcba", DType::kF32);
  }
}

TEST(Reorder, EveryEntryDoesTheUsualOnes) {
  for (const char* tag : {"aDbc8d", "aDbc16d", "adbc"}) {
    Case c = Case::of("reorder", ReorderOptions{Layout::parse(tag)}, {Shape{2, 6, 5, 20}},
                      {Shape{2, 6, 5, 20}});
    for (const EntryCount& count : run_table({c})) EXPECT_EQ(count.ran, 1) << count.entry;
  }
}

}  // namespace
}  // namespace striate::testing
