#include <gtest/gtest.h>
#include <striate/kernels/cast.h>
#include <striate/tests/kernel_table.h>
#include <striate/tests/printed_seed.h>

#include <cmath>
#include <limits>

namespace striate::testing {
namespace {

using Fill = Input::Fill;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
const char* const kEntries[] = {"reference", "direct"};
const DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kU8,
                        DType::kI32, DType::kI64, DType::kBool, DType::kF64};

Case cast_case(DType from, DType to, const Shape& shape) {
  const bool is_signed = from != DType::kU8 && from != DType::kBool;
  const bool often_zero = from == DType::kBool || (to == DType::kBool && !is_floating(from));
  const double high = often_zero ? 2 : 200;
  Input x(shape, from, is_floating(from) ? Fill::kUniform : Fill::kIndices,
          is_signed && to != DType::kU8 ? -high : 0, high);
  return Case::of("cast", CastOptions{to}, {x}, {Output(shape, to)});
}

Case rescale_case(DType from, const Shape& shape, double scale, double offset) {
  const Input x(shape, from, from == DType::kU8 ? Fill::kIndices : Fill::kUniform, 0, 256);
  return Case::of("rescale", RescaleOptions{scale, offset}, {x}, {shape});
}

TEST(Cast, AllPairsAgreeWithTheReference) {
  PrintedSeed random;
  std::vector<Case> table;
  for (DType from : kTypes)
    for (DType to : kTypes)
      for (const Shape& shape : {Shape{}, Shape{0}, Shape{2, 5, 7, 3}, Shape{random.below(300)}})
        table.push_back(cast_case(from, to, shape));
  table.push_back(cast_case(DType::kU8, DType::kF32, {70000}));
  run_table(table);
}

TEST(Cast, KnownValues) {
  struct Known {
    DType from, to;
    double x, y;
  };
  // clang-format off
  const std::vector<Known> table = {
    {DType::kF32, DType::kI32,  2.9, 2},   {DType::kF32, DType::kI32, -2.9, -2},
    {DType::kF32, DType::kU8,   300, 255}, {DType::kF32, DType::kU8,  -5, 0},
    {DType::kF32, DType::kI32,  1e20, 2147483647.0},
    {DType::kF32, DType::kI32, -1e20, -2147483648.0},
    {DType::kF32, DType::kI64,  kInfinity, 9223372036854775807.0},
    {DType::kF32, DType::kI32,  NAN, 0},   {DType::kF32, DType::kBool, 0.5, 1},
    {DType::kF32, DType::kBool, NAN, 1},   {DType::kF32, DType::kBool, 0, 0},
    {DType::kI32, DType::kBool, 256, 1},   {DType::kI32, DType::kU8,  257, 1},
    {DType::kI32, DType::kU8,   -1, 255},  {DType::kU8,  DType::kF32, 255, 255},
    {DType::kBool, DType::kF32, 1, 1},     {DType::kF32, DType::kF16, 70000, kInfinity},
    {DType::kF32, DType::kF16,  1 + 1.0 / 2048, 1},  {DType::kF32, DType::kBF16, 257, 256},
    {DType::kF16, DType::kF32,  0.333251953125, 0.333251953125},
    {DType::kBF16, DType::kF16, 3, 3},     {DType::kF64, DType::kF32, 0.1, double{0.1f}},
  };
  // clang-format on
  const auto is_wide = [](DType dtype) { return dtype == DType::kF64; };  // of the CPU alone
  for (const Known& k : table)
    for (const char* entry : kEntries) {
      if (is_device_tested() && (is_wide(k.from) || is_wide(k.to))) continue;
      EXPECT_EQ(run_entry(cast_case(k.from, k.to, {1}), entry, {{k.x}})[0][0], k.y)
          << name_of(k.from) << " " << k.x << " to " << name_of(k.to) << " by " << entry;
    }
  for (const char* entry : kEntries)
    for (DType to : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
      if (is_device_tested() && is_wide(to)) continue;
      EXPECT_TRUE(std::isnan(run_entry(cast_case(DType::kF32, to, {1}), entry, {{NAN}})[0][0]))
          << name_of(to) << " by " << entry;
    }
}

TEST(Rescale, EveryEntryAgreesWithTheReference) {
  PrintedSeed random;
  std::vector<Case> table;
  for (DType from : {DType::kU8, DType::kF32})
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{2, 5, 7, 3}, Shape{2, 3, 3, 16},
                               Shape{70001}, Shape{random.below(500)}}) {
      table.push_back(rescale_case(from, shape, 1 / 255.0, 0));
      table.push_back(rescale_case(from, shape, 1 / 127.5, -1));
    }
  run_table(table);
}

TEST(Rescale, KnownValues) {
  for (const char* entry : kEntries)
    EXPECT_EQ(run_entry(rescale_case(DType::kU8, {3}, 0.5, -1), entry, {{0, 4, 255}})[0],
              (Values{-1, 1, 126.5}))
        << entry;
  EXPECT_THROW(run_entry(rescale_case(DType::kI32, {1}, 1, 0), "direct", {{1}}), KernelError);
}

}  // namespace
}  // namespace striate::testing
