#include <gtest/gtest.h>
#include <striate/kernels/shape_ops.h>
#include <striate/tests/kernel_table.h>
#include <striate/tests/printed_seed.h>

#include <algorithm>
#include <numeric>

namespace striate::testing {
namespace {

using Fill = Input::Fill;
const char* const kEntries[] = {"reference", "direct"};
const DType kTypes[] = {DType::kF32, DType::kU8, DType::kF16, DType::kI64, DType::kBool};

/// Elements of which each differs from its neighbours.
Input numbered(const Shape& shape, DType dtype = DType::kF32) {
  return dtype == DType::kF32
             ? Input(shape, Fill::kDistinct, -1, 1)
             : Input(shape, dtype, Fill::kIndices, 0, dtype == DType::kBool ? 2 : 99);
}

Values count_up(int64_t count) {
  Values values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0.0);
  return values;
}

// Concat -----------------------------------------------------------------------------------------

Case concat_case(const std::vector<Shape>& shapes, int axis, DType dtype = DType::kF32) {
  Shape y = shapes[0];
  std::vector<Input> inputs;
  y[axis] = 0;
  for (const Shape& shape : shapes) {
    y[axis] += shape[axis];
    inputs.push_back(numbered(shape, dtype));
  }
  return Case::of("concat", ConcatOptions{axis}, inputs, {Output(y, dtype)});
}

TEST(Concat, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (DType dtype : kTypes) {
    table.push_back(concat_case({{3}}, 0, dtype));
    table.push_back(concat_case({{3}, {4}, {1}}, 0, dtype));
    table.push_back(concat_case({{2, 3}, {2, 5}}, 1, dtype));
    table.push_back(concat_case({{2, 5, 7, 3}, {2, 5, 7, 1}, {2, 5, 7, 8}}, -1, dtype));
  }
  table.push_back(concat_case({{2, 3}, {5, 3}}, 0));
  table.push_back(concat_case({{2, 0}, {2, 3}}, 1));
  table.push_back(concat_case({{0, 3}, {0, 4}}, 1));
  table.push_back(concat_case({{2, 5, 7, 3}, {2, 1, 7, 3}}, 1));
  table.push_back(concat_case({{2, 5, 7, 3}, {2, 5, 2, 3}}, 2));
  table.push_back(concat_case({{2, 4, 4, 8}, {2, 4, 4, 16}}, 3));
  table.push_back(concat_case({{2, 3, 5, 32}, {2, 3, 5, 16}, {2, 3, 5, 8}}, 3));
  table.push_back(concat_case({{2, 3, 5, 20}, {2, 4, 5, 20}}, 1));  // padded blocks
  table.push_back(concat_case({{300, 100}, {300, 200}}, 1));
  PrintedSeed random;
  for (int i = 0; i < 12; ++i) {
    const int axis = static_cast<int>(random.below(4));
    const Shape base{1 + random.below(4), 1 + random.below(4), 1 + random.below(4),
                     1 + random.below(9)};
    std::vector<Shape> shapes(static_cast<size_t>(1 + random.below(4)), base);
    for (Shape& shape : shapes) shape[axis] = random.below(6);
    table.push_back(concat_case(shapes, axis));
  }
  run_table(table);
}

TEST(Concat, KnownValues) {
  for (const char* entry : kEntries)
    EXPECT_EQ(run_entry(concat_case({{2, 2}, {2, 1}}, 1), entry, {{1, 2, 3, 4}, {5, 6}})[0],
              (Values{1, 2, 5, 3, 4, 6}))
        << entry;
}

// Slice ------------------------------------------------------------------------------------------

Case slice_case(const Shape& x, const std::vector<int64_t>& begin, const std::vector<int64_t>& size,
                DType dtype = DType::kF32) {
  return Case::of("slice", SliceOptions{begin, size}, {numbered(x, dtype)},
                  {Output(Shape(size), dtype)});
}

Case slice_backward_case(const Case& forward) {
  const Shape& x = forward.inputs[0].shape;
  Case c = forward;
  c.operation = "slice_backward";
  c.inputs = {numbered(forward.outputs[0].shape, forward.outputs[0].dtype), Input::like(x)};
  c.outputs = {Output(x, forward.outputs[0].dtype)};
  return c;
}

std::vector<Case> slices() {
  std::vector<Case> table = {
      slice_case({}, {}, {}),
      slice_case({5}, {0}, {5}),
      slice_case({5}, {2}, {3}),
      slice_case({5}, {4}, {1}),
      slice_case({5}, {1}, {0}),
      slice_case({4, 6}, {1, 0}, {2, 6}),
      slice_case({4, 6}, {0, 2}, {4, 3}),
      slice_case({4, 6}, {1, 2}, {2, 3}),
      slice_case({2, 5, 7, 3}, {0, 1, 0, 0}, {2, 3, 7, 3}),
      slice_case({2, 5, 7, 3}, {0, 0, 0, 1}, {2, 5, 7, 2}),
      slice_case({2, 5, 7, 3}, {1, 2, 3, 1}, {1, 3, 4, 2}),
      slice_case({2, 5, 7, 16}, {0, 1, 1, 8}, {2, 3, 5, 8}),
      slice_case({2, 5, 7, 48}, {1, 1, 1, 16}, {1, 3, 5, 16}),
      slice_case({2, 5, 7, 20}, {0, 1, 1, 16}, {2, 3, 5, 4}),  // up to the padded block
      slice_case({2, 5, 7, 20}, {0, 2, 0, 0}, {2, 2, 7, 20}),
      slice_case({2, 5, 7, 20}, {0, 0, 0, 0}, {2, 5, 7, 4}),  // part of a block
      slice_case({0, 4}, {0, 1}, {0, 2}),
      slice_case({400, 300}, {10, 20}, {380, 270}),
  };
  for (DType dtype : kTypes) table.push_back(slice_case({3, 4, 5}, {1, 1, 1}, {2, 2, 3}, dtype));
  return table;
}

TEST(Slice, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table = slices();
  PrintedSeed random;
  for (int i = 0; i < 20; ++i) {
    std::vector<int64_t> x, begin, size;
    for (int64_t d = random.below(5); d >= 0; --d) {
      x.push_back(1 + random.below(8));
      begin.push_back(random.below(3) ? random.below(x.back()) : 0);
      size.push_back(random.below(3) ? random.below(x.back() - begin.back() + 1)
                                     : x.back() - begin.back());
    }
    table.push_back(slice_case(Shape(x), begin, size));
  }
  for (size_t i = 0, forward = table.size(); i < forward; ++i)
    table.push_back(slice_backward_case(table[i]));
  run_table(table);
}

TEST(Slice, KnownValues) {
  const Case c = slice_case({3, 4}, {1, 1}, {2, 2});
  for (const char* entry : kEntries) {
    EXPECT_EQ(run_entry(c, entry, {count_up(12)})[0], (Values{5, 6, 9, 10})) << entry;
    EXPECT_EQ(run_entry(slice_backward_case(c), entry, {{1, 2, 3, 4}, {}})[0],
              (Values{0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0}))
        << entry;
  }
}

TEST(Slice, Gradients) {
  for (const Case& c :
       {slice_case({4, 6}, {1, 2}, {2, 3}), slice_case({2, 3, 4}, {0, 1, 0}, {2, 1, 4})}) {
    GradientCase g;
    g.forward = c;
    g.backward = "slice_backward";
    g.inputs = {From::cotangent(0), From::like(0)};
    g.outputs = {0};
    check_gradient(g);
  }
}

// Reshape and transpose --------------------------------------------------------------------------

struct None {};

TEST(Reshape, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  auto add = [&](const Shape& x, const Shape& y, DType dtype = DType::kF32) {
    table.push_back(Case::of("reshape", None{}, {numbered(x, dtype)}, {Output(y, dtype)}));
  };
  for (DType dtype : kTypes) add({2, 5, 7, 3}, {2, 105}, dtype);
  add({}, {1});
  add({1, 1}, {});
  add({0, 4, 4, 2}, {0, 32});
  add({6}, {2, 3});
  add({2, 105}, {2, 5, 7, 3});
  add({2, 4, 4, 8}, {2, 128});
  add({300, 300}, {90000});
  run_table(table);
}

Case transpose_case(const Shape& x, const std::vector<int>& order, DType dtype = DType::kF32) {
  std::vector<int64_t> y;
  for (int d = 0; d < x.rank(); ++d)
    y.push_back(order.empty() ? x[x.rank() - 1 - d] : x[order[static_cast<size_t>(d)]]);
  return Case::of("transpose", TransposeOptions{order}, {numbered(x, dtype)},
                  {Output(Shape(y), dtype)});
}

TEST(Transpose, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table = {
      transpose_case({}, {}),
      transpose_case({5}, {0}),
      transpose_case({0, 3}, {1, 0}),
      transpose_case({1, 1, 1}, {2, 0, 1}),
      transpose_case({4, 6}, {1, 0}),
      transpose_case({4, 6}, {}),
      transpose_case({4, 6}, {-1, 0}),
      transpose_case({16, 16}, {1, 0}),
      transpose_case({33, 50}, {1, 0}),
      transpose_case({300, 200}, {1, 0}),
      transpose_case({2, 5, 7, 3}, {0, 3, 1, 2}),  // NHWC to NCHW
      transpose_case({2, 3, 5, 7}, {0, 2, 3, 1}),  // and back
      transpose_case({3, 17, 19, 40}, {0, 3, 1, 2}),
      transpose_case({2, 5, 7, 3}, {0, 2, 1, 3}),  // the innermost dimension stays
      transpose_case({2, 5, 7, 3}, {3, 2, 1, 0}),
      transpose_case({2, 1, 7, 3}, {1, 3, 0, 2}),
      transpose_case({2, 3, 2, 4, 2, 3}, {5, 0, 3, 1, 4, 2}),
  };
  for (DType dtype : kTypes) {
    table.push_back(transpose_case({3, 30, 27}, {0, 2, 1}, dtype));
    table.push_back(transpose_case({2, 20, 3, 18}, {2, 0, 3, 1}, dtype));
  }
  PrintedSeed random;
  for (int i = 0; i < 30; ++i) {
    std::vector<int64_t> dims;
    std::vector<int> order;
    for (int64_t d = random.below(6); d >= 0; --d) {
      order.insert(order.begin() + random.below(static_cast<int64_t>(order.size()) + 1),
                   static_cast<int>(dims.size()));
      dims.push_back(1 + random.below(i < 20 ? 6 : 24));
    }
    if (Shape(dims).elements() < 200000) table.push_back(transpose_case(Shape(dims), order));
  }
  run_table(table);
}

TEST(Transpose, KnownValues) {
  for (const char* entry : kEntries) {
    EXPECT_EQ(run_entry(transpose_case({2, 3}, {1, 0}), entry, {count_up(6)})[0],
              (Values{0, 3, 1, 4, 2, 5}))
        << entry;
    EXPECT_EQ(run_entry(transpose_case({1, 2, 2, 3}, {0, 3, 1, 2}), entry, {count_up(12)})[0],
              (Values{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}))
        << entry;
  }
}

}  // namespace
}  // namespace striate::testing
