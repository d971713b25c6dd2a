// mma.sync against a plain product of matrices, with the places of the elements written out as the
// tables of the PTX ISA have them ("Matrix Fragments for mma.m16n8k16" and so on).
#include <bit>
#include <cmath>
#include <functional>
#include <random>

#include "ptx_program.h"

namespace emulator {
namespace {

using test::Row;
using test::row_of;
using test::run_lanes;

struct Matrix {
  int rows, columns;
  std::vector<double> values = std::vector<double>(static_cast<size_t>(rows * columns));
  double& at(int row, int column) {
    EXPECT_TRUE(row >= 0 && row < rows && column >= 0 && column < columns);
    return values[static_cast<size_t>(row * columns + column)];
  }
};

struct Place {
  int row, column;
};

/// Where element i of a lane is; `group` is lane / 4, `t` is lane % 4.
using Layout = std::function<Place(int group, int t, int i)>;

struct Fragment {
  int elements;
  Layout place;
};

// clang-format off
const Fragment kA16x16Half = {8, [](int group, int t, int i) {
  const int row = i < 2 || (i >= 4 && i < 6) ? group : group + 8;
  return Place{row, t * 2 + (i & 1) + (i >= 4 ? 8 : 0)}; }};
const Fragment kB16x8Half = {4, [](int group, int t, int i) {
  return Place{t * 2 + (i & 1) + (i >= 2 ? 8 : 0), group}; }};
const Fragment kA16x8Half = {4, [](int group, int t, int i) {
  return Place{i < 2 ? group : group + 8, t * 2 + (i & 1)}; }};
const Fragment kB8x8Half = {2, [](int group, int t, int i) { return Place{t * 2 + i, group}; }};
const Fragment kA16x8Tf32 = {4, [](int group, int t, int i) {
  return Place{i == 0 || i == 2 ? group : group + 8, i < 2 ? t : t + 4}; }};
const Fragment kB8x8Tf32 = {2, [](int group, int t, int i) { return Place{i ? t + 4 : t, group}; }};
const Fragment kA16x4Tf32 = {2, [](int group, int t, int i) {
  return Place{i ? group + 8 : group, t}; }};
const Fragment kB4x8Tf32 = {1, [](int group, int t, int) { return Place{t, group}; }};
const Fragment kA16x16Byte = {8, [](int group, int t, int i) {
  return Place{i < 4 ? group : group + 8, t * 4 + (i & 3)}; }};
const Fragment kB16x8Byte = {4, [](int group, int t, int i) { return Place{t * 4 + i, group}; }};
const Fragment kA16x32Byte = {16, [](int group, int t, int i) {
  const int row = i < 4 || (i >= 8 && i < 12) ? group : group + 8;
  return Place{row, t * 4 + (i & 3) + (i >= 8 ? 16 : 0)}; }};
const Fragment kB32x8Byte = {8, [](int group, int t, int i) {
  return Place{t * 4 + (i & 3) + (i >= 4 ? 16 : 0), group}; }};
const Fragment kA8x16Byte = {4, [](int group, int t, int i) { return Place{group, t * 4 + i}; }};
const Fragment kA8x4Double = {1, [](int group, int t, int) { return Place{group, t}; }};
const Fragment kB4x8Double = {1, [](int group, int t, int) { return Place{t, group}; }};
const Fragment kC16x8 = {4, [](int group, int t, int i) {
  return Place{i < 2 ? group : group + 8, t * 2 + (i & 1)}; }};
const Fragment kC8x8 = {2, [](int group, int t, int i) { return Place{group, t * 2 + (i & 1)}; }};
// clang-format on

/// Bits of a normal number or zero that the format can hold.
u64 float_code(double value, int exponent_bits, int mantissa_bits) {
  if (value == 0) return 0;
  int exponent = 0;
  const double fraction = std::frexp(std::fabs(value), &exponent) * 2 - 1;  // 1.f * 2^(exponent-1)
  const u64 mantissa = static_cast<u64>(std::ldexp(fraction, mantissa_bits));
  const u64 biased = static_cast<u64>(exponent - 1 + (1 << (exponent_bits - 1)) - 1);
  return u64{value < 0} << (exponent_bits + mantissa_bits) | biased << mantissa_bits | mantissa;
}

struct Format {
  std::string name;
  int bits;
  u64 (*code)(double);
};

const Format kF16 = {"f16", 16, [](double v) { return float_code(v, 5, 10); }};
const Format kBf16 = {"bf16", 16, [](double v) { return float_code(v, 8, 7); }};
const Format kF32 = {"f32", 32, [](double v) { return float_code(v, 8, 23); }};
// The low 13 bits of a tf32 operand must not matter.
const Format kTf32 = {"tf32", 32, [](double v) { return float_code(v, 8, 23) | 0x1abc; }};
const Format kF64 = {"f64", 64, [](double v) { return float_code(v, 11, 52); }};
const Format kS8 = {"s8", 8, [](double v) { return static_cast<u64>(static_cast<i64>(v)) & 0xff; }};
const Format kU8 = {"u8", 8, [](double v) { return static_cast<u64>(v) & 0xff; }};
const Format kS32 = {"s32", 32,
                     [](double v) { return static_cast<u64>(static_cast<i64>(v)) & 0xffffffff; }};

std::vector<Row> pack(Matrix& matrix, const Fragment& fragment, const Format& format) {
  std::vector<Row> rows(static_cast<size_t>((fragment.elements * format.bits + 31) / 32));
  for (Row& row : rows) row.fill(0);
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < fragment.elements; ++i) {
      const Place place = fragment.place(lane / 4, lane % 4, i);
      const u64 code = format.code(matrix.at(place.row, place.column));
      const size_t at = static_cast<size_t>(i * format.bits);
      rows[at / 32][static_cast<size_t>(lane)] |= static_cast<u32>(code << at % 32);
      if (format.bits == 64) rows[at / 32 + 1][static_cast<size_t>(lane)] = code >> 32;
    }
  return rows;
}

/// "{%x5, %x6}" for `count` registers from `first`.
std::string list(const std::string& stem, size_t first, size_t count) {
  std::string text = "{";
  for (size_t i = 0; i < count; ++i) text += (i ? ", " : "") + stem + std::to_string(first + i);
  return text + "}";
}

struct Case {
  std::string shape;
  Fragment a, b, c;
  Format format_a, format_b, format_c, format_d;
  std::string suffix = "";  // ".satfinite"
};

struct Size {
  int m, n, k;
};

Size size_of(const std::string& shape) {
  Size size{};
  EXPECT_EQ(std::sscanf(shape.c_str(), "m%dn%dk%d", &size.m, &size.n, &size.k), 3);
  return size;
}

/// Run the instruction and return the registers of D.
std::vector<Row> run_mma(const Case& it, Matrix& a, Matrix& b, Matrix& c) {
  std::vector<Row> inputs;
  std::string body, operands;
  const bool wide = it.format_a.bits == 64;
  const auto add = [&](Matrix& matrix, const Fragment& fragment, const Format& format) {
    const size_t first = inputs.size();
    for (const Row& row : pack(matrix, fragment, format)) inputs.push_back(row);
    const size_t count = inputs.size() - first;
    if (wide)
      for (size_t i = 0; i < count; i += 2)
        body += "mov.b64 %d" + std::to_string((first + i) / 2) + ", " + list("%a", first + i, 2) +
                ";\n";
    operands += ", " + (wide ? list("%d", first / 2, count / 2) : list("%a", first, count));
  };
  add(a, it.a, it.format_a);
  add(b, it.b, it.format_b);
  add(c, it.c, it.format_c);
  const size_t outputs = static_cast<size_t>(it.c.elements * it.format_d.bits / 32);
  body += "mma.sync.aligned." + it.shape + ".row.col" + it.suffix + "." + it.format_d.name + "." +
          it.format_a.name + "." + it.format_b.name + "." + it.format_c.name + " " +
          (wide ? list("%d", 20, outputs / 2) : list("%o", 0, outputs)) + operands + ";\n";
  if (wide)
    for (size_t i = 0; i < outputs; i += 2)
      body += "mov.b64 " + list("%o", i, 2) + ", %d" + std::to_string(20 + i / 2) + ";\n";
  return run_lanes(body, inputs, static_cast<u32>(outputs));
}

/// Small numbers whose sums of products every format holds exactly.
void fill(Matrix& matrix, std::mt19937& random, double step, int low, int high) {
  for (double& value : matrix.values)
    value = step * std::uniform_int_distribution<int>(low, high)(random);
}

Matrix product(Matrix& a, Matrix& b, Matrix& c) {
  Matrix d{c.rows, c.columns};
  for (int i = 0; i < c.rows; ++i)
    for (int j = 0; j < c.columns; ++j) {
      d.at(i, j) = c.at(i, j);
      for (int k = 0; k < a.columns; ++k) d.at(i, j) += a.at(i, k) * b.at(k, j);
    }
  return d;
}

void check(const Case& it) {
  const Size size = size_of(it.shape);
  std::mt19937 random(7);
  Matrix a{size.m, size.k}, b{size.k, size.n}, c{size.m, size.n};
  const bool integer = it.format_d.name == "s32";
  fill(a, random, integer ? 1 : 0.25,
       it.format_a.name == "u8" ? 0
       : integer                ? -128
                                : -6,
       it.format_a.name == "u8" ? 255
       : integer                ? 127
                                : 6);
  fill(b, random, integer ? 1 : 0.5,
       it.format_b.name == "u8" ? 0
       : integer                ? -128
                                : -6,
       it.format_b.name == "u8" ? 255
       : integer                ? 127
                                : 6);
  fill(c, random, integer ? 1 : 0.125, -8, 8);
  Matrix d = product(a, b, c);
  const std::vector<Row> expected = pack(d, it.c, it.format_d);
  const std::vector<Row> out = run_mma(it, a, b, c);
  ASSERT_EQ(out.size(), expected.size());
  for (size_t r = 0; r < out.size(); ++r)
    for (u32 lane = 0; lane < kLanes; ++lane)
      ASSERT_EQ(out[r][lane], expected[r][lane])
          << it.shape << " " << it.format_d.name << "." << it.format_a.name << " register " << r
          << " lane " << lane;
}

TEST(Mma, Half) {
  for (const Format& d : {kF32, kF16})
    for (const Format& c : {kF32, kF16}) {
      if (d.name == "f16" && c.name == "f32") continue;
      check({"m16n8k16", kA16x16Half, kB16x8Half, kC16x8, kF16, kF16, c, d});
      check({"m16n8k8", kA16x8Half, kB8x8Half, kC16x8, kF16, kF16, c, d});
    }
}

TEST(Mma, Brain) {
  check({"m16n8k16", kA16x16Half, kB16x8Half, kC16x8, kBf16, kBf16, kF32, kF32});
  check({"m16n8k8", kA16x8Half, kB8x8Half, kC16x8, kBf16, kBf16, kF32, kF32});
}

TEST(Mma, Tf32IgnoresTheLow13Bits) {
  check({"m16n8k8", kA16x8Tf32, kB8x8Tf32, kC16x8, kTf32, kTf32, kF32, kF32});
  check({"m16n8k4", kA16x4Tf32, kB4x8Tf32, kC16x8, kTf32, kTf32, kF32, kF32});
}

TEST(Mma, Double) { check({"m8n8k4", kA8x4Double, kB4x8Double, kC8x8, kF64, kF64, kF64, kF64}); }

TEST(Mma, Bytes) {
  for (const Format& a : {kS8, kU8})
    for (const Format& b : {kS8, kU8}) {
      check({"m16n8k32", kA16x32Byte, kB32x8Byte, kC16x8, a, b, kS32, kS32});
      check({"m16n8k16", kA16x16Byte, kB16x8Byte, kC16x8, a, b, kS32, kS32});
      check({"m8n8k16", kA8x16Byte, kB16x8Byte, kC8x8, a, b, kS32, kS32});
    }
}

TEST(Mma, BytesWrapOrSaturate) {
  Matrix a{16, 32}, b{32, 8}, c{16, 8};
  std::fill(a.values.begin(), a.values.end(), 127);
  std::fill(b.values.begin(), b.values.end(), 127);
  std::fill(c.values.begin(), c.values.end(), 2147483647);
  Case it = {"m16n8k32", kA16x32Byte, kB32x8Byte, kC16x8, kS8, kS8, kS32, kS32};
  EXPECT_EQ(run_mma(it, a, b, c)[0], row_of(0x7fffffffu + 127 * 127 * 32));
  it.suffix = ".satfinite";
  EXPECT_EQ(run_mma(it, a, b, c)[0], row_of(0x7fffffffu));
  for (double& value : a.values) value = -128;
  for (double& value : c.values) value = -2147483648.0;
  EXPECT_EQ(run_mma(it, a, b, c)[3], row_of(0x80000000u));
}

TEST(Mma, InfinityAndNanPassThrough) {
  Matrix a{16, 16}, b{16, 8}, c{16, 8};
  std::fill(b.values.begin(), b.values.end(), 1);
  const Case it = {"m16n8k16", kA16x16Half, kB16x8Half, kC16x8, kF16, kF16, kF32, kF32};
  // An element that is infinite, put in by hand: row 2, column 0 is element 0 of lane 8.
  std::vector<Row> inputs = pack(a, it.a, it.format_a);
  inputs[0][8] = 0x7c00;
  inputs[1][12] = 0x7e00;  // NaN at row 11, column 0
  for (const Row& row : pack(b, it.b, it.format_b)) inputs.push_back(row);
  for (const Row& row : pack(c, it.c, it.format_c)) inputs.push_back(row);
  const auto out =
      run_lanes("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 " + list("%o", 0, 4) + ", " +
                    list("%a", 0, 4) + ", " + list("%a", 4, 2) + ", " + list("%a", 6, 4) + ";",
                inputs, 4);
  for (u32 lane = 0; lane < kLanes; ++lane) {
    EXPECT_EQ(out[0][lane], lane / 4 == 2 ? 0x7f800000u : 0u);
    const float second = std::bit_cast<float>(out[2][lane]);
    EXPECT_EQ(std::isnan(second), lane / 4 == 3);
  }
}

TEST(Mma, HalfAccumulatorsRoundOnce) {
  // 2048 + 1 + 1: each step alone would round back to 2048.
  Matrix a{16, 8}, b{8, 8}, c{16, 8};
  for (int i = 0; i < 16; ++i) a.at(i, 0) = a.at(i, 1) = 1;
  std::fill(b.values.begin(), b.values.end(), 1);
  std::fill(c.values.begin(), c.values.end(), 2048);
  const Case it = {"m16n8k8", kA16x8Half, kB8x8Half, kC16x8, kF16, kF16, kF16, kF16};
  const u32 code = static_cast<u32>(float_code(2050, 5, 10));
  EXPECT_EQ(run_mma(it, a, b, c)[0], row_of(code | code << 16));
}

// m8n8k4 of f16: "the elements of four matrices", lanes 4p..4p+3 and 16+4p..16+4p+3 hold number p.
TEST(Mma, QuadsOfHalf) {
  for (const bool column_a : {false, true})
    for (const bool row_b : {false, true})
      for (const bool half : {false, true}) {
        std::mt19937 random(9);
        std::vector<Row> inputs(2 + 2 + (half ? 4 : 8), row_of(0)),
            expected(half ? 4 : 8, row_of(0));
        for (int p = 0; p < 4; ++p) {
          Matrix a{8, 4}, b{4, 8}, c{8, 8};
          fill(a, random, 0.25, -6, 6);
          fill(b, random, 0.5, -6, 6);
          fill(c, random, 0.125, -8, 8);
          Matrix d = product(a, b, c);
          for (int upper = 0; upper < 2; ++upper)
            for (int t = 0; t < 4; ++t) {
              const size_t lane = static_cast<size_t>(16 * upper + 4 * p + t);
              const auto put = [&](std::vector<Row>& rows, size_t first, int i, double value) {
                rows[first + static_cast<size_t>(i / 2)][lane] |= static_cast<u32>(kF16.code(value))
                                                                  << (i % 2 * 16);
              };
              for (int i = 0; i < 4; ++i) {
                put(inputs, 0, i, column_a ? a.at(i % 4 + 4 * upper, t) : a.at(t + 4 * upper, i));
                put(inputs, 2, i, row_b ? b.at(t, i + 4 * upper) : b.at(i, t + 4 * upper));
              }
              for (int i = 0; i < 8; ++i) {
                const int row = half ? t + 4 * upper : (t & 1) + (i & 2) + 4 * upper;
                const int column = half ? i : (i & 4) + (t & 2) + (i & 1);
                const size_t at = static_cast<size_t>(i);
                if (half) {
                  put(inputs, 4, i, c.at(row, column));
                  put(expected, 0, i, d.at(row, column));
                } else {
                  inputs[4 + at][lane] = static_cast<u32>(kF32.code(c.at(row, column)));
                  expected[at][lane] = static_cast<u32>(kF32.code(d.at(row, column)));
                }
              }
            }
        }
        const std::string type = half ? "f16" : "f32";
        const size_t count = expected.size();
        const auto out =
            run_lanes("mma.sync.aligned.m8n8k4." + std::string(column_a ? "col." : "row.") +
                          (row_b ? "row." : "col.") + type + ".f16.f16." + type + " " +
                          list("%o", 0, count) + ", " + list("%a", 0, 2) + ", " + list("%a", 2, 2) +
                          ", " + list("%a", 4, count) + ";",
                      inputs, static_cast<u32>(count));
        EXPECT_EQ(out, expected) << column_a << row_b << half;
      }
}

TEST(Mma, NeedsTheWholeWarp) {
  const std::string body =
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%f0, %f1, %f2, %f3}, "
      "{%r1, %r2, %r3, %r4}, {%r5, %r6}, {%f4, %f5, %f6, %f7};";
  const Report report = test::execute(test::kernel_of(body, 0), {}, {}, {{1, 1, 1}, {16, 1, 1}, 0});
  EXPECT_NE(report.message.find("needs all 32 lanes"), std::string::npos) << report.message;
}

}  // namespace
}  // namespace emulator
