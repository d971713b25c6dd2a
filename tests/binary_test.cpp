#include <gtest/gtest.h>
#include <striate/kernels/binary.h>
#include <striate/tests/kernel_table.h>
#include <striate/tests/printed_seed.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace striate::testing {
namespace {

using Fill = Input::Fill;
const char* const kEntries[] = {"reference", "direct"};

struct None {};

Shape broadcast(const Shape& a, const Shape& b) {
  std::vector<int64_t> dims(static_cast<size_t>(std::max(a.rank(), b.rank())), 1);
  for (const Shape* shape : {&a, &b})
    for (int d = 1; d <= shape->rank(); ++d)
      if ((*shape)[-d] != 1) dims[dims.size() - static_cast<size_t>(d)] = (*shape)[-d];
  return Shape(dims);
}

bool is_comparison(const std::string& name) {
  const auto names = kernels::comparison_operations();
  return std::find(names.begin(), names.end(), name) != names.end();
}

Case binary_case(const std::string& name, const Shape& a, const Shape& b) {
  // Whole numbers for comparisons, so that some are equal; positive ones for power.
  const Fill fill = is_comparison(name) ? Fill::kIndices : Fill::kUniform;
  const double low = name == "power" ? 0.1 : -4;
  return Case::of(name, None{}, {Input(a, fill, low, 4), Input(b, fill, low, 4)},
                  {Output(broadcast(a, b), is_comparison(name) ? DType::kBool : DType::kF32)},
                  name == "power" ? kTranscendentalLimit : kLimit);
}

std::vector<std::string> all_operations() {
  std::vector<std::string> names = kernels::binary_operations();
  for (const std::string& name : kernels::comparison_operations()) names.push_back(name);
  return names;
}

const std::vector<std::pair<Shape, Shape>> kShapes = {
    {{}, {}},
    {{1}, {1}},
    {{7}, {7}},
    {{17, 33}, {17, 33}},
    {{2, 5, 7, 3}, {2, 5, 7, 3}},
    {{2, 3, 3, 16}, {2, 3, 3, 16}},
    {{70001}, {70001}},
    {{5, 9}, {}},
    {{}, {5, 9}},
    {{5, 9}, {1}},
    {{5, 9}, {9}},
    {{9}, {5, 9}},
    {{5, 9}, {5, 1}},
    {{5, 1}, {1, 9}},
    {{2, 5, 7, 3}, {3}},
    {{2, 5, 7, 16}, {16}},
    {{2, 5, 7, 3}, {2, 1, 1, 3}},
    {{1, 5, 1, 3}, {2, 1, 7, 1}},
    {{2, 5, 7, 3}, {7, 1}},
    {{900, 64}, {64}},
    {{0, 4}, {4}},
    {{0, 4, 4, 3}, {0, 4, 4, 3}},
};

TEST(Binary, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const std::string& name : all_operations())
    for (const auto& [a, b] : kShapes) table.push_back(binary_case(name, a, b));
  run_table(table);
}

/// Return two shapes that broadcast together.
std::pair<Shape, Shape> random_shapes(PrintedSeed& random) {
  std::vector<int64_t> dims[2];
  for (int64_t d = random.below(6); d >= 0; --d) {
    const int64_t size = random.below(8);
    for (auto& shape : dims) shape.push_back(random.below(3) ? size : 1);
  }
  for (auto& shape : dims)
    if (random.below(3) == 0)
      shape.erase(shape.begin(), shape.begin() + random.below(static_cast<int64_t>(shape.size())));
  return {Shape(dims[0]), Shape(dims[1])};
}

TEST(Binary, RandomBroadcasting) {
  PrintedSeed random;
  std::vector<Case> table;
  for (int i = 0; i < 60; ++i) {
    const auto [a, b] = random_shapes(random);
    table.push_back(binary_case(i % 3 == 0 ? "subtract" : i % 3 == 1 ? "divide" : "less", a, b));
  }
  run_table(table);
}

TEST(Binary, KnownValues) {
  struct Known {
    const char* operation;
    double a, b, y;
  };
  const std::vector<Known> table = {
      {"add", 2, 3, 5},           {"subtract", 2, 3, -1},    {"multiply", 2, 3, 6},
      {"divide", 3, 2, 1.5},      {"maximum", 2, 3, 3},      {"minimum", 2, 3, 2},
      {"power", 2, 3, 8},         {"power", 2, -1, 0.5},     {"power", 0, 0, 1},
      {"equal", 2, 2, 1},         {"equal", 2, 3, 0},        {"greater", 3, 2, 1},
      {"greater", 2, 2, 0},       {"less", 2, 3, 1},         {"less", 2, 2, 0},
      {"greater_equal", 2, 2, 1}, {"greater_equal", 1, 2, 0}};
  for (const Known& k : table)
    for (const char* entry : kEntries)
      EXPECT_NEAR(run_entry(binary_case(k.operation, {1}, {1}), entry, {{k.a}, {k.b}})[0][0], k.y,
                  1e-6)
          << k.operation << " " << entry;
  for (const char* entry : kEntries)
    EXPECT_EQ(run_entry(binary_case("subtract", {2, 1}, {3}), entry, {{10, 20}, {1, 2, 3}})[0],
              (Values{9, 8, 7, 19, 18, 17}))
        << entry;
}

TEST(Binary, NanInEitherInput) {
  for (const char* entry : kEntries)
    for (const std::string& name : all_operations()) {
      Values a(20, 2), b(20, 3);
      a[4] = NAN, b[17] = NAN;
      const Values y = run_entry(binary_case(name, {20}, {20}), entry, {a, b})[0];
      for (size_t i : {4, 17})
        if (is_comparison(name))
          EXPECT_EQ(y[i], 0) << name << " " << entry;
        else
          EXPECT_TRUE(std::isnan(y[i])) << name << " " << entry << " " << i;
      EXPECT_FALSE(std::isnan(y[0])) << name << " " << entry;
    }
}

TEST(Binary, ValuesBeyondTheUsual) {
  const std::vector<float> values = {NAN,  INFINITY, -INFINITY, 0.0f,  -0.0f, 1,   -1,
                                     2.0f, -2.0f,    0.5f,      -3.0f, 3.0f,  1.5f};
  const auto count = static_cast<int64_t>(values.size());
  std::vector<float> a, b;
  for (const float v : values) {
    a.insert(a.end(), values.size(), v);
    b.insert(b.end(), values.begin(), values.end());
  }
  std::vector<Case> table;
  for (const std::string& name : all_operations()) {
    Case pairs = binary_case(name, {count * count}, {count * count});
    pairs.inputs = {Input::of({count * count}, a), Input::of({count * count}, b)};
    Case broadcasts = binary_case(name, {count, 1}, {count});
    broadcasts.inputs = {Input::of({count, 1}, values), Input::of({count}, values)};
    table.push_back(pairs);
    table.push_back(broadcasts);
  }
  run_table(table);
}

TEST(Binary, TheResultMayLieInEitherInput) {
  const auto* entry = kernels::entries("subtract", DeviceType::kCpu).front();
  const auto prepared = entry->prepare(binary_case("subtract", {3}, {3}).problem());
  ASSERT_EQ(prepared.in_place.size(), 2u);
  for (size_t shared : {0, 1}) {
    std::vector<float> values[2] = {{5, 6, 7}, {1, 2, 3}};
    const void* inputs[] = {values[0].data(), values[1].data()};
    void* outputs[] = {values[shared].data()};
    prepared.kernel->run({inputs, outputs, nullptr, nullptr});
    EXPECT_EQ(values[shared], (std::vector<float>{4, 4, 4})) << "in input " << shared;
  }
  // A broadcast input is too small for the result.
  const auto vector = entry->prepare(binary_case("subtract", {2, 3}, {3}).problem());
  ASSERT_EQ(vector.in_place.size(), 1u);
  EXPECT_EQ(vector.in_place[0].input, 0);
}

TEST(Binary, OtherElementTypes) {
  for (DType dtype :
       {DType::kF64, DType::kF16, DType::kBF16, DType::kI32, DType::kI64, DType::kU8}) {
    Case c = binary_case("add", {3}, {3});
    for (auto& input : c.inputs) input.dtype = dtype;
    c.outputs[0].dtype = dtype;
    EXPECT_EQ(run_entry(c, "reference", {{1, 2, 3}, {4, 5, 6}})[0], (Values{5, 7, 9}))
        << name_of(dtype);
    if (is_device_tested() && (dtype == DType::kF16 || dtype == DType::kBF16)) {
      EXPECT_EQ(run_entry(c, "direct", {{1, 2, 3}, {4, 5, 6}})[0], (Values{5, 7, 9}));
      continue;
    }
    EXPECT_THROW(run_entry(c, "direct", {{1, 2, 3}, {4, 5, 6}}), KernelError) << name_of(dtype);
  }
  // Neighbouring int64 numbers that double cannot tell apart.
  const int64_t big = (int64_t{1} << 60) + 1;
  Case c = binary_case("equal", {2}, {2});
  c.inputs = {Input::of<int64_t>({2}, {big, big}), Input::of<int64_t>({2}, {big, big - 1})};
  const kernels::Problem problem = c.problem();
  const std::vector<int64_t> a = {big, big}, b = {big, big - 1};
  bool y[2] = {false, true};
  const void* inputs[] = {a.data(), b.data()};
  void* outputs[] = {y};
  const auto prepared = kernels::entries("equal", DeviceType::kCpu).back()->prepare(problem);
  prepared.kernel->run({inputs, outputs, nullptr, nullptr});
  EXPECT_TRUE(y[0]);
  EXPECT_FALSE(y[1]);
}

Case where_case(const Shape& cond, const Shape& a, const Shape& b, DType type = DType::kBool) {
  return Case::of("where", None{}, {Input(cond, type, Fill::kIndices, 0, 2), Input(a), Input(b)},
                  {broadcast(cond, broadcast(a, b))});
}

TEST(Where, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const Shape& s : {Shape{}, Shape{1}, Shape{0}, Shape{2, 5, 7, 3}, Shape{70001}, Shape{5, 9}})
    for (DType type : {DType::kBool, DType::kU8}) {
      table.push_back(where_case(s, s, s, type));
      table.push_back(where_case({}, s, s, type));
      table.push_back(where_case(s, {}, s, type));
      table.push_back(where_case(s, s, {}, type));
    }
  table.push_back(where_case({5, 1}, {9}, {5, 9}));
  table.push_back(where_case({9}, {5, 1}, {}));
  table.push_back(where_case({5, 9}, {5, 9}, {5, 9}, DType::kF32));
  PrintedSeed random;
  for (int i = 0; i < 20; ++i) {
    const auto [a, b] = random_shapes(random);
    table.push_back(i % 2 ? where_case(a, b, a) : where_case(b, a, b));
  }
  run_table(table);
}

TEST(Where, KnownValues) {
  for (const char* entry : kEntries) {
    EXPECT_EQ(run_entry(where_case({3}, {3}, {3}), entry, {{1, 0, 1}, {1, 2, 3}, {4, 5, 6}})[0],
              (Values{1, 5, 3}))
        << entry;
    // What is not chosen does not matter, be it NaN.
    EXPECT_EQ(run_entry(where_case({2}, {2}, {}), entry, {{1, 0}, {1, NAN}, {7}})[0],
              (Values{1, 7}))
        << entry;
  }
}

}  // namespace
}  // namespace striate::testing
